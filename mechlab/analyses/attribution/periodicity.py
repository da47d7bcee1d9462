"""Periods of a network of addition modulo p, in the similarities of examples by parameter scores and activations."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.attribution.checks import check_attribution
from mechlab.analyses.attribution.components import Components, components_of
from mechlab.analyses.attribution.example_keys import example_table, relations, sorted_order, sums_of
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Positive,
    checkpoint_key,
)
from mechlab.analyses.attribution.matrix_tables import matrix_blocks, matrix_table
from mechlab.analyses.attribution.period_fits import (
    ACTIVATIONS,
    FIRST,
    SCORES,
    FamilyFits,
    activation_cosines,
    slice_table,
)
from mechlab.analyses.attribution.score_cosines import first_moving_step, score_grams, summed_outputs
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least
from mechlab.core.errors import ConfigError
from mechlab.kernels.related_pairs import classical_scaling
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.core.task import Batch, Task
    from mechlab.record.run import Run

DRAWN = 300  # most rows of a heat map; else neighbours are averaged


class Periodicity(Analysis):
    """Fit periods to the similarities of examples, by the difference of the sums of their numbers, not reduced modulo p
    ("ExPLAIND", arXiv 2505.20076).

    Similarities are cosines between examples' vectors of parameter scores within a component (see ComponentSimilarity),
    of the whole training and of its first step alone, and between their activations at each place of the network. They
    are fitted, less their mean, by a Lasso without intercept on cosines and sines of all whole periods 2, ..., p, as
    published, and in a second fit of the periods p / k of the frequencies k of addition modulo p, by which such
    networks compute. Pairs of examples with a label or a token in common are alike without any period; by default they
    are left out.

    Args:
        split: of the explained examples.
        examples: their number, from the first on, or their ids.
        outputs: what the scores explain: all (the sum of the log-probabilities of all classes, which does not depend on
            the label), target (the log-probability of the own class), margin (its log-odds).
        components: the named sets of parameters; see `components_of`.
        component: the one that is drawn and listed by period; the one with the largest explained share if None.
        pairs: "unrelated" for those without a label or a token in common, or "all".
        alpha: of the Lasso.
        slices: of training, in each of which the scores are fitted too; 0 for none.
        nodes, tolerance: of the quadrature along each step.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic; that of training if None.
        memory_gb: memory of one block of work, in 10^9 bytes; all examples and parameters must fit.
        permutations: random orders of the residues of the sums, for what chance gives.
        fewest: examples below which no claim is made.
    """

    needs = Needs(kind="static", history="replay", task=("p",))
    headline = ("explained", "period")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 200,
        outputs: Literal["all", "target", "margin"] = "all",
        components: Components = "similar",
        component: str | None = None,
        pairs: Literal["unrelated", "all"] = "unrelated",
        alpha: Positive = 1e-3,
        slices: Annotated[int, at_least(0)] = 10,
        nodes: Annotated[int, at_least(1)] = 2,
        tolerance: Positive | None = None,
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 2.0,
        permutations: Annotated[int, at_least(20)] = 100,
        fewest: Annotated[int, at_least(4)] = 20,
    ):
        self.split, self.examples, self.outputs = split, examples, outputs
        self.components, self.component, self.pairs, self.alpha = components, component, pairs, alpha
        self.slices, self.nodes, self.tolerance, self.dtype, self.device = slices, nodes, tolerance, dtype, device
        self.memory_gb, self.permutations, self.fewest = memory_gb, permutations, fewest

    def check(self, name: str, task_name: str, task: Task, key: str, model: object = None) -> None:
        """Raise ConfigError if the task is not one of addition modulo p."""
        if not hasattr(task, "p"):
            must, got = f"analysis={name} needs a task of addition modulo p", f"task={task_name}"
            raise ConfigError(must, got=got, key=key, fix="task=modular_addition")
        super().check(name, task_name, task, key, model)

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported."""
        outputs = summed_outputs(self.outputs, recipe.task.spec)
        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        check_attribution(name, recipe, examples, outputs, key)
        groups = components_of(
            {name: value.shape for name, value in recipe.architecture().named_parameters()}, self.components
        )
        if self.component is not None and self.component not in groups:
            must, fix = (
                "component must be one of the components",
                f"{key}.component=null, or one of {', '.join(groups)}",
            )
            raise ConfigError(must, got=self.component, key=f"{key}.component", fix=fix)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute the similarities and fit periods, resuming an interrupted attempt."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.quadrature import Quadrature

        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        batch = examples.batch(run)
        batch = batch[sorted_order(run.spec, batch, "sum")]
        trajectory = examples.trajectory(run)
        functional, steps = trajectory.functional, trajectory.steps
        groups = components_of(functional.layout.shapes, self.components)
        number = min(self.slices, steps)
        edges = [steps * i // number for i in range(number + 1)] if number else []
        result = score_grams(
            "periodicity",
            trajectory,
            Explained(functional, functional.placed(batch), summed_outputs(self.outputs, run.spec)),
            groups,
            Quadrature("midpoint", self.nodes, self.tolerance),
            int(self.memory_gb * 1e9),
            run.folder / "work" / f"periodicity-{checkpoint_key(self, steps)}.safetensors",
            [(0, steps), (0, first_moving_step(trajectory) + 1), *pairwise(edges)],
        )
        matrices = {
            **{(SCORES, name): cosines for name, cosines in zip(groups, result.cosines(0), strict=True)},
            **{(FIRST, name): cosines for name, cosines in zip(groups, result.cosines(1), strict=True)},
            **{(ACTIVATIONS, name): cosines for name, cosines in activation_cosines(run.cache(batch.inputs)).items()},
        }
        over_training = {
            span: dict(zip(groups, result.cosines(i), strict=True)) for i, span in enumerate(result.slices) if i > 1
        }
        return self._finding(run, out, batch, matrices, over_training, rng)

    def _finding(
        self,
        run: Run,
        out: Artifacts,
        batch: Batch,
        matrices: Mapping[tuple[str, str], np.ndarray],
        over_training: Mapping[tuple[int, int], Mapping[str, np.ndarray]],
        rng: np.random.Generator,
    ) -> Finding:
        """Fit all similarities, and save the fits with what chance gives.

        Args:
            matrices: (X, X) by kind and name; those with vectors of length zero are left out.
            over_training: (X, X) of the scores of a slice of training, by name.
        """
        import pandas as pd

        from mechlab.kernels.periods import PairDifferences

        sums = sums_of(run.spec, batch)
        chosen = np.ones((len(batch), len(batch)), bool)
        if self.pairs == "unrelated":
            for related in relations(run.spec, batch, ("label", "token")).values():
                chosen &= ~related
        pairs = PairDifferences.of(sums, chosen)
        matrices = {key: matrix for key, matrix in matrices.items() if np.isfinite(matrix).all()}
        scalars = {"examples": float(len(batch)), "pairs": float(len(pairs))}
        notes = {}
        if len(pairs) < 2 or not any(kind == SCORES for kind, _ in matrices):
            notes["pairs"] = "No two pairs of examples could be compared, so no period is fitted."
            out.save_table("components", pd.DataFrame(columns=["kind", "name"]))
            return Finding(scalars, notes=notes)
        fits = FamilyFits.of(matrices, sums, chosen, pairs, run.task.p, self.alpha, self.permutations, rng)
        table = fits.table()
        out.save_table("components", table)
        own = table[table["kind"] == SCORES]
        name = self.component if self.component in set(own["name"]) else own["name"].iloc[own["harmonic"].argmax()]
        key = (SCORES, name)
        out.save_table("periods", fits.periods(key))
        out.save_table("differences", fits.differences(pairs, key, matrices[key]))
        out.save_table("slices", slice_table(pairs, over_training, fits, self.alpha))
        rows = example_table(run.spec, batch, [self.split] * len(batch), "sum")
        best = (
            table[table["kind"] == ACTIVATIONS].sort_values("harmonic", ascending=False, kind="stable")["name"].head(1)
        )
        drawn = {f"{SCORES}: {name}": matrices[key], **{f"{ACTIVATIONS}: {n}": matrices[ACTIVATIONS, n] for n in best}}
        blocks = {title: matrix_blocks(matrix, DRAWN) for title, matrix in drawn.items()}
        out.save_table("cosines", matrix_table(blocks, 4))
        fit = fits.harmonic[key]
        strongest = int(np.argmax(fit.amplitude))
        places, shares = classical_scaling(matrices[key])
        phase = sums / fit.periods[strongest] % 1
        columns = {"x": places[:, 0], "y": places[:, 1], "x_share": shares[0], "y_share": shares[1], "phase": phase}
        out.save_table("examples", rows.assign(**columns, component=name, period=fit.periods[strongest]))
        first = table[(table["kind"] == FIRST) & (table["name"] == name)]["harmonic"]
        scalars |= {
            "explained": float(fit.explained),
            "explained_by_whole_periods": float(fits.whole[key].explained),
            "explained_null": fits.null_explained,
            "explained_at_first_step": float(first.iloc[0]) if len(first) else 0.0,
            "frequency": float(strongest + 1),
            "period": float(fit.periods[strongest]),
            "amplitude": float(fit.amplitude[strongest]),
            "amplitude_null": fits.null_amplitude,
            "periods_found": float((fit.amplitude > fits.null_amplitude).sum()),
        }
        if len(batch) < self.fewest:
            notes["fewest"] = f"{len(batch)} examples are fewer than {self.fewest}, so no claim is made."
            return Finding(scalars, notes=notes)
        best_of_all = float(own["harmonic_amplitude"].max())
        claim = Claim(
            "The scores of a component have a period p / k: its amplitude exceeds the 95 % quantile of the largest "
            f"of all components and periods with the residues of the sums in {self.permutations} random orders.",
            value=best_of_all,
            threshold=fits.null_amplitude,
            holds=bool(best_of_all > fits.null_amplitude),
            kind="statistical",
            null=fits.null_amplitude,
        )
        return Finding(scalars, {"periodic": claim}, notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the fitted periods, similarities against the difference, explained shares, and examples in the plane."""
        from mechlab.plotting import periodicity as draw
        from mechlab.plotting.kernel_matrices import matrix_panels

        components = out.table("components")
        if not len(components):
            return {}
        examples = out.table("examples")
        names = examples["tick"].astype(str).tolist()
        axes = ("examples, by the sum of their tokens (label)", "examples")
        return {
            "periods": draw.amplitudes(out.table("periods"), examples["component"].iloc[0]),
            "differences": draw.by_difference(out.table("differences"), examples["component"].iloc[0]),
            "components": draw.explained_shares(components),
            "scores": draw.in_the_plane(examples),
            **({"over_training": draw.over_training(slices)} if len(slices := out.table("slices")) else {}),
            "cosines": matrix_panels(out.table("cosines"), names, names, axes, "cosine", "cosine", 2.6),
        }
