"""What influences of training examples show beyond equal labels, and beyond a network that has learned nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.beyond_labels_finding import MOMENTS, finding_of
from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.checks import check_attribution
from mechlab.analyses.attribution.components import Components, components_of
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Positive,
    checkpoint_key,
    state_key,
)
from mechlab.analyses.attribution.own_classes import (
    closeness,
    labels_of,
    negative_sum_distances,
    own_class_and_confidence,
    targets_that_count,
)
from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.constraints import at_least
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, FiniteTask
from mechlab.record.artifacts import Artifacts
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.kernels.trajectory import Trajectory
    from mechlab.record.run import Run

Measure = Callable[[np.ndarray], np.ndarray]
WHOLE = "whole network"
ENDS = ("", "_low", "_high")
FEWEST_CLASSES = 6  # with two examples of either kind, that the correlation of halves needs
SEED = 0  # of the bootstrap


class BeyondLabels(Analysis):
    """Measure what the influences of training examples show beyond label identity, by component.

    Training on an example raises the log-probability of its label, so influences on an example's own class are larger
    for training examples of the same label from the first step on, in a network that has learned nothing: a diagonal
    in the matrix of influences is no evidence of a mechanism. This analysis computes the path kernel of the whole
    training and, as a control, that of its first steps alone, and reports for both:

    - named: the area under the ROC curve of influence on the log-probability of the own class, training examples of the
      same label against others;
    - unnamed: the same of influence on the confidence, minus the mean log-probability of all classes. It depends on no
      label, so labels show in it only if the network represents inputs of one class alike. Its null permutes the
      labels of the explained examples;
    - classes: for pairs of different classes, the correlation of mean influences on the confidence between disjoint
      halves of both the explained and the training examples (see `kernels.class_structure.SplitHalves`). With explained
      examples in common, or with scalars that name a class, halves agree in a network that has learned nothing too;
    - within equal labels: the rank correlation of influence on the own class with the closeness of two inputs: of the
      sums of their numbers, and of the inputs themselves (equal tokens, or minus the distance).

    The influence of a training example on itself, with split=train, is left out of all of them.

    Args:
        split: of the explained examples.
        examples: their number, taken class by class, or their ids.
        each: most examples of a class, where a number of examples is given.
        control: first steps of training that make up the control; None for one pass over the training examples, which
            for full batches is one step.
        divisions: random divisions of the examples into halves.
        resamples: of explained examples or classes, for bootstrap intervals of 95 %.
        permutations: of the explained examples' labels, for the null.
        nodes, tolerance, most_nodes: of the quadrature along each step; see PathKernel.
        components: the named sets of parameters; see `components_of`.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
    """

    needs = Needs(history="replay")
    version = 2
    headline = ("unnamed_gain", "named_control")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 40,
        each: Annotated[int, at_least(2)] = 4,
        control: Annotated[int, at_least(1)] | None = None,
        divisions: Annotated[int, at_least(1)] = 20,
        resamples: Annotated[int, at_least(20)] = 1000,
        permutations: Annotated[int, at_least(20)] = 200,
        nodes: Annotated[int, at_least(1)] = 1,
        tolerance: Positive | None = None,
        most_nodes: Annotated[int, at_least(1)] = 64,
        components: Components = "similar",
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 1.0,
    ):
        self.split, self.examples, self.each, self.control = split, examples, each, control
        self.divisions, self.resamples, self.permutations = divisions, resamples, permutations
        self.nodes, self.tolerance, self.most_nodes = nodes, tolerance, most_nodes
        self.components, self.memory_gb = components, memory_gb
        self.dtype, self.device = dtype, device

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if examples do not have one class each, or the model or the optimizer is not supported."""
        task, got = recipe.task, ""
        if not task.spec.loss.indices or not isinstance(task, FiniteTask):
            got = type(task).__name__
        else:
            for split in dict.fromkeys(("train", self.split)):
                counts = targets_that_count(task.examples(split))
                if (counts != 1).any():
                    wrong = int((counts != 1).argmax())
                    got = f"{counts[wrong]} targets that count in {split} example {wrong} of {type(task).__name__}"
        if got:
            must = f"analysis={name} needs a fixed set of examples with one class each"
            raise ConfigError(must, got=got, key=key, fix=f"leave {name} out of analysis=[...]")
        check_attribution(name, recipe, self._explained_examples, own_class_and_confidence, key)

    @property
    def _explained_examples(self) -> ExplainedExamples:
        return ExplainedExamples(self.split, self.examples, self.dtype, self.device)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute influences at the end and for the control, and measure them, resuming an interrupted attempt."""
        trajectory = self._explained_examples.trajectory(run)
        batch, data = self._explained(run), run.task.examples("train").cropped()
        steps = min(trajectory.steps, self.control or -(-len(data) // len(trajectory.step(0).batch)))
        trajectory.forget()
        parts = Checkpointed(
            run.folder / "work" / f"beyond_labels-{checkpoint_key(self, trajectory.steps)}-{state_key(rng)}"
        )
        names = [WHOLE, *components_of(trajectory.functional.layout.shapes, self.components)]
        influence = np.stack(
            [
                parts(name, lambda part=part, name=name: {"influence": self._influence(part, batch, parts, name)})[
                    "influence"
                ].numpy()
                for name, part in zip(MOMENTS, (trajectory, trajectory.until(steps)), strict=True)
            ]
        )  # (2, G, X, 2, N)
        labels = {"explained": labels_of(batch), "train": labels_of(data)}
        out.save_arrays(
            "influence", own=influence[..., 0, :], confidence=influence[..., 1, :], ids=batch.index, **labels
        )
        if self.split == "train":  # the influence of an example on itself is none of a pair
            itself = (batch.index[:, None] == data.index).numpy()
            influence = np.where(itself[:, None], np.nan, influence)
        own, confidence = influence[..., 0, :], influence[..., 1, :]
        table, arrays = self._classes(confidence, labels, names, rng)
        measures = self._measures(labels, batch, data)
        for name, measure in measures.items():
            table = table.merge(self._by_example(name, measure, confidence if name == "unnamed" else own, names))
        low, high = self._permuted(confidence[0, 0], labels, rng)
        table["unnamed_null_low"], table["unnamed_null_high"] = np.nan, np.nan
        table.loc[0, ["unnamed_null_low", "unnamed_null_high"]] = low, high
        out.save_table("components", table)
        out.save_arrays("classes", **arrays)
        finding = finding_of(table, len(arrays["classes"]), len(batch), steps)
        parts.clear()
        return finding

    def _explained(self, run: Run) -> Batch:
        """Return the explained examples: those of the given ids, or some classes with several examples of each."""
        if not isinstance(self.examples, int):
            return self._explained_examples.batch(run)
        batch = run.evaluation(self.split).cropped()
        labels = labels_of(batch)
        kinds, counts = np.unique(labels, return_counts=True)
        order = kinds[np.argsort(-np.minimum(counts, self.each), kind="stable")]
        ids = np.concatenate([np.flatnonzero(labels == kind)[: self.each] for kind in order])[: self.examples]
        return batch[torch.as_tensor(np.sort(ids))]

    def _influence(self, trajectory: Trajectory, batch: Batch, parts: Checkpointed, name: str) -> Tensor:
        """Return the influences (1 + components, X, 2, N) on the own class and on the confidence."""
        from mechlab.kernels.backward import PathKernelBackward
        from mechlab.kernels.decomposition import PathKernelSettings
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.quadrature import Quadrature

        functional = trajectory.functional
        groups = components_of(functional.layout.shapes, self.components)
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance, self.most_nodes)
        settings = PathKernelSettings(quadrature, limit=int(self.memory_gb * 1e9), scores=False, groups=groups)
        explained = Explained(functional, functional.placed(batch), own_class_and_confidence)
        backward = PathKernelBackward(trajectory, explained, settings)
        carry_out(backward, f"beyond_labels, {name}", parts.file(f"{name}-part"))
        result = backward.result()
        return torch.as_tensor(np.stack([result.influence, *result.influence_by_group.values()]))

    def _classes(
        self, influence: np.ndarray, labels: dict[str, np.ndarray], names: list[str], rng: np.random.Generator
    ) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """Return by component the correlation of halves of influences (2, G, X, N), and the means of pairs of classes;
        no correlation with few classes."""
        import pandas as pd

        from mechlab.kernels.class_structure import SplitHalves, repeated_classes
        from mechlab.statistics.bootstrap import percentile_interval

        G, (explained, train) = len(names), labels.values()
        L = len(repeated_classes(explained, train))
        halves = SplitHalves.of(influence.reshape(2 * G, *influence.shape[2:]), explained, train, self.divisions, rng)
        arrays = {"classes": halves.classes, "means": halves.mean().reshape(2, G, L, L)}
        columns: dict[str, Any] = {"component": names}
        if L < FEWEST_CLASSES:
            words = [f"classes_{moment}{end}" for moment in MOMENTS for end in ENDS]
            return pd.DataFrame({**columns, **dict.fromkeys(words, np.nan)}), arrays
        weights = np.random.default_rng(SEED).multinomial(L, np.full(L, 1 / L), size=self.resamples).astype(float)
        values, drawn = (halves.correlation(each).reshape(-1, 2, G) for each in (None, weights))
        for i, moment in enumerate(MOMENTS):
            ends = np.array([percentile_interval(column) for column in drawn[:, i].T])
            columns |= dict(zip((f"classes_{moment}{end}" for end in ENDS), (values[0, i], *ends.T), strict=True))
        return pd.DataFrame(columns), arrays

    def _measures(self, labels: dict[str, np.ndarray], batch: Batch, data: Batch) -> dict[str, Measure]:
        """Return the measures of a matrix of influences (X, N) that have a value (X,) for each explained example."""
        from mechlab.kernels.class_structure import label_auc, within_labels

        area = lambda matrix: label_auc(matrix, **labels)  # noqa: E731
        keys = {"sums": negative_sum_distances(batch, data), "inputs": closeness(batch, data)}
        within = {
            f"within_{name}": lambda matrix, key=key: within_labels(matrix, **labels, key=key)
            for name, key in keys.items()
        }
        return {"named": area, "unnamed": area, **within}

    def _by_example(self, name: str, measure: Measure, influence: np.ndarray, names: list[str]) -> pd.DataFrame:
        """Return by component the mean of a measure of influences (2, G, X, N) over the explained examples."""
        import pandas as pd

        rows = np.stack([[measure(matrix) for matrix in moment] for moment in influence])  # (2, G, X)
        columns: dict[str, Any] = {"component": names}
        for moment, each in zip((*MOMENTS, "gain"), (*rows, rows[0] - rows[1]), strict=True):
            found = np.array([_mean_and_interval(values, self.resamples) for values in each])
            columns |= dict(zip((f"{name}_{moment}{end}" for end in ENDS), found.T, strict=True))
        return pd.DataFrame(columns)

    def _permuted(
        self, influence: np.ndarray, labels: dict[str, np.ndarray], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Return the 95 % interval of the mean area of influences (X, N) with permuted labels of the examples (X)."""
        from mechlab.kernels.class_structure import label_auc
        from mechlab.statistics.bootstrap import percentile_interval

        drawn = [
            label_auc(influence, rng.permutation(labels["explained"]), labels["train"])
            for _ in range(self.permutations)
        ]
        means = np.array([areas[np.isfinite(areas)].mean() for areas in drawn if np.isfinite(areas).any()])
        return percentile_interval(means) if len(means) else (np.nan, np.nan)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the measures by component at the end and for the control, and influences between classes."""
        from mechlab.plotting import beyond_labels as draw

        table, classes, saved = out.table("components"), out.arrays("classes"), out.arrays("influence")
        return {
            "components": draw.components(table, len(saved["ids"]), len(classes["classes"])),
            "maps": draw.maps(saved["own"][:, 0], saved["confidence"][:, 0], saved["explained"], saved["train"], table),
        }


def _mean_and_interval(values: np.ndarray, resamples: int) -> tuple[float, float, float]:
    """Return the mean of values (X,) that are known, and its percentile bootstrap interval; NaN without values."""
    from mechlab.statistics.bootstrap import percentile_interval

    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan, np.nan
    rows = np.random.default_rng(SEED).integers(len(values), size=(resamples, len(values)))
    return float(values.mean()), *percentile_interval(values[rows].mean(1))
