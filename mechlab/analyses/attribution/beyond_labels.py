"""What influences of training examples show beyond equal labels, and beyond a network that has learned nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

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
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
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
MOMENTS = ("end", "control")
ENDS = ("", "_low", "_high")
FEWEST = 20  # explained examples that the claim needs
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
        task = recipe.task
        one_each = task.spec.loss.indices and recipe.source().batch(0)[:1].cropped().targets.numel() == 1
        if not one_each or not isinstance(task, FiniteTask):
            must = f"analysis={name} needs a fixed set of examples with one class each"
            raise ConfigError(must, got=type(task).__name__, key=key, fix=f"leave {name} out of analysis=[...]")
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
        labels = {"explained": _labels(batch), "train": _labels(data)}
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
        finding = self._finding(table, len(arrays["classes"]), len(batch), steps)
        parts.clear()
        return finding

    def _explained(self, run: Run) -> Batch:
        """Return the explained examples: those of the given ids, or some classes with several examples of each."""
        if not isinstance(self.examples, int):
            return self._explained_examples.batch(run)
        batch = run.evaluation(self.split).cropped()
        labels = _labels(batch)
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
        keys = {"sums": _sums(batch, data), "inputs": _closeness(batch, data)}
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

    def _finding(self, table: pd.DataFrame, classes: int, examples: int, steps: int) -> Finding:
        whole = table.iloc[0]
        words = ("unnamed", "named", "classes", "within_sums", "within_inputs")
        scalars = {
            "unnamed_gain": whole["unnamed_gain"],
            "named_control": whole["named_control"],
            **{f"{word}_{moment}": whole[f"{word}_{moment}"] for word in words for moment in MOMENTS},
            "examples": examples,
            "classes": classes,
            "control_steps": steps,
        }
        scalars = {name: float(value) for name, value in scalars.items() if np.isfinite(value)}
        first = f"the first {steps} steps" if steps > 1 else "the first step"
        notes = {
            "control": f"Influences of {first} alone on the own class separate equal labels from others with an area "
            f"under the ROC curve of {whole['named_control']:.3f} ({whole['named_end']:.3f} at the end): the diagonal "
            "of the matrix of influences is no evidence of a learned mechanism."
        }
        if examples < FEWEST:
            notes["claims"] = f"No claim: it needs {FEWEST} explained examples, and these are {examples}."
            return Finding(scalars, {}, notes)
        low, high, chance = (whole[f"unnamed_{word}"] for word in ("gain_low", "gain_high", "null_high"))
        claim = Claim(
            "Influences on the confidence, which names no class, separate training examples of the explained example's "
            f"label from others better than those of {first} alone: the difference of the areas under the ROC curve is "
            "above 0 at the lower end of the 95 % bootstrap interval over explained examples, and the area at the end "
            "above those of 97.5 % of the permutations of their labels.",
            value=float(whole["unnamed_gain"]),
            threshold=0.0,
            holds=bool(low > 0 and whole["unnamed_end"] > chance),
            kind="statistical",
            null=0.0,
            interval=(float(low), float(high)),
        )
        return Finding(scalars, {"beyond_labels": claim}, notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the measures by component at the end and for the control, and influences between classes."""
        from mechlab.plotting import beyond_labels as draw

        table, classes, saved = out.table("components"), out.arrays("classes"), out.arrays("influence")
        return {
            "components": draw.components(table, len(saved["ids"]), len(classes["classes"])),
            "maps": draw.maps(saved["own"][:, 0], saved["confidence"][:, 0], saved["explained"], saved["train"], table),
        }


def own_class_and_confidence(outputs: Tensor, batch: Batch) -> Tensor:
    """Return the log-probability of each example's own class, and minus the mean over all classes (X, 2)."""
    logs = outputs.log_softmax(-1)
    if logs.ndim == 3:  # (X, T, C), of whose steps one counts
        steps = _counted_steps(batch)
        logs = logs.gather(1, steps[..., None].expand(-1, -1, logs.shape[2]))[:, 0]
    return torch.stack([logs.gather(1, _classes(batch)[:, None])[:, 0], -logs.mean(1)], 1)


def _counted_steps(batch: Batch) -> Tensor:
    """Return the step (X, 1) of each example whose target counts."""
    counted = torch.ones_like(batch.targets) if batch.mask is None else batch.mask.to(batch.targets.dtype)
    return counted.argmax(1, keepdim=True)


def _classes(batch: Batch) -> Tensor:
    """Return the class (X,) of each example."""
    return batch.targets if batch.targets.ndim == 1 else batch.targets.gather(1, _counted_steps(batch))[:, 0]


def _labels(batch: Batch) -> np.ndarray:
    return _classes(batch).numpy()


def _sums(batch: Batch, data: Batch) -> np.ndarray:
    """Return minus the distances (X, N) of the sums of the inputs' numbers."""
    sums = [each.inputs.flatten(1).double().sum(1).numpy() for each in (batch, data)]
    return -np.abs(sums[0][:, None] - sums[1])


def _closeness(batch: Batch, data: Batch) -> np.ndarray:
    """Return the number of equal tokens in equal places, or minus the distances (X, N) of real inputs."""
    one, two = (each.inputs.flatten(1) for each in (batch, data))
    if not one.is_floating_point():
        return (one[:, None] == two).sum(-1).numpy()
    return -torch.cdist(one.double(), two.double()).numpy()


def _mean_and_interval(values: np.ndarray, resamples: int) -> tuple[float, float, float]:
    """Return the mean of values (X,) that are known, and its percentile bootstrap interval; NaN without values."""
    from mechlab.statistics.bootstrap import percentile_interval

    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan, np.nan
    rows = np.random.default_rng(SEED).integers(len(values), size=(resamples, len(values)))
    return float(values.mean()), *percentile_interval(values[rows].mean(1))
