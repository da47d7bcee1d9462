"""Datamodels of several runs: the mean score of each estimator, such as over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.attribution.datamodel_tables import (
    FEWEST,
    DatamodelClaims,
    Predictions,
    Scores,
    permuted_score,
)
from mechlab.core.analysis import Finding
from mechlab.core.constraints import at_least, between
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

READ = "datamodel"


class DatamodelOverRuns(SetAnalysis):
    """Average the scores of the analysis `datamodel` over runs that differ in their seed only.

    Args:
        draw_runs: whether the bootstrap resamples runs too, so that intervals are for other seeds; else they are for
            other held-out subsets of these runs.
        resamples: of the bootstrap, for intervals of 95 %.
        fewest: runs below which no claim is made.
        least_lds, least_margin, least_best: thresholds of the claims, as of `datamodel`, for means over runs.
    """

    needs = SetNeeds(
        runs=2,
        equal=("run_id",),
        analyses=(READ,),
        files=tuple(
            f"analyses/{READ}/{name}" for name in ("held_out.safetensors", "scores.safetensors", "estimators.csv")
        ),
    )

    def __init__(
        self,
        draw_runs: bool = False,
        resamples: Annotated[int, at_least(20)] = 1000,
        fewest: Annotated[int, at_least(2)] = 3,
        least_lds: Annotated[float, between(-1, 1)] = 0.8,
        least_margin: Annotated[float, between(-2, 2)] = 0.08,
        least_best: Annotated[float, between(-1, 1)] = 0.85,
    ):
        self.draw_runs, self.resamples, self.fewest = draw_runs, resamples, fewest
        self.least_lds, self.least_margin, self.least_best = least_lds, least_margin, least_best

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save the table of mean scores and that of each run; claim the thresholds for the means."""
        import pandas as pd

        answers = [Predictions.read(run.artifacts(READ)) for run in runs]
        first = runs[0].artifacts(READ).table("estimators").set_index("estimator")
        scores = Scores.of(answers, self.resamples, rng, self.draw_runs)
        costs = first[["retrainings", "weightings", "cost", "chosen"]]
        table = costs.join(pd.DataFrame(scores.rows()).set_index("estimator"), how="inner").reset_index()
        table["runs"] = len(runs)
        out.save_table("estimators", table)
        out.save_table(
            "runs", pd.DataFrame([{"seed": run.seed, **a.scores()} for run, a in zip(runs, answers, strict=True)])
        )
        subsets = sum(len(answer.actual) for answer in answers)
        scalars = {"runs": float(len(runs)), "subsets": float(subsets)}
        scalars |= {f"lds_{name}": value for name, value in scores.values.items()} | scores.pair_gains()
        interval = "runs and held-out subsets" if self.draw_runs else "the held-out subsets of each run"
        notes = {"intervals": f"Intervals of 95 % are from resampling {interval}."}
        if len(runs) < self.fewest or subsets < FEWEST:
            notes["fewest"] = f"No claim is made of fewer than {self.fewest} runs or {FEWEST} held-out subsets."
            return Finding(scalars, notes=notes)
        claims = DatamodelClaims(self.least_lds, self.least_margin, self.least_best, interval)
        return Finding(
            scalars, claims.claims(table, self._null(runs, answers, rng), f"mean over {len(runs)} runs"), notes
        )

    @staticmethod
    def _null(runs: Sequence[Run], answers: Sequence[Predictions], rng: np.random.Generator) -> float:
        """Return the mean score of the runs' scores with their examples permuted."""
        scores = [run.artifacts(READ).arrays("scores")["scores"] for run in runs]
        return float(np.mean([permuted_score(s, answer, rng) for s, answer in zip(scores, answers, strict=True)]))

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw mean scores against costs."""
        from mechlab.plotting.datamodel import score_by_cost

        table = out.table("estimators")
        return {"costs": score_by_cost(table, f"mean over {table['runs'].iloc[0]:,} runs, 95 % intervals")}
