"""Similarity of examples by what the parameters of each component contribute to their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch

from mechlab.analyses.attribution.checks import check_attribution
from mechlab.analyses.attribution.components import Components, components_of
from mechlab.analyses.attribution.example_keys import Key, example_table, joined, relations, sorted_order
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Positive,
    checkpoint_key,
)
from mechlab.analyses.attribution.matrix_tables import matrix_blocks, matrix_table
from mechlab.analyses.attribution.score_cosines import ScoreGrams, first_moving_step, score_grams, summed_outputs
from mechlab.analyses.attribution.similarity_tables import (
    best_component,
    between_components,
    by_key,
    by_slice,
    claims,
    embedding,
    similar_examples,
)
from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.constraints import Filled, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, FiniteTask, Task
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.record.run import Run

WHOLE = "all parameters"
SLICES = 10  # by default
PANELS = 4  # most slices, and most components, that are drawn in one figure
SCORED = 400  # most examples whose pairs are compared by their keys, at equal distances in the sorted order
DRAWN = {"cosines": 300, "against_training": 300, "cosines_by_slice": 150}  # most rows of a heat map; else averaged


class ComponentSimilarity(Analysis):
    """Compare examples by their vectors of parameter scores within each component of the network ("ExPLAIND", arXiv
    2505.20076).

    The score of a parameter is the part of the change of an example's output that the training examples brought about
    through it; see `ParameterScoresForward`. The similarity of two examples is the cosine between their vectors, for
    the whole training and for slices of it.

    Args:
        split: of the explained examples.
        examples: their number, from the first on, or their ids.
        outputs: what the scores explain: all (the sum of the log-probabilities of all classes, which does not depend on
            the label), target (the log-probability of the own class), margin (its log-odds).
        training: number of training examples that the explained ones are compared with; 0 for none.
        components: the named sets of parameters; see `components_of`.
        slice_steps: optimiser steps of a slice; a tenth of the training if None.
        shown: steps whose slices are drawn (a slice ends at its step, or contains it), the last slice if training ended
            before all of them; four at equal distances if None. The figure has four of more, the table all.
        keys: what examples may have in common: their label, the sum of their tokens, one of their tokens.
        nodes, tolerance: of the quadrature along each step.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
        sort: order of examples in heat maps, by label or by the sum of their tokens.
        top: number of most and of least similar examples in the table.
        listed: explained examples in that table, at equal distances in the sorted order.
        embedded: how examples are placed in the plane: "scaling" is classical multidimensional scaling of the cosines
            (the principal components of the normalised vectors), "tsne" t-SNE.
        permutations: of the examples, for the similarities that chance gives.
        resamples: of the examples, for bootstrap intervals.
        least_auc: threshold of the claim `follows_label`.
    """

    needs = Needs(history="replay")
    headline = ("label_auc", "label_auc_first_step")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 200,
        outputs: Literal["all", "target", "margin"] = "all",
        training: Annotated[int, at_least(0)] = 0,
        components: Components = "similar",
        slice_steps: Annotated[int, at_least(1)] | None = None,
        shown: Annotated[tuple[Annotated[int, at_least(1)], ...], Filled()] | None = None,
        keys: Annotated[tuple[Key, ...], Filled()] = ("label", "sum", "token"),
        nodes: Annotated[int, at_least(1)] = 2,
        tolerance: Positive | None = None,
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 2.0,
        sort: Literal["label", "sum"] = "label",
        top: Annotated[int, at_least(1)] = 10,
        listed: Annotated[int, at_least(1)] = 20,
        embedded: Literal["scaling", "tsne"] = "scaling",
        permutations: Annotated[int, at_least(20)] = 200,
        resamples: Annotated[int, at_least(20)] = 500,
        least_auc: Annotated[float, between(0, 1)] = 0.6,
    ):
        self.split, self.examples, self.outputs, self.training = split, examples, outputs, training
        self.components, self.slice_steps, self.shown, self.keys = components, slice_steps, shown, keys
        self.nodes, self.tolerance = nodes, tolerance
        self.dtype, self.device, self.memory_gb = dtype, device, memory_gb
        self.sort, self.top, self.listed, self.embedded = sort, top, listed, embedded
        self.permutations, self.resamples, self.least_auc = permutations, resamples, least_auc

    def check(self, name: str, task_name: str, task: Task, key: str, model: object = None) -> None:
        """Raise ConfigError if examples are compared with training examples that are drawn without end."""
        super().check(name, task_name, task, key, model)
        if self.training and not isinstance(task, FiniteTask):
            must, got = "training examples to compare with must be a fixed set", f"task={task_name}, drawn without end"
            raise ConfigError(f"analysis={name}: {must}", got=got, key=f"{key}.training", fix=f"{key}.training=0")

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported."""
        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        check_attribution(name, recipe, examples, summed_outputs(self.outputs, recipe.task.spec), key)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute the similarities and what they follow, resuming an interrupted attempt."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.quadrature import Quadrature

        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        batch, X = self._batch(run, examples)
        trajectory = examples.trajectory(run)
        functional, steps = trajectory.functional, trajectory.steps
        names = functional.layout.names
        groups = components_of(functional.layout.shapes, self.components)
        if not any(set(names) <= set(members) for members in groups.values()):
            groups = {**groups, WHOLE: names}
        length = self.slice_steps or max(1, -(-steps // SLICES))
        parts = [(first, min(first + length, steps)) for first in range(0, steps, length)]
        shown = self._shown(parts)
        compared = np.unique(np.linspace(0, X - 1, min(X, SCORED)).astype(int))
        result = score_grams(
            "components",
            trajectory,
            Explained(functional, functional.placed(batch), summed_outputs(self.outputs, run.spec)),
            groups,
            Quadrature("midpoint", self.nodes, self.tolerance),
            int(self.memory_gb * 1e9),
            run.folder / "work" / f"components-{checkpoint_key(self, steps)}.safetensors",
            [*parts, (0, first_moving_step(trajectory) + 1), (0, steps)],
            dict.fromkeys({*range(len(parts) + 1)} - {*shown}, compared),
        )
        self._save_matrices(run, out, result, batch, X, shown, rng)
        return self._finding(run, out, result, batch, compared, X, rng)

    def _batch(self, run: Run, examples: ExplainedExamples) -> tuple[Batch, int]:
        """Return the explained examples and then the training examples, each in sorted order, and the number of the
        explained ones."""
        explained = examples.batch(run)
        explained = explained[sorted_order(run.spec, explained, self.sort)]
        if not self.training:
            return explained, len(explained)
        training = run.evaluation("train", self.training).cropped()
        return joined(explained, training[sorted_order(run.spec, training, self.sort)]), len(explained)

    def _shown(self, slices: list[tuple[int, int]]) -> list[int]:
        """Return the numbers of the slices that are drawn."""
        if self.shown is None:
            return sorted({round(i) for i in np.linspace(0, len(slices) - 1, PANELS)})
        named = [i for i, (first, stop) in enumerate(slices) if any(first < step <= stop for step in self.shown)]
        return named or [len(slices) - 1]

    def _save_matrices(
        self,
        run: Run,
        out: Artifacts,
        result: ScoreGrams,
        batch: Batch,
        X: int,
        shown: list[int],
        rng: np.random.Generator,
    ) -> None:
        """Save cosines, tables of similar examples, and their places in the plane."""
        names, whole = result.components, result.cosines(-1)
        rows = example_table(run.spec, batch, [self.split] * X + ["train"] * (len(batch) - X), self.sort)
        rows["explained"] = np.arange(len(batch)) < X
        out.save_table("rows", rows)
        out.save_arrays("cosines", whole=whole.astype(np.float32))
        of_slices = [result.cosines(i)[:, :X, :X] for i in shown]
        drawn = {
            "cosines": dict(zip(names, whole[:, :X, :X], strict=True)),
            "cosines_by_slice": {
                f"steps {first} to {stop}, {name}": matrix
                for (first, stop), matrices in zip([result.slices[i] for i in shown], of_slices, strict=True)
                for name, matrix in zip(names, matrices, strict=True)
            },
        }
        if len(batch) > X:
            drawn["against_training"] = dict(zip(names, whole[:, :X, X:], strict=True))
        for name, matrices in drawn.items():
            blocks = {key: matrix_blocks(matrix, DRAWN[name]) for key, matrix in matrices.items()}
            out.save_table(name, matrix_table(blocks, digits=4))
        listed = np.unique(np.linspace(0, X - 1, self.listed).astype(int))
        out.save_table("similar", similar_examples(whole, names, rows, listed, self.top))
        out.save_table("between", between_components(whole[:, :X, :X], names))
        places = embedding(whole, names, rows, self.embedded, rng)
        out.save_table("embedding", places.assign(modulus=getattr(run.task, "p", np.nan)))

    def _finding(
        self,
        run: Run,
        out: Artifacts,
        result: ScoreGrams,
        batch: Batch,
        compared: np.ndarray,
        X: int,
        rng: np.random.Generator,
    ) -> Finding:
        """Return what the similarities follow."""
        names, slices = result.components, result.slices[:-2]
        related = relations(run.spec, batch[torch.as_tensor(compared)], self.keys)
        cosines = [result.cosines(i) for i in range(len(slices) + 2)]
        cosines = [c if c.shape[-1] == len(compared) else c[:, compared][:, :, compared] for c in cosines]
        control, whole = cosines[-2:]
        keys = by_key(whole, control, names, related, self.permutations, self.resamples, rng)
        made, notes = claims(keys, len(compared), self.least_auc)
        if len(keys):
            out.save_table("keys", keys)
            out.save_table("slices", by_slice(cosines[:-2], slices, names, related))
        else:
            notes["keys"] = f"The examples have none of {', '.join(self.keys)}, so nothing is said of what they share."
        if without := [name for name, matrix in zip(names, whole, strict=True) if np.isnan(matrix).all()]:
            notes["without_scores"] = f"There are no cosines in {', '.join(without)}, where all scores are 0."
        scalars = {"examples": float(X), "residual_of_movement": float(result.residual[-1])}
        best = best_component(keys)
        if best is not None:
            scalars |= {"label_auc": best["auc"], "label_auc_first_step": best["first_step"]}
        return Finding({name: float(value) for name, value in scalars.items() if np.isfinite(value)}, made, notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw what similarities follow, the cosines by component and slice, and the examples in the plane."""
        from mechlab.plotting import component_similarity as draw
        from mechlab.plotting.kernel_matrices import matrix_panels

        rows, components = out.table("rows"), out.table("between")
        explained, training = (rows[rows["explained"] == side]["tick"].astype(str).tolist() for side in (True, False))
        order = "sum (label)" if self.sort == "sum" else self.sort
        axis, by_slice = f"explained examples, by {order}", out.table("cosines_by_slice")
        options = {"names": (axis, axis), "scale": "cosine", "label": "cosine of parameter scores"}
        figures = {
            "cosines": matrix_panels(out.table("cosines"), explained, explained, **options),
            "cosines_by_slice": draw.cosines_by_slice(by_slice, PANELS, explained, **options),
            "embedding": draw.in_the_plane(out.table("embedding"), self.embedded),
        }
        if (out.folder / "keys.csv").exists():
            of_keys = {"similarity": draw.separation(out.table("keys"))}
            figures = {**of_keys, "over_training": draw.over_training(out.table("slices")), **figures}
        if len(components) > 1:
            figures["between"] = draw.between(components)
        if training:
            options["names"] = (axis, f"training examples, by {order}")
            figures["against_training"] = matrix_panels(out.table("against_training"), explained, training, **options)
        return figures
