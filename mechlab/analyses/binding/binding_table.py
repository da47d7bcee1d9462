"""The table of variable binding: accuracy, spectral errors and pass rates of many networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.binding.binding_rows import FEWEST, PASSES, latex, row_names, summary_rows, with_passes
from mechlab.analyses.binding.binding_runs import run_table
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import Size, above, at_least, between
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import RESAMPLES
from mechlab.statistics.correlation import cluster_interval, spearman, whole
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

NAMED = 6  # failed runs that a note names; the table of runs has all


class BindingTable(SetAnalysis):
    """Summarise networks trained on linear rules by task, width, weight decay and curriculum: accuracy at a horizon
    beyond the trained one, spectral errors, and the share that pass, over all runs, failed ones among them.

    Beside each row is the published selection, computed from the same runs: the published spectral error of networks of
    accuracy .99 for which it is a number, of each seed the least over curriculum thresholds, then the mean over seeds;
    and the published number where there is one.

    Args:
        horizon: steps after the input at which accuracy is measured: that of the run's own test where it has this
            horizon, else of the finding of `dynamics`, else of 640 new sequences.
        accuracy: the least accuracy of a network that passes.
        angle: the largest mean angle error, in radians, of a network that passes `angle`.
        persistent: modulus above which an eigenvalue counts for the rank.
        fewest: seeds, and passing networks, below which no claim is made.

    Source: Karuvally et al., arXiv 2310.02430, its table and the code that selects networks for it.
    """

    needs = SetNeeds(
        runs=2,
        each=Needs(kind="sequence", ground_truth=("companion matrix",), model=("jacobian",)),
        files=("result.json", "checkpoints/weights.safetensors"),
        failed=True,
    )

    def __init__(
        self,
        horizon: Size = 200,
        accuracy: Annotated[float, between(0, 1)] = 0.99,
        angle: Annotated[float, above(0)] = 0.006,
        persistent: Annotated[float, above(0)] = 0.9,
        fewest: Annotated[int, at_least(3)] = 5,
    ):
        self.horizon, self.accuracy, self.angle = horizon, accuracy, angle
        self.persistent, self.fewest = persistent, fewest

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save the tables of runs and of rows, and the latter as LaTeX; correlate missing eigenvalues and accuracy."""
        import pandas as pd

        every = with_passes(run_table(runs, self.horizon, self.persistent, rng), self.accuracy, self.angle)
        rows, correlations = summary_rows(every), correlations_of(every)
        remark = f"Accuracy at horizon {self.horizon}; angle errors in radians; means with 95 % intervals over seeds."
        out.save_table("rows", rows)
        out.save_table("runs", every)
        out.save_table("correlations", pd.DataFrame([correlations]))
        out.save_bytes("table.tex", latex(rows, remark).encode())
        scalars = {"runs": len(every), "rows": len(rows), "failed": int((every["status"] != "done").sum())}
        for name in PASSES:
            scalars |= _rate(name, every[f"pass_{name}"])
        cells = rows.drop_duplicates(["task", "model", "hidden", "weight_decay"])
        scalars |= {name: int(cells[name].sum()) for name in ("dropped", "dropped_accuracy", "dropped_nan")}
        scalars |= {name: value for name, value in correlations.items() if value is not None}
        claims = self._claims(every, correlations)
        return Finding(
            {name: float(value) for name, value in scalars.items()}, claims, self._notes(every, scalars, claims)
        )

    def _claims(self, runs: pd.DataFrame, correlations: dict[str, float | None]) -> dict[str, Claim]:
        claims = {}
        for slug, name, which in (
            ("generalisation", "spearman", "a network misses"),
            ("generalisation_within", "within", "a network misses beyond the mean of its configuration"),
        ):
            value, low, high = (correlations[f"{name}{end}"] for end in ("", "_low", "_high"))
            if runs["seed"].nunique() < self.fewest or value is None or high is None:
                continue
            claims[slug] = Claim(
                f"The more eigenvalues {which}, the less accurate it is at horizon "
                f"{self.horizon}: Spearman's correlation is below 0 (upper end of the 95 % interval over seeds).",
                value=value,
                threshold=0.0,
                holds=high < 0,
                kind="statistical",
                null=0.0,
                interval=(low, high),
            )
        passed, others = (runs[runs["pass_accuracy"] == kind]["pass_rank"] for kind in (True, False))
        if len(passed) >= self.fewest:
            low, high = wilson(int(passed.sum()), len(passed))
            claims["rank"] = Claim(
                f"Most networks of accuracy {self.accuracy:g} or more have the theoretical rank: the share is above .5 "
                "(lower end of the 95 % Wilson interval). The null is the share of the other networks.",
                value=float(passed.mean()),
                threshold=0.5,
                holds=low > 0.5,
                kind="statistical",
                null=float(others.mean()) if len(others) else None,
                interval=(low, high),
            )
        return claims

    def _notes(self, runs: pd.DataFrame, scalars: dict[str, float], claims: dict[str, Claim]) -> dict[str, str]:
        sources = runs["accuracy_from"].value_counts()
        counted = ", ".join(f"{source} ({n})" for source, n in sources.items()) or "no run"
        notes = {
            "accuracy": f"Accuracy at horizon {self.horizon} is that of: {counted}.",
            "rows": "A row is one configuration without its seed, so that its runs are independent; none is left out, "
            "and failed runs count as not passing.",
            "selection": f"The published selection leaves {scalars['dropped']} of {len(runs)} runs out of its mean "
            f"error: {scalars['dropped_accuracy']} of accuracy below {self.accuracy:g}, and {scalars['dropped_nan']} "
            "more for which the published error is NaN.",
            "intervals": f"Intervals of means are percentiles of {RESAMPLES:,} bootstrap means over seeds, for "
            f"{FEWEST} seeds or more; those of shares are Wilson's; those of correlations resample seeds, each with "
            "all its runs. All are 95 %.",
        }
        if len(failed := runs[runs["status"] != "done"]):
            shown = [f"{row['run']} ({row['reason']})" for row in failed.head(NAMED).to_dict("records")]
            more = ", ..." if len(failed) > NAMED else ""
            notes["failed"] = f"{len(failed)} runs failed and count as not passing: {', '.join(shown)}{more}."
        if "generalisation" not in claims:
            notes["fewest"] = (
                f"No claim on generalisation is made of fewer than {self.fewest} seeds, or where the rank or the "
                "accuracy does not vary."
            )
        return notes

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw pass rates by row, and accuracy against the share of missing eigenvalues."""
        from mechlab.plotting.binding_table import pass_rates, rank_deficit

        rows, runs = out.table("rows"), out.table("runs")
        titles = {
            "accuracy": f"accuracy ≥ {self.accuracy:g}",
            "rank": "rank of the theory",
            "both": "both",
            "angle": f"angle error ≤ {self.angle:g}",
        }
        rates = {
            title: rows[[f"rate_{name}", f"rate_{name}_low", f"rate_{name}_high"]].to_numpy()
            for name, title in titles.items()
        }
        known = runs[runs["status"] == "done"]
        correlations = out.table("correlations").iloc[0].to_dict()
        points = known["missing"].to_numpy(float), known["accuracy"].to_numpy(float), known["task"].tolist()
        return {
            "pass_rates": pass_rates(row_names(rows), rows["runs"].tolist(), rates),
            "rank_deficit": rank_deficit(*points, self.horizon, self.accuracy, correlations),
        }


def correlations_of(runs: pd.DataFrame) -> dict[str, float | None]:
    """Return Spearman's correlations between the share of missing eigenvalues and the accuracy of finished runs, each
    with the ends of its 95 % interval, for which seeds are resampled with all their runs; None where one is undefined.

    `spearman` is over all runs; `within` is that of the deviations from the means of each configuration, to which
    differences between tasks, widths and weight decays contribute nothing.
    """
    known = runs[runs["status"] == "done"]
    sides = known[["missing", "accuracy"]].astype(float)
    deviations = sides - sides.groupby(known["configuration"]).transform("mean")
    found: dict[str, float | None] = {}
    for name, pairs in (("spearman", sides), ("within", deviations.round(9))):  # what rounding leaves of equal values
        values = _correlation(pairs.to_numpy(), known["seed"].tolist()) if len(known) >= FEWEST else (None,) * 3
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    return found


def _correlation(pairs: np.ndarray, seeds: Sequence[int]) -> tuple[float | None, float | None, float | None]:
    """Return Spearman's correlation of pairs (n, 2), and its interval."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        return spearman(*pairs.T, weights)

    return whole(statistic, len(pairs)), *cluster_interval(statistic, seeds)


def _rate(name: str, passed: pd.Series) -> dict[str, float]:
    low, high = wilson(int(passed.sum()), len(passed))
    return {f"rate_{name}": float(passed.mean()), f"rate_{name}_low": low, f"rate_{name}_high": high}
