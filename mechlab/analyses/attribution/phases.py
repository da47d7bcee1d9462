"""Phases of training, from the masses of data and weight decay, the loss and the norm of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.attribution.phase_curves import Curves
from mechlab.core.analysis import Claim, Finding
from mechlab.core.constraints import Interval, at_least
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import summarise
from mechlab.statistics.segmentation import Segmentations, Segmenter

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

Share = Annotated[float, Interval(0, 1, open_low=True, open_high=True)]
NULLS = 20  # surrogates of all runs, of each kind
ROWS = 6  # of a phase at least: twice the coefficients of a trend


class Phases(SetAnalysis):
    """Divide training into phases, in each of which all curves follow smooth trends, and compare the runs of several
    seeds.

    The curves are the logarithms of the masses of data and of weight decay by component (see Balance), of the
    validation loss and of the norm of the parameters, each scaled to variance 1. A phase is a piece of training in
    which every curve follows a + b t + c log t with coefficients of its own, so that an exponential decay or a power
    law is one phase. The pieces have the least squared residuals of all segmentations; their number minimises, over all
    runs together, the unexplained share of the variance plus `penalty` for each change.

    The null are surrogates, which have the autocorrelation of the curves but no phases: random walks (the sums of the
    curves' increments in random order) and one trend plus stationary noise (the residuals of the trend with random
    phases of their Fourier terms; Prichard and Theiler 1994, Physical Review Letters 73, 951). Orders and random phases
    are the same for all curves of a run. No change is reported if as many changes explain as large a share of the
    variance of a surrogate. Of several runs, the one with the smallest share counts, here and in the null.

    Args:
        penalty: share of the variance that a change must explain.
        most: largest number of changes.
        least: shortest phase, as a share of training.
        points: rows into which the steps of a run are averaged, at most one for each step.
        resamples: of the moving-block bootstrap of the residuals, for the interval of each change within a run.
        block: its block length, as a share of training.
        fewest_points: rows of a run below which no claim is made.
        fewest: runs below which no claim is made about the agreement of runs.
        spread: widest interval of the mean step of a change over runs, as a share of training, for `agreement`.
    """

    needs = SetNeeds(
        runs=2,
        varies=("seed",),
        equal=("run_id",),
        analyses=("balance",),
        files=("result.json", "metrics.csv", "analyses/balance/steps.csv"),
    )

    def __init__(
        self,
        penalty: Share = 0.1,
        most: Annotated[int, at_least(1)] = 8,
        least: Share = 0.03,
        points: Annotated[int, at_least(4)] = 200,
        resamples: Annotated[int, at_least(2)] = 200,
        block: Share = 0.05,
        fewest_points: Annotated[int, at_least(4)] = 100,
        fewest: Annotated[int, at_least(2)] = 3,
        spread: Share = 0.2,
    ):
        self.penalty, self.most, self.least, self.points = penalty, most, least, points
        self.resamples, self.block = resamples, block
        self.fewest_points, self.fewest, self.spread = fewest_points, fewest, spread

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Segment each run; save the curves, the changes with their intervals, and a description of each phase."""
        import pandas as pd

        curves = [Curves.of_run(run, self.points) for run in runs]
        segmenters = [Segmenter(curve.times, max(ROWS, round(self.least * len(curve)))) for curve in curves]
        found = [segmenter(curve.scaled, self.most) for segmenter, curve in zip(segmenters, curves, strict=True)]
        number = joint_number(found, self.penalty)
        gains = [mean_gain(segmentations, number) for segmentations in found]
        null = null_gain(segmenters, [curve.scaled for curve in curves], max(1, number), rng)
        number = number if min(gains) > null else 0
        rows, phases, described = [], [], []
        for i, (run, curve, segmenter, segmentations) in enumerate(zip(runs, curves, segmenters, found, strict=True)):
            at = segmentations.changes[number]
            block = max(1, round(self.block * len(curve)))
            ends = segmenter.intervals(curve.scaled, at, self.resamples, block, rng)
            rows += [
                {"seed": run.seed, "change": change, **curve.between(first, low, high)}
                for change, (first, (low, high)) in enumerate(zip(at, ends, strict=True), start=1)
            ]
            phases += [{"seed": run.seed, **phase} for phase in curve.described(at)]
            share = 1 - segmentations.unexplained
            described.append(
                {
                    "seed": run.seed,
                    "steps": curve.steps,
                    "rows": len(curve),
                    "curves": curve.scaled.shape[1],
                    "changes": segmentations.number(self.penalty),
                    "gain": gains[i],
                    "null_gain": null,
                    **{f"explained_{k}": value for k, value in enumerate(share)},
                }
            )
        columns = ["seed", "change", "step", "step_low", "step_high"]
        changes, table = pd.DataFrame(rows, columns=columns), pd.DataFrame(described)
        over_runs = self._over_runs(changes, number, table["steps"].mean())
        tables = {"changes": changes, "runs": table, "phases": pd.DataFrame(phases), "over_runs": over_runs}
        for name, saved in tables.items():
            out.save_table(name, saved)
        lines = [curve.table.assign(seed=run.seed) for run, curve in zip(runs, curves, strict=True)]
        out.save_table("curves", pd.concat(lines, ignore_index=True))
        return self._finding(table, over_runs, number)

    @staticmethod
    def _over_runs(changes: pd.DataFrame, number: int, steps: float) -> pd.DataFrame:
        """Return the mean step of each change with its interval over runs, and its width as a share of training."""
        import pandas as pd

        rows = []
        for change in range(1, number + 1):
            values = changes.loc[changes["change"] == change, "step"].tolist()
            if len(values) < 2:
                continue
            summary = summarise(values)
            ends = {"mean": summary.mean, "mean_low": summary.low, "mean_high": summary.high}
            rows.append({"change": change, "runs": len(values), **ends, "width": (summary.high - summary.low) / steps})
        return pd.DataFrame(rows, columns=["change", "runs", "mean", "mean_low", "mean_high", "width"])

    def _finding(self, runs: pd.DataFrame, over_runs: pd.DataFrame, number: int) -> Finding:
        scalars = {
            "changes": float(number),
            "runs": float(len(runs)),
            "explained": float(runs[f"explained_{number}"].mean()),
        }
        for row in over_runs.to_dict("records"):
            name = f"change_{row['change']:.0f}"
            scalars |= {name: row["mean"], f"{name}_low": row["mean_low"], f"{name}_high": row["mean_high"]}
        if runs["rows"].min() < self.fewest_points:
            few = f"A run has {runs['rows'].min()} points, fewer than {self.fewest_points}, so no claim is made."
            return Finding(scalars, notes={"fewest_points": few})
        least, null = float(runs["gain"].min()), float(runs["null_gain"].max())
        claims = {
            "changes": Claim(
                f"There are changes of phase, and in every run they explain at least {self.penalty:g} of the variance "
                f"of the curves for each, and more than in any of {2 * NULLS} surrogates of equal autocorrelation "
                "(increments in random order, or random Fourier phases about one trend).",
                value=least,
                threshold=self.penalty,
                holds=bool(number >= 1 and least >= self.penalty),
                kind="statistical",
                null=null,
            )
        }
        if len(runs) < self.fewest:
            few = f"{len(runs)} runs are fewer than {self.fewest}, so no claim is made about their agreement."
            return Finding(scalars, claims, {"fewest": few})
        if number:
            widest = float(over_runs["width"].max())
            claims["agreement"] = Claim(
                f"All runs have the same number of changes, and the 95 % bootstrap interval of the mean step of each "
                f"is at most {self.spread:g} of training wide.",
                value=widest,
                threshold=self.spread,
                holds=bool(widest <= self.spread and runs["changes"].nunique() == 1),
                kind="statistical",
            )
        return Finding(scalars, claims)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the curves of the runs with their changes, and the steps of the changes over runs."""
        from mechlab.plotting import phases as draw

        curves, changes = out.table("curves"), out.table("changes")
        figures = {"phases": draw.curves_with_changes(curves, changes), "number": draw.explained(out.table("runs"))}
        if len(changes):
            figures["changes"] = draw.steps_of_changes(changes, out.table("over_runs"))
        return figures


def joint_number(runs: Sequence[Segmentations], penalty: float) -> int:
    """Return the number of changes that minimises the mean over runs of the unexplained share plus the penalties."""
    most = min(len(run.unexplained) for run in runs)
    mean = np.mean([run.unexplained[:most] for run in runs], axis=0)
    return int(np.argmin(mean + penalty * np.arange(most)))


def mean_gain(segmentations: Segmentations, number: int) -> float:
    """Return the share of the variance that this number of changes explains for each of them; 0 for none.

    >>> mean_gain(Segmentations([], np.array([0.75, 0.5, 0.25])), 2)
    0.25
    """
    unexplained = segmentations.unexplained[: number + 1]
    return float((unexplained[0] - unexplained[-1]) / number) if number else 0.0


def null_gain(
    segmenters: Sequence[Segmenter], series: Sequence[np.ndarray], number: int, rng: np.random.Generator
) -> float:
    """Return the largest share of the variance for each change, in the run in which it is smallest, that as many
    changes explain of surrogates of the runs' series (n, F)."""
    pairs = list(zip(segmenters, series, strict=True))
    return max(
        min(mean_gain(segmenter(surrogate(segmenter, values, rng), number), number) for segmenter, values in pairs)
        for surrogate in (permuted_increments, random_phases)
        for _ in range(NULLS)
    )


def permuted_increments(_: Segmenter, series: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the sums of the increments of a series (n, F) in random order, the same for all features."""
    increments = rng.permutation(np.diff(series, axis=0))
    return np.concatenate([series[:1], series[:1] + np.cumsum(increments, 0)])


def random_phases(segmenter: Segmenter, series: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the trend of a series (n, F) in a single piece, plus its residuals with each Fourier term shifted by a
    random phase, the same for all features."""
    trend = segmenter.fitted(series, np.zeros(0, int))
    terms = np.fft.rfft(series - trend, axis=0)
    phases = np.exp(2j * np.pi * rng.random((len(terms), 1)))
    return trend + np.fft.irfft(terms * phases, len(series), axis=0)
