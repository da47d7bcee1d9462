"""Decomposition of the outputs by training example, parameter and optimiser step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.attribution.by_irrep import pair_maps, save_by_irrep
from mechlab.analyses.attribution.checks import check_attribution
from mechlab.analyses.attribution.components import Components, components_of
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Outputs,
    Positive,
    checkpoint_key,
    evaluations,
    scalars_of,
)
from mechlab.analyses.attribution.influences import save_influences
from mechlab.analyses.attribution.kernel_matrices import kernel_figures, save_kernel_matrices
from mechlab.analyses.attribution.terms import numbers_of, save_decomposition, sentence, terms_of
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, at_least
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.record.run import Run

Step = Annotated[int, at_least(0)]


class PathKernel(Analysis):
    """Decompose the change of outputs over training into contributions of each training example, parameter and step,
    and of weight decay, clipping, the quadrature and rounding ("ExPLAIND", arXiv 2505.20076).

    The decomposition is exact. It does not predict what training without an example would give; `metagradient` does.

    Args:
        split: of the explained examples.
        examples: their number, from the first on, or their ids.
        outputs: the explained scalars: all (log-probabilities of all classes), target (of the own class), margin (its
            log-odds), loss (the mean over the examples), irreps (for a task of products in a group: the part of the
            right product's logit that lies in the space of each irrep, as means over the examples; see `LogitParts`),
            or a function of the outputs, and of the Batch if it takes two arguments, that returns numbers for each
            example or any others, see `Explained`; a configuration names it as package.module.function, of a package
            in allow_targets.
        steps: ranges [first, stop] of the optimiser steps to explain; all by default. The terms `earlier` (the momentum
            at the first of them) and `rest` (the movement along other steps) then complete the sum. Other steps take
            no gradients: those between ranges cost nothing but their replay.
        nodes, tolerance, most_nodes, secant: of the quadrature along each step; the tolerance is the largest residual
            in units of the movement of the outputs along a step.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic: cpu, cuda, or that of the training, where there is one, if None.
        form: of the inner products.
        memory_gb: memory of one block of work, in 10^9 bytes.
        components: the named sets of parameters; see `components_of`.
        by_component: whether to also save, and draw, the influence of each example through each component.
        bins: number of bins of steps, at most one for each step, in which to also save and draw the influence of each
            example; 0 for none.
        view: "gradient" counts an influence at the step of the gradient, "path" at the step along which the gradients
            of the outputs were averaged.
        scores: whether to also save the score of each parameter.
        sort: order of examples in the heat map, by label or by the sum of their tokens.
        top: number of helpful and of harmful examples in the table.
        residual: largest share of the quadrature residual in the movement, for the claim `quadrature`.
    """

    needs = Needs(history="replay")
    version = 2

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 20,
        outputs: Outputs = "target",
        steps: Annotated[tuple[tuple[Step, Step], ...], Filled()] | None = None,
        nodes: Annotated[int, at_least(1)] = 1,
        tolerance: Positive | None = 0.01,
        most_nodes: Annotated[int, at_least(1)] = 64,
        secant: bool = False,
        dtype: Dtype = None,
        device: Device = None,
        form: Literal["auto", "jvp", "gemm", "ghost"] = "auto",
        memory_gb: Positive = 1.0,
        components: Components = "similar",
        by_component: bool = False,
        bins: Annotated[int, at_least(0)] = 0,
        view: Literal["gradient", "path"] = "gradient",
        scores: bool = False,
        sort: Literal["label", "sum"] = "label",
        top: Annotated[int, at_least(1)] = 10,
        residual: Positive = 0.01,
    ):
        self.split, self.examples, self.outputs, self.steps = split, examples, outputs, steps
        self.nodes, self.tolerance, self.most_nodes, self.secant = nodes, tolerance, most_nodes, secant
        self.dtype, self.device, self.form, self.memory_gb = dtype, device, form, memory_gb
        self.components, self.by_component = components, by_component
        self.bins, self.view, self.scores = bins, view, scores
        self.sort, self.top, self.residual = sort, top, residual

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported, or if steps are
        chosen that are no ranges in order, or after the last one."""
        from mechlab.kernels.decomposition import PathKernelSettings
        from mechlab.kernels.inner import InnerProducts

        try:
            PathKernelSettings(steps=self.steps).check_steps(recipe.max_steps)
        except ConfigError as error:
            must = f"analysis={name}: {error.must}"
            raise ConfigError(must, got=error.got, key=f"{key}.steps", fix=error.fix) from None
        form = None if self.form == "auto" else self.form
        products = lambda functional, theta, batch: InnerProducts(functional)(form, theta, batch, theta[None])  # noqa: E731
        check_attribution(name, recipe, self._examples, self.outputs, key, form and products)

    def gradient_evaluations(self, recipe: Recipe) -> float:
        """Return about how many gradients of single examples the decomposition evaluates, at the initial nodes."""
        columns = recipe.task.spec.outputs if self.outputs == "all" else 1
        share = 1.0 if self.steps is None else sum(stop - first for first, stop in self.steps) / recipe.max_steps
        return evaluations(recipe, self._examples, share * columns * self.nodes, products=share * 2.5)

    @property
    def _examples(self) -> ExplainedExamples:
        return ExplainedExamples(self.split, self.examples, self.dtype, self.device)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute and save the decomposition, resuming an interrupted attempt."""
        from mechlab.kernels.backward import PathKernelBackward
        from mechlab.kernels.decomposition import PathKernelSettings
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.quadrature import Quadrature

        examples = self._examples
        batch = examples.batch(run)
        trajectory = examples.trajectory(run)
        layout = trajectory.functional.layout
        groups = components_of(layout.shapes, self.components)
        bins = min(self.bins, trajectory.steps)
        edges = [trajectory.steps * i // bins for i in range(bins)]
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance, self.most_nodes, self.secant)
        limit = int(self.memory_gb * 1e9)
        separate = groups if self.by_component else None
        scalars = scalars_of(self.outputs, run.task)
        explained = Explained(trajectory.functional, trajectory.functional.placed(batch), scalars)
        count = sum(stop - first for first, stop in self.steps or [(0, trajectory.steps)])
        size = count * math.prod(explained.shape) * len(layout.names) * 8
        by_tensor = size < limit / 4
        settings = PathKernelSettings(
            quadrature, self.form, limit, self.scores, separate, edges, self.view, by_tensor, self.steps
        )
        backward = PathKernelBackward(trajectory, explained, settings)
        checkpoint = f"path_kernel-{checkpoint_key(self, trajectory.steps)}.safetensors"
        carry_out(backward, "path_kernel", run.folder / "work" / checkpoint)
        result = backward.result()
        terms = terms_of(result, self.steps is not None)
        save_decomposition(out, result, terms, groups)
        if self.outputs == "irreps":
            sums = {"initial": result.initial, "final": result.final, **terms}
            save_by_irrep(run, out, result.influence[0], self.top, **{name: term[0] for name, term in sums.items()})
        else:
            save_influences(run, out, result, explained, batch, self.outputs, self.sort, self.top)
        if explained.apart:
            save_kernel_matrices(run, out, result, batch, self.outputs, [*edges, trajectory.steps], self.sort)
        values = numbers_of(result, terms, self.secant)
        notes = {"terms": sentence(terms, result.final - result.initial)}
        return Finding(values, self._claims(values, trajectory.functional.dtype.itemsize), notes)

    def _claims(self, values: dict[str, float], itemsize: int) -> dict[str, Claim]:
        least = 1e-9 if itemsize == 8 else 1e-4
        residual = values["uncorrected_of_movement" if self.secant else "residual_of_movement"]
        without = ", before the correction by the secant," if self.secant else ""
        return {
            "completeness": Claim(
                f"The terms, each from its own definition, sum to the change of the outputs, to {least:g} of the sum "
                "of their sizes; since the residual is a term, this holds for any averaged gradients and says nothing "
                "of their quality.",
                value=values["completeness_error"],
                threshold=least,
                holds=bool(values["completeness_error"] <= least),
                kind="exact",
            ),
            "quadrature": Claim(
                f"The quadrature residual{without} is at most {self.residual:g} of the movement of the outputs.",
                value=residual,
                threshold=self.residual,
                holds=bool(residual <= self.residual),
                kind="statistical",
            ),
            "updates": Claim(
                "The recorded updates are those of the optimizer's equations, to 0.001 of the movement of the outputs.",
                value=values["arithmetic_of_movement"],
                threshold=1e-3,
                holds=bool(values["arithmetic_of_movement"] <= 1e-3),
                kind="exact",
            ),
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw influences as a heat map, sizes by component and step, the terms with their signs, each statistic
        against the step, and the training examples with the largest positive and negative scores."""
        from mechlab.plotting import path_kernel as draw
        from mechlab.plotting import path_kernel_steps as along
        from mechlab.plotting.example_images import images_of_examples

        lines, steps, examples = out.table("lines"), out.table("steps"), out.table("examples")
        scalar = draw.scalar_of(examples)
        unit = "nats" if scalar.endswith("(nats)") else ""
        if self.outputs == "irreps":
            influence = pair_maps(out, "influence")
        else:
            own = out.arrays("own_class")
            keys = own["train"], own["explained"], self.sort, len(own["ids"])
            influence = draw.influence_map(own["influence"], *keys, scalar=scalar)
        images = (out.folder / "images.safetensors").exists()
        return {
            "influence": influence,
            "mass": along.mass_over_steps(out.table("mass"), unit),
            "lines": along.terms_with_signs(steps, lines, unit),
            "statistics": along.statistics_over_steps(steps, unit),
            "examples": images_of_examples(examples, **out.arrays("images"))
            if images
            else draw.top_examples(examples, scalar=scalar),
            **kernel_figures(out, self.sort),
        }
