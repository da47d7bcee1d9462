"""The measurements of the analysis `datamodeling`, their tables and claims; tables over several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mechlab.core.analysis import Claim, Finding
from mechlab.kernels import lds as measures
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import percentile_interval

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run

Arrays = dict[str, np.ndarray]
GROUPS = ("scores", "helpful", "labels", "seeds")
BEST, PLAIN = "metagradient", "path_kernel"


@dataclass(frozen=True)
class Measurements:
    """Outputs after retraining, and scores, for F shares, M subsets, Q outputs and N training examples.

    Args:
        recorded, replayed: (Q,) the outputs of the recorded training, and of its repetition.
        random, random_removed: (F, M, Q) outputs without random examples (F, M, N).
        alone, alone_removed: (L, Q) outputs without one example (L, N).
        helpful: method -> (F, Q) each output without the examples with the largest scores for it, and "same_label" ->
            (F, Q) without random examples with its label where there is one; {} if not measured.
        scores: method -> (Q, N).
        labels: "wrong" (K,) and method -> (K,) scores of examples for their own outputs, without nearest neighbours, of
            which each example is its own nearest; {} if not measured.
        seeds: method -> (R, Q, N) scores of trainings with other seeds; {} if not measured.
        account: "error" and "residual" of the path-kernel decomposition, "projection_error" of TRAK.
    """

    recorded: np.ndarray
    replayed: np.ndarray
    random: np.ndarray
    random_removed: np.ndarray
    alone: np.ndarray
    alone_removed: np.ndarray
    helpful: Arrays
    scores: Arrays
    labels: Arrays
    seeds: Arrays
    account: dict[str, float]

    def save(self, out: Artifacts) -> None:
        """Save everything."""
        arrays = ("recorded", "replayed", "random", "random_removed", "alone", "alone_removed")
        out.save_arrays("outputs", **{name: np.ascontiguousarray(getattr(self, name)) for name in arrays})
        groups = {name: getattr(self, name) for name in GROUPS}
        values = {f"{group}.{name}": array for group, arrays in groups.items() for name, array in arrays.items()}
        account = {f"account.{name}": np.array(value) for name, value in self.account.items()}
        out.save_arrays("scores", **values, **account)

    @classmethod
    def read(cls, out: Artifacts) -> Measurements:
        """Read what was saved."""
        groups: dict[str, Arrays] = {name: {} for name in (*GROUPS, "account")}
        for name, array in out.arrays("scores").items():
            group, _, key = name.partition(".")
            groups[group][key] = array
        account = {name: float(value) for name, value in groups.pop("account").items()}
        return cls(**out.arrays("outputs"), **groups, account=account)

    @property
    def methods(self) -> list[str]:
        """The methods."""
        return list(self.scores)

    def predicted(self, share: int) -> Arrays:
        """Return the predicted changes (M, Q) of outputs without random examples of a share, by method."""
        return {name: measures.predicted_changes(s, self.random_removed[share]) for name, s in self.scores.items()}


def by_share(
    measured: Measurements, fractions: Sequence[float], resamples: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return a row for each share and method.

    Returns:
        Columns removed (the share), method, lds, lds_low, lds_high; behind, behind_low, behind_high: the metagradient's
        score less this one, by the same resampled subsets; helpful: the fall of outputs without the examples with the
        largest scores, in standard deviations of the outputs without random examples; helpful_same_label: the fall
        without random examples with the same label.
    """
    import pandas as pd

    rows = []
    for share, fraction in enumerate(fractions):
        actual, predicted = measured.random[share], measured.predicted(share)
        times = measures.resampled(len(actual), resamples, rng)
        values = {name: measures.lds(changes, actual, times) for name, changes in predicted.items()}
        scores = {name: measures.lds(changes, actual) for name, changes in predicted.items()}
        for name in measured.methods:
            row = {"removed": fraction, "method": name, "lds": scores[name]}
            row["lds_low"], row["lds_high"] = percentile_interval(values[name])
            if BEST in scores:
                row["behind"] = scores[BEST] - scores[name]
                row["behind_low"], row["behind_high"] = percentile_interval(values[BEST] - values[name])
            for column, chosen in (("helpful", name), ("helpful_same_label", "same_label")):
                if chosen in measured.helpful:
                    row[column] = float(measures.removal_effects(measured.helpful[chosen][share], actual).mean())
            rows.append(row)
    return pd.DataFrame(rows)


def by_method(measured: Measurements) -> pd.DataFrame:
    """Return a row for each method.

    Returns:
        Columns method, and where they were measured: leave_one_out and leave_one_out_linear, the correlations (of
        ranks, linear) of predicted and actual changes when one example is left out; mislabelled, the area under the
        ROC curve of detecting wrong labels by the score of an example for itself; stability, the rank correlation of
        scores over training examples with those of other seeds. All are means over outputs.
    """
    import pandas as pd

    rows = []
    for name, scores in measured.scores.items():
        row: dict[str, object] = {"method": name}
        if len(measured.alone) > 1:
            changes = measures.predicted_changes(scores, measured.alone_removed)
            row["leave_one_out"] = measures.lds(changes, measured.alone)
            row["leave_one_out_linear"] = float(measures.linear_correlations(changes, measured.alone).mean())
        if name in measured.labels:
            row["mislabelled"] = measures.area_under_curve(measured.labels[name], measured.labels["wrong"])
        if measured.seeds:
            others = measured.seeds[name]
            row["stability"] = float(np.mean([measures.lds(scores.T, other.T) for other in others]))
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class DatamodelingClaims:
    """The scalars and claims of the analysis.

    Args:
        least_lds, least_margin: of the metagradient, and over the path kernel, at the smallest share removed.
        exactness: largest error of the exact claims.
    """

    least_lds: float
    least_margin: float
    exactness: float

    def finding(
        self, measured: Measurements, removed: pd.DataFrame, methods: pd.DataFrame, rng: np.random.Generator
    ) -> Finding:
        """Return the numbers of the tables as scalars, and the claims."""
        spread = max(float(measured.random[0].std(0).mean()), np.finfo(float).tiny)
        scalars = {
            "replay_error": float(np.abs(measured.replayed - measured.recorded).max()) / spread,
            "spread": spread,
            **{f"account_{name}": value for name, value in measured.account.items()},
        }
        least = removed["removed"].min()
        for row in removed.to_dict("records"):
            percent = f"{100 * row['removed']:g}".replace(".", "_")
            scalars[f"lds_{row['method']}_{percent}"] = row["lds"]
            if "helpful" in row and row["removed"] == least:
                scalars[f"helpful_{row['method']}"] = row["helpful"]
                if "helpful_same_label" in row:
                    scalars["helpful_same_label"] = row["helpful_same_label"]
        for row in methods.to_dict("records"):
            names = ("leave_one_out", "mislabelled", "stability")
            scalars |= {f"{name}_{row['method']}": row[name] for name in names if np.isfinite(row.get(name, np.nan))}
        claims = {"replay": self._replay(scalars["replay_error"])}
        if "error" in measured.account:
            claims["completeness"] = self._completeness(measured.account["error"])
        if BEST in measured.methods:
            claims |= self._predicts(measured, removed, rng)
        return Finding({name: float(value) for name, value in scalars.items()}, claims)

    def _replay(self, error: float) -> Claim:
        return Claim(
            "Retraining with all examples ends in the recorded outputs, to "
            f"{self.exactness * 1e3:g} of the standard deviation over random removals.",
            value=error,
            threshold=self.exactness * 1e3,
            holds=bool(error <= self.exactness * 1e3),
            kind="exact",
        )

    def _completeness(self, error: float) -> Claim:
        return Claim(
            f"The terms of the path kernel sum to the change of the outputs, to {self.exactness:g} of the sum of their "
            "sizes.",
            value=error,
            threshold=self.exactness,
            holds=bool(error <= self.exactness),
            kind="exact",
        )

    def _predicts(self, measured: Measurements, removed: pd.DataFrame, rng: np.random.Generator) -> dict[str, Claim]:
        least = removed["removed"].min()
        share = int((removed["removed"].unique() == least).argmax())
        rows = removed[removed["removed"] == least].set_index("method")
        shuffled = rng.permuted(measured.scores[BEST], axis=1)
        changes = measures.predicted_changes(shuffled, measured.random_removed[share])
        score, interval = float(rows.loc[BEST, "lds"]), tuple(map(float, rows.loc[BEST, ["lds_low", "lds_high"]]))
        claims = {
            "predicts": Claim(
                f"With {100 * least:g} % removed, the linear datamodeling score of metagradients is at least "
                f"{self.least_lds:g} (lower end of the 95 % bootstrap interval over subsets).",
                value=score,
                threshold=self.least_lds,
                holds=interval[0] >= self.least_lds,
                kind="statistical",
                interval=interval,
                null=measures.lds(changes, measured.random[share]),
            )
        }
        if PLAIN in rows.index:
            margin, low = float(rows.loc[PLAIN, "behind"]), float(rows.loc[PLAIN, "behind_low"])
            claims["margin"] = Claim(
                f"With {100 * least:g} % removed, the score of metagradients is at least {self.least_margin:g} above "
                "that of the path kernel, and the bootstrap interval of the difference lies above 0.",
                value=margin,
                threshold=self.least_margin,
                holds=margin >= self.least_margin and low > 0,
                kind="statistical",
            )
        return claims


def over_runs(
    runs: Sequence[Run],
    resamples: int,
    rng: np.random.Generator,
    draw_runs: bool = False,
    analysis: str = "datamodeling",
) -> pd.DataFrame:
    """Return the mean over runs of the score of each share and method, with bootstrap intervals.

    Args:
        runs: with answers of the analysis for the same shares and methods.
        resamples: of the subsets of each run.
        draw_runs: whether the bootstrap also resamples runs, so that the interval covers other seeds.
        analysis: the name of the analysis.

    Returns:
        Columns removed, method, runs, lds, lds_low, lds_high, behind, behind_low, behind_high, as of `by_share`.
    """
    import pandas as pd

    answers = [Measurements.read(run.artifacts(analysis)) for run in runs]
    fractions = runs[0].artifacts(analysis).table("removed")["removed"].unique()
    rows = []
    for share, fraction in enumerate(fractions):
        means: dict[str, list[float]] = {}
        samples: dict[str, list[np.ndarray]] = {}
        for answer in answers:
            actual = answer.random[share]
            times = measures.resampled(len(actual), resamples, rng)
            for name, changes in answer.predicted(share).items():
                means.setdefault(name, []).append(measures.lds(changes, actual))
                samples.setdefault(name, []).append(measures.lds(changes, actual, times))
        drawn = rng.integers(len(runs), size=(len(runs), resamples)) if draw_runs else None
        pooled = {name: measures.over_runs(np.stack(values), drawn) for name, values in samples.items()}
        for name, values in means.items():
            row = {"removed": fraction, "method": name, "runs": len(runs), "lds": float(np.mean(values))}
            row["lds_low"], row["lds_high"] = percentile_interval(pooled[name])
            if BEST in means:
                row["behind"] = float(np.mean(means[BEST])) - row["lds"]
                row["behind_low"], row["behind_high"] = percentile_interval(pooled[BEST] - pooled[name])
            rows.append(row)
    return pd.DataFrame(rows)
