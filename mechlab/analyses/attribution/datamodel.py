"""Datamodels: scores of training examples that predict retraining, estimated from retrainings and metagradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.checks import check_attribution, second_derivatives
from mechlab.analyses.attribution.datamodel_estimates import MEDIAN, ONE, Estimate, Estimators
from mechlab.analyses.attribution.datamodel_tables import (
    FEWEST,
    DatamodelClaims,
    Predictions,
    Scores,
    by_estimator,
    permuted_score,
    strongest_pairs,
)
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Outputs,
    Positive,
    checkpoint_key,
    scalars_of,
    state_key,
)
from mechlab.analyses.attribution.reweighted_training import ReweightedTraining
from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.constraints import Filled, Interval, at_least, between
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.record.run import Run


class Datamodel(Analysis):
    """Estimate scores whose sums predict outputs after training without some examples, and measure their predictions.

    Estimators are metagradients at the weights 1, the mean and the median of metagradients at random removals, ridge
    regression of retrainings on the removals, and that regression with median and spread of the metagradients as prior
    mean and standard deviation, all without and the last also with interactions of pairs. Each predicts the outputs of
    held-out retrainings; the linear datamodeling score is the rank correlation of predicted and actual outputs over
    subsets. Costs are counted in trainings: a Hessian-vector product counts as two gradients, so that a metagradient of
    Q scalars costs 2 + 2 Q trainings, and one more where the training is not recorded.

    Args:
        split: of the explained examples.
        examples: their number, from the first on, or their ids.
        outputs: the explained scalars: all, target, margin, loss, irreps, or package.module.function; see PathKernel.
        estimator: of the scores: regression, prior (regression with metagradients as prior), or auto: prior where
            metagradients cost less than the 3 retrainings for each training example that they save, else regression.
        compare: whether to measure the other estimators too.
        fraction: share of the training examples that are removed.
        retrainings: numbers of retrainings that models are fitted to; the scores are those of the largest.
        weightings: random removals at which metagradients are computed, the first of the retrainings'.
        ceiling: retrainings of the best additive prediction; 0 for none.
        interactions: whether to fit interactions of pairs.
        subsets: held-out removals, drawn from another stream of random numbers.
        resamples: of the held-out subsets, for bootstrap intervals of 95 %.
        dtype: of the arithmetic, of trainings too; that of training if None.
        device: of the arithmetic, of trainings too: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
        workers: concurrent trainings, in threads; None for one per available processor.
        least_lds, least_margin: thresholds of the claims about the prior with the fewest retrainings: its score, and
            the score less that of one metagradient.
        least_best: threshold of the claim about the scores.

    Source: Ilyas et al. (datamodels), arXiv 2202.00622; Park et al. (the linear datamodeling score), arXiv 2303.14186.
    """

    needs = Needs(history="replay")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 8,
        outputs: Outputs = "target",
        estimator: Literal["auto", "regression", "prior"] = "auto",
        compare: bool = True,
        fraction: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.05,
        retrainings: Annotated[tuple[Annotated[int, at_least(2)], ...], Filled()] = (64, 300),
        weightings: Annotated[int, at_least(2)] = 64,
        ceiling: Annotated[int, at_least(0)] = 1000,
        interactions: bool = True,
        subsets: Annotated[int, at_least(2)] = 200,
        resamples: Annotated[int, at_least(20)] = 1000,
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 1.0,
        workers: Annotated[int, at_least(1)] | None = None,
        least_lds: Annotated[float, between(-1, 1)] = 0.8,
        least_margin: Annotated[float, between(-2, 2)] = 0.08,
        least_best: Annotated[float, between(-1, 1)] = 0.85,
    ):
        self.split, self.examples, self.outputs = split, examples, outputs
        self.estimator, self.compare, self.fraction = estimator, compare, fraction
        self.retrainings, self.weightings, self.ceiling = retrainings, weightings, ceiling
        self.interactions, self.subsets, self.resamples = interactions, subsets, resamples
        self.dtype, self.device, self.memory_gb, self.workers = dtype, device, memory_gb, workers
        self.least_lds, self.least_margin, self.least_best = least_lds, least_margin, least_best

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported."""
        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        derived = self.compare or self.estimator != "regression"
        check_attribution(name, recipe, examples, self.outputs, key, second_derivatives if derived else None)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Retrain, differentiate, estimate and predict held-out outputs, resuming an interrupted attempt."""
        from mechlab.kernels import lds as measures
        from mechlab.kernels.explained import Explained

        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        trajectory, limit = examples.trajectory(run), int(self.memory_gb * 1e9)
        batch = trajectory.functional.placed(examples.batch(run))
        explained = Explained(trajectory.functional, batch, scalars_of(self.outputs, run.task))
        parts = Checkpointed(
            run.folder / "work" / f"datamodel-{checkpoint_key(self, trajectory.steps)}-{state_key(rng)}"
        )
        retraining = ReweightedTraining(run.recipe, trajectory, explained, limit, self.workers)

        estimators = self._estimators(trajectory.examples, explained.shape[0] * explained.shape[1], limit)
        fitted, held_out, statistics = rng.spawn(3)
        tested = measures.random_removals(trajectory.examples, self.fraction, self.subsets, held_out)
        most = max(estimators.retrainings, estimators.weightings)
        removed = measures.unseen_removals(trajectory.examples, self.fraction, most, tested, fitted)
        seen = measures.common_sets(tested, removed)
        print(f"datamodel: {estimators.announcement(self.subsets)}", flush=True)
        nothing = np.zeros((1, trajectory.examples), bool)
        sets = np.concatenate([nothing, tested, removed[: estimators.retrainings]])
        repeated, actual, outputs = np.split(retraining.outputs(sets, parts), [1, 1 + self.subsets])
        derivatives = None
        if estimators.weightings:
            sets = np.concatenate([nothing, removed[: estimators.weightings]])
            derivatives = retraining.metagradients(sets, parts)
            out.save_arrays("derivatives", norms=np.linalg.norm(derivatives, axis=2))
        estimates = list(estimators(removed, outputs, derivatives, tested))
        spread = max(actual.std(0).mean(), np.finfo(float).tiny)
        scalars = {"replay_error": float(np.abs(repeated[0] - retraining.recorded()).max() / spread)}
        finding = self._finding(
            estimators, estimates, Predictions.of(tested, actual, estimates), seen, scalars, out, statistics
        )
        parts.clear()
        return finding

    def _estimators(self, examples: int, outputs: int, limit: int) -> Estimators:
        """Return the estimators to compute; interactions are left out where they do not fit the limit in bytes."""
        pairs = self.interactions and outputs * examples**2 * 8 <= limit
        most = self.ceiling if self.compare else 0
        return Estimators(
            outputs, examples, self.estimator, self.compare, self.retrainings, self.weightings, most, pairs
        )

    def _finding(
        self,
        estimators: Estimators,
        estimates: list[Estimate],
        measured: Predictions,
        seen: int,
        scalars: dict[str, float],
        out: Artifacts,
        rng: np.random.Generator,
    ) -> Finding:
        """Save predictions, scores and tables; return scores and costs as scalars, claims, and notes.

        Args:
            seen: number of the held-out removals that models were fitted to as well.
        """
        chosen = next(estimate for estimate in estimates if estimate.name == estimators.chosen)
        measured.save(out)
        others = {estimate.name: estimate.scores for estimate in estimates if estimate.name in (ONE, MEDIAN)}
        out.save_arrays("scores", scores=chosen.scores, **others)
        interactions = [estimate for estimate in estimates if estimate.pairs is not None]
        if interactions:
            out.save_table("pairs", strongest_pairs(interactions[-1].pairs))
        scores = Scores.of([measured], self.resamples, rng)
        table = by_estimator(estimates, scores, chosen.name)
        out.save_table("estimators", table)
        scalars = {"lds": scores.values[chosen.name], "cost": float(chosen.cost), **scalars}
        scalars |= {f"lds_{name}": value for name, value in scores.values.items()}
        scalars |= {f"cost_{estimate.name}": float(estimate.cost) for estimate in estimates} | scores.pair_gains()
        notes = {"scores": f"The scores are those of {chosen.name}{estimators.reason}."}
        if self.subsets < FEWEST:
            notes["fewest"] = f"No claim is made of fewer than {FEWEST} held-out subsets."
            return Finding(scalars, notes=notes)
        if seen:
            notes["held_out"] = (
                f"No claim is made: {seen} of {self.subsets} held-out subsets are among the fitted ones, since there "
                "are too few other subsets of the training examples."
            )
            return Finding(scalars, notes=notes)
        claims = DatamodelClaims(self.least_lds, self.least_margin, self.least_best)
        null, about = permuted_score(chosen.scores, measured, rng), f"with {100 * self.fraction:g} % removed"
        return Finding(scalars, claims.claims(table, null, about), notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw scores against costs, predicted against actual outputs, and the sizes of metagradients."""
        from mechlab.plotting import datamodel as draw
        from mechlab.plotting.datamodeling import predicted_and_actual

        table, measured = out.table("estimators"), Predictions.read(out)
        first = [name for name in (ONE, MEDIAN) if name in measured.predicted]
        best = table.loc[table["lds"].idxmax(), "estimator"]
        shown = {draw.label_of(name): measured.predicted[name] for name in dict.fromkeys([*first, best])}
        sample = f"{100 * self.fraction:g} % removed, n = {len(measured.actual):,} held-out subsets, 95 % intervals"
        figures = {
            "costs": draw.score_by_cost(table, sample),
            "predicted": predicted_and_actual(shown, measured.actual, self.fraction),
        }
        if (out.folder / "derivatives.safetensors").exists():
            figures["weightings"] = draw.sizes(out.arrays("derivatives")["norms"])
        return figures
