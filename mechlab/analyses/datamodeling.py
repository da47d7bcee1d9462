"""Validation of attributions against training without some examples."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch

from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.checks import check_attribution, second_derivatives
from mechlab.analyses.attribution.datamodeling_tables import DatamodelingClaims, Measurements, by_method, by_share
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
from mechlab.analyses.attribution.methods import METHODS, AttributionMethods
from mechlab.analyses.attribution.record_in_memory import RelabelledTask, record_in_memory
from mechlab.analyses.attribution.reweighted_training import ReweightedTraining
from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.constraints import Filled, Interval, at_least, between
from mechlab.core.task import Batch, FiniteTask
from mechlab.kernels.influence_functions import gauss_newton
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from mechlab.core.recipe import Recipe
    from mechlab.kernels.functional_model import FunctionalModel
    from mechlab.kernels.trajectory import Trajectory
    from mechlab.record.run import Run

Share = Annotated[float, Interval(0, 1, open_low=True, open_high=True)]
Method = Literal[METHODS]
JUDGED = 200  # most examples whose labels are classified as right or wrong


class Datamodeling(Analysis):
    """Retrain without some training examples, and compare the outputs with the predictions of attribution.

    Removing an example sets its weight to 0 and keeps the batch's denominator; everything else, the initialisation too,
    is that of the run. The prediction is minus the sum of the removed examples' scores (Park et al., arXiv 2303.14186).

    Args:
        split: of the explained examples.
        examples: their number, from the first on, or their ids.
        outputs: the explained scalars: all, target, margin, loss, irreps, or package.module.function; see PathKernel.
        compared: the methods of attribution: path_kernel, metagradient, and baselines: inner products of gradients
            along training (tracin, tracin_checkpoints) and at its end (gradient_dot), in random projections (trak),
            times the inverse Gauss-Newton matrix in EK-FAC (influence), in the last layer alone (representer), and the
            similarity of the last layer's inputs (nearest). Left out are those after tracin with data that is drawn
            without end, and nearest where the outputs are not target or margin.
        fractions: shares of the training examples that are removed.
        subsets: random subsets of each share.
        leave_one_out: training examples that are left out alone, drawn at random; 0 for none.
        remove_helpful: whether to also remove the examples with the largest scores for each output, of each method and
            share, and compare with random removals, of examples with the explained label too where there is one: a
            method that selects such examples lowers the output by as much, and need not predict anything else.
        mislabelled: share of wrong training labels in an additional training, which are detected by the score of each
            example for itself; 0 for none. Skipped where examples do not have one label each.
        other_seeds: additional trainings with other seeds, whose scores are compared with the run's; 0 for none.
        resamples: of the subsets, for bootstrap intervals of 95 %.
        nodes, tolerance: of the quadrature of the path kernel.
        checkpoints: evenly spaced steps of tracin_checkpoints.
        dimensions: of the random projections of trak.
        damping: of trak and influence, relative to the mean eigenvalue.
        dtype: of the arithmetic, of trainings too; that of training if None.
        device: of the arithmetic, of trainings too: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
        workers: concurrent trainings, in threads; None for one per available processor.
        least_lds, least_margin: thresholds of the claims, at the smallest share removed.
    """

    needs = Needs(history="replay")
    version = 2

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 8,
        outputs: Outputs = "target",
        compared: Annotated[tuple[Method, ...], Filled()] = (
            "path_kernel",
            "metagradient",
            "tracin",
            "tracin_checkpoints",
            "gradient_dot",
            "trak",
            "influence",
            "nearest",
        ),
        fractions: Annotated[tuple[Share, ...], Filled()] = (0.05, 0.1, 0.3, 0.5),
        subsets: Annotated[int, at_least(2)] = 200,
        leave_one_out: Annotated[int, at_least(0)] = 60,
        remove_helpful: bool = True,
        mislabelled: Annotated[float, Interval(0, 1, open_high=True)] = 0.1,
        other_seeds: Annotated[int, at_least(0)] = 2,
        resamples: Annotated[int, at_least(1)] = 1000,
        nodes: Annotated[int, at_least(1)] = 1,
        tolerance: Positive | None = 0.01,
        checkpoints: Annotated[int, at_least(1)] = 10,
        dimensions: Annotated[int, at_least(1)] = 512,
        damping: Positive = 0.1,
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 1.0,
        workers: Annotated[int, at_least(1)] | None = None,
        least_lds: Annotated[float, between(-1, 1)] = 0.6,
        least_margin: Annotated[float, between(-2, 2)] = 0.25,
    ):
        self.split, self.examples, self.outputs = split, examples, outputs
        self.compared, self.fractions, self.subsets = compared, fractions, subsets
        self.leave_one_out, self.remove_helpful = leave_one_out, remove_helpful
        self.mislabelled, self.other_seeds, self.resamples = mislabelled, other_seeds, resamples
        self.nodes, self.tolerance, self.checkpoints = nodes, tolerance, checkpoints
        self.dimensions, self.damping = dimensions, damping
        self.dtype, self.device, self.memory_gb, self.workers = dtype, device, memory_gb, workers
        self.least_lds, self.least_margin = least_lds, least_margin

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported."""
        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        check_attribution(name, recipe, examples, self.outputs, key, self._try_derivatives)

    def _try_derivatives(self, functional: FunctionalModel, theta: Tensor, batch: Batch) -> None:
        """Differentiate the model on a batch as the compared methods do."""
        if "metagradient" in self.compared:
            second_derivatives(functional, theta, batch)
        if "influence" in self.compared:
            gauss_newton(functional, theta, batch)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute scores, retrain and compare, resuming an interrupted attempt."""
        from mechlab.kernels import lds as measures
        from mechlab.kernels.explained import Explained

        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        batch, limit = examples.batch(run), int(self.memory_gb * 1e9)
        outputs = scalars_of(self.outputs, run.task)
        trajectory = examples.trajectory(run)
        parts = Checkpointed(
            run.folder / "work" / f"datamodeling-{checkpoint_key(self, trajectory.steps)}-{state_key(rng)}"
        )
        settings = (self.nodes, self.tolerance, self.checkpoints, limit, self.dimensions, self.damping)
        attribution = AttributionMethods(outputs, *settings)
        methods = attribution.methods(self.compared, endless=not isinstance(run.task, FiniteTask))
        N = trajectory.examples
        random = [measures.random_removals(N, share, self.subsets, rng) for share in self.fractions]
        alone = measures.single_removals(np.sort(rng.permutation(N)[: self.leave_one_out]), N)

        scored = {name: attribution.scores(name, lambda: trajectory, batch, parts, "scores") for name in methods}
        scores = {name: tensors["scores"].numpy() for name, tensors in scored.items()}  # (Q, N)
        trajectory.forget()
        sizes = [int(sets[0].sum()) for sets in random] if self.remove_helpful else []
        chosen = {name: [measures.helpful_removals(scores[name], size) for size in sizes] for name in methods if sizes}
        if (labels := self._single_labels(run, batch)) is not None and sizes:
            generator = rng.spawn(1)[0]
            chosen["same_label"] = [measures.same_label_removals(*labels, size, generator) for size in sizes]
        explained = Explained(trajectory.functional, trajectory.functional.placed(batch), outputs)
        retraining = ReweightedTraining(run.recipe, trajectory, explained, limit, self.workers)
        sets = [np.zeros((1, N), bool), *random, alone, *(part for of_method in chosen.values() for part in of_method)]
        ends = np.cumsum([len(part) for part in sets])[:-1]
        replayed, *retrained = np.split(retraining.outputs(np.concatenate(sets), parts), ends)
        F = len(random)
        selected = [np.diag(part) for part in retrained[F + 1 :]]  # of each output, without the examples chosen for it
        measured = Measurements(
            recorded=retraining.recorded(),
            replayed=replayed[0],
            random=np.stack(retrained[:F]),
            random_removed=np.stack(random),
            alone=retrained[F],
            alone_removed=alone,
            helpful={name: np.stack(selected[i * F : (i + 1) * F]) for i, name in enumerate(chosen)},
            scores=scores,
            labels=self._labels(run, trajectory, attribution, methods, parts, rng),
            seeds=self._seeds(run, trajectory, attribution, methods, batch, parts),
            account={
                name: float(value) for part in scored.values() for name, value in part.items() if name != "scores"
            },
        )
        measured.save(out)
        tables = {
            "removed": by_share(measured, self.fractions, self.resamples, rng),
            "methods": by_method(measured),
        }
        for name, table in tables.items():
            out.save_table(name, table)
        exactness = 1e-9 if trajectory.functional.dtype.itemsize == 8 else 1e-4
        finding = DatamodelingClaims(self.least_lds, self.least_margin, exactness).finding(measured, rng=rng, **tables)
        parts.clear()
        return finding

    def _single_labels(self, run: Run, batch: Batch) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the labels of the explained examples (Q,) and of the training examples (N,); None where outputs or
        examples do not have one label each."""
        from mechlab.kernels.last_layer import OWN_CLASS

        if not isinstance(run.task, FiniteTask) or not run.spec.loss.indices or self.outputs not in OWN_CLASS:
            return None
        labels = run.task.examples("train").targets
        return None if labels.ndim > 1 else (batch.targets.cpu().numpy(), labels.cpu().numpy())

    def _labels(
        self,
        run: Run,
        trajectory: Trajectory,
        attribution: AttributionMethods,
        methods: list[str],
        parts: Checkpointed,
        rng: np.random.Generator,
    ) -> dict[str, np.ndarray]:
        """Train with some wrong labels; return for K examples whether theirs is `wrong` (K,), and their scores for
        themselves (K,) by method. Empty where this is switched off, or where examples do not have one label each."""
        from mechlab.kernels.lds import wrong_labels

        finite = isinstance(run.task, FiniteTask) and run.spec.loss.indices
        data = run.task.examples("train") if finite else None
        if not self.mislabelled or data is None or data.targets.ndim > 1 or len(data.targets.unique()) < 2:
            return {}
        number = min(max(1, round(self.mislabelled * len(data))), len(data) - 1)
        targets, wrong = wrong_labels(data.targets.numpy(), number, rng)
        order = rng.permutation(len(data))
        rows = np.sort(np.concatenate([order[wrong[order] == side][: JUDGED // 2] for side in (True, False)]))
        data = replace(data, targets=torch.as_tensor(targets))
        make = functools.cache(lambda: self._trained(run, trajectory, task=RelabelledTask(run.task, data.targets)))
        attribution, judged, influence = replace(attribution, outputs="target"), data[torch.as_tensor(rows)], {}
        for name in methods:
            if name == "nearest":  # every example is equally similar to itself
                continue
            scores = attribution.scores(name, make, judged, parts, "labels")["scores"].numpy()
            influence[name] = scores[np.arange(len(rows)), rows]
        return {"wrong": wrong[rows], **influence}

    def _seeds(
        self,
        run: Run,
        trajectory: Trajectory,
        attribution: AttributionMethods,
        methods: list[str],
        batch: Batch,
        parts: Checkpointed,
    ) -> dict[str, np.ndarray]:
        """Train with other seeds; return the scores (R, Q, N) by method. Empty with examples that are drawn without
        end, which differ between seeds."""
        if not self.other_seeds or not isinstance(run.task, FiniteTask):
            return {}
        scores: dict[str, list[np.ndarray]] = {name: [] for name in methods}
        for number in range(1, self.other_seeds + 1):
            make = functools.cache(
                lambda seed=run.seed + number: self._trained(run, trajectory, seed=seed, initial=None)
            )
            for name in methods:
                scores[name].append(attribution.scores(name, make, batch, parts, f"seed{number}")["scores"].numpy())
        return {name: np.stack(rows) for name, rows in scores.items()}

    def _trained(self, run: Run, trajectory: Trajectory, **changes: Any) -> Trajectory:
        """Train the recipe of a run with some changes, by default from its own initial weights."""
        changes = {"initial": dict(trajectory.record.params(0)), "dtype": trajectory.functional.dtype} | changes
        limit, device = int(self.memory_gb * 1e9), trajectory.functional.device
        return record_in_memory(replace(run.recipe, **changes), trajectory.steps, limit, device)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the scores by share removed, predicted against actual outputs, and the other measures."""
        from mechlab.plotting import datamodeling as draw

        measured, removed, methods = Measurements.read(out), out.table("removed"), out.table("methods")
        predicted = {name: measured.predicted(0)[name] for name in methods["method"]}
        judged = f"{len(measured.labels['wrong']):,} labels" if measured.labels else ""
        seeds = f"{max(map(len, measured.seeds.values())):,} other seeds" if measured.seeds else ""
        samples = {"leave_one_out": f"{len(measured.alone):,} examples", "mislabelled": judged, "stability": seeds}
        return {
            "lds": draw.score_by_share(removed, measured.random.shape[1], self.least_lds),
            "predicted": draw.predicted_and_actual(predicted, measured.random[0], removed["removed"].iloc[0]),
            "measures": draw.measures(methods, samples),
        }
