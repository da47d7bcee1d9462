"""The predictions of the analysis `datamodel`, their table and claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mechlab.analyses.attribution.datamodel_estimates import ONE, Estimate
from mechlab.core.analysis import Claim
from mechlab.kernels import lds as measures
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import percentile_interval

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 100  # held-out subsets below which no claim is made
PAIRS = 10  # of each output in the table of interactions


@dataclass(frozen=True)
class Predictions:
    """Actual and predicted outputs of M held-out retrainings.

    Args:
        removed: (M, N).
        actual: (M, Q).
        predicted: estimator -> (M, Q), outputs or changes.
    """

    removed: np.ndarray
    actual: np.ndarray
    predicted: dict[str, np.ndarray]

    @classmethod
    def of(cls, removed: np.ndarray, actual: np.ndarray, estimates: Sequence[Estimate]) -> Predictions:
        """Return the predictions of estimators."""
        return cls(removed, actual, {estimate.name: estimate.predicted for estimate in estimates})

    def save(self, out: Artifacts) -> None:
        """Save everything."""
        predicted = {f"predicted.{name}": np.ascontiguousarray(values) for name, values in self.predicted.items()}
        out.save_arrays("held_out", removed=self.removed, actual=np.ascontiguousarray(self.actual), **predicted)

    @classmethod
    def read(cls, out: Artifacts) -> Predictions:
        """Read what was saved."""
        arrays = out.arrays("held_out")
        predicted = {name.partition(".")[2]: v for name, v in arrays.items() if name.startswith("predicted.")}
        return cls(arrays["removed"], arrays["actual"], predicted)

    def scores(self, times: np.ndarray | None = None) -> dict[str, float | np.ndarray]:
        """Return the linear datamodeling score of each estimator, or those (B,) of resampled subsets (B, M)."""
        return {name: measures.lds(values, self.actual, times) for name, values in self.predicted.items()}


@dataclass(frozen=True)
class Scores:
    """Linear datamodeling scores of estimators, means over runs.

    Args:
        values: estimator -> score.
        samples: estimator -> (B,) scores of bootstrap samples, the same ones for all estimators.
    """

    values: dict[str, float]
    samples: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, runs: Sequence[Predictions], resamples: int, rng: np.random.Generator, draw_runs: bool = False
    ) -> Scores:
        """Return the scores of the estimators that all runs have, with resampled held-out subsets, and maybe runs."""
        names = [name for name in runs[0].predicted if all(name in run.predicted for run in runs)]
        drawn = rng.integers(len(runs), size=(len(runs), resamples)) if draw_runs else None
        values, samples = [], []
        for run in runs:
            values.append(run.scores())
            samples.append(run.scores(measures.resampled(len(run.actual), resamples, rng)))
        pooled = {name: measures.over_runs(np.stack([sample[name] for sample in samples]), drawn) for name in names}
        return cls({name: float(np.mean([value[name] for value in values])) for name in names}, pooled)

    def rows(self) -> list[dict[str, object]]:
        """Return for each estimator its score lds, and above, its score less that of one metagradient where there is
        one, each with the ends _low and _high of its interval of 95 %."""
        rows = []
        for name, value in self.values.items():
            row: dict[str, object] = {"estimator": name, "lds": value}
            row["lds_low"], row["lds_high"] = percentile_interval(self.samples[name])
            if ONE in self.values:
                row["above"], row["above_low"], row["above_high"] = self.less(name, ONE)
            rows.append(row)
        return rows

    def less(self, name: str, other: str) -> tuple[float, float, float]:
        """Return the difference of the scores of two estimators, and the ends of its interval of 95 %."""
        ends = percentile_interval(self.samples[name] - self.samples[other])
        return self.values[name] - self.values[other], *ends

    def pair_gains(self) -> dict[str, float]:
        """Return how much interactions add to the score of each regression, as pair_gain_REGRESSION, with the ends _low
        and _high of its interval."""
        gains: dict[str, float] = {}
        for name in (name for name in self.values if "_pairs_" in name):
            plain = name.replace("_pairs_", "_")
            key = f"pair_gain_{plain}"
            gains |= dict(zip((key, f"{key}_low", f"{key}_high"), self.less(name, plain), strict=True))
        return gains


def by_estimator(estimates: Sequence[Estimate], scores: Scores, chosen: str) -> pd.DataFrame:
    """Return a row for each estimator.

    Returns:
        Columns estimator, those of `Scores.rows`, retrainings, weightings, cost (in trainings), penalty and ratio of
        regressions (see `kernels.datamodels.Datamodel`), and chosen: whether its scores are the result.
    """
    import pandas as pd

    rows = scores.rows()
    for row, estimate in zip(rows, estimates, strict=True):
        row |= {name: getattr(estimate, name) for name in ("retrainings", "weightings", "cost")}
        row |= {name: getattr(estimate.model, name, np.nan) for name in ("penalty", "ratio")}
        row["chosen"] = estimate.name == chosen
    return pd.DataFrame(rows)


def permuted_score(scores: np.ndarray, measured: Predictions, rng: np.random.Generator) -> float:
    """Return the linear datamodeling score of scores (Q, N) whose examples are permuted."""
    changes = measures.predicted_changes(rng.permuted(scores, axis=1), measured.removed)
    return measures.lds(changes, measured.actual)


def strongest_pairs(interactions: np.ndarray) -> pd.DataFrame:
    """Return the pairs of training examples with the largest interactions (Q, N, N), of either sign, for each output.

    Returns:
        Columns explained (the number of the scalar), first, second, effect: the change of the output where both are
        removed, beyond the sum of the changes where one of them is.
    """
    import pandas as pd

    first, second = np.triu_indices(interactions.shape[1], 1)
    rows = []
    for number, effects in enumerate(interactions[:, first, second]):
        for i in np.argsort(-np.abs(effects), kind="stable")[:PAIRS]:
            rows.append({"explained": number, "first": first[i], "second": second[i], "effect": effects[i]})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class DatamodelClaims:
    """The claims about predictions.

    Args:
        least_lds, least_margin: of the prior with the fewest retrainings, and over one metagradient.
        least_best: of the scores that are the result.
        resampled: what the bootstrap of the intervals resamples.
    """

    least_lds: float
    least_margin: float
    least_best: float
    resampled: str = "held-out subsets"

    def claims(self, table: pd.DataFrame, null: float, about: str) -> dict[str, Claim]:
        """Return the claims.

        Args:
            table: columns of `by_estimator`.
            null: the linear datamodeling score of the scores with their examples permuted.
            about: the predictions, such as "with 5 % of the examples removed".
        """
        rows = {row["estimator"]: row for row in table.to_dict("records")}
        chosen = next(name for name, row in rows.items() if row["chosen"])
        claims = {"predicts": self._claim(chosen, rows[chosen], self.least_best, null, about)}
        priors = [name for name in rows if name.startswith("prior_") and "_pairs_" not in name]
        if priors:
            prior = min(priors, key=lambda name: rows[name]["retrainings"])
            claims["prior"] = self._claim(prior, rows[prior], self.least_lds, null, about)
            margin, low = rows[prior]["above"], rows[prior]["above_low"]
            claims["margin"] = Claim(
                f"The linear datamodeling score of {prior}, {about}, is at least {self.least_margin:g} above that of "
                "one metagradient, and the lower end of the interval of the difference is above 0.",
                value=margin,
                threshold=self.least_margin,
                holds=bool(margin >= self.least_margin and low > 0),
                kind="statistical",
                null=0.0,
            )
        return claims

    def _claim(self, name: str, row: dict[str, float], least: float, null: float, about: str) -> Claim:
        return Claim(
            f"The linear datamodeling score of {name}, {about}, is at least {least:g} (lower end of the 95 % "
            f"interval over {self.resampled}).",
            value=row["lds"],
            threshold=least,
            holds=bool(row["lds_low"] >= least),
            kind="statistical",
            null=null,
            interval=(row["lds_low"], row["lds_high"]),
        )
