"""Decomposition of the outputs by training example, parameter and optimiser step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.analyses.attribution.by_irrep import pair_maps, save_by_irrep
from mechlab.analyses.attribution.checks import check_attribution
from mechlab.analyses.attribution.explained_examples import (
    Examples,
    ExplainedExamples,
    Outputs,
    Positive,
    checkpoint_key,
    scalars_of,
)
from mechlab.analyses.attribution.tables import own_class, sort_keys, top_examples
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least
from mechlab.record.artifacts import Artifacts
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.kernels.decomposition import PathKernelDecomposition
    from mechlab.record.run import Run

TERMS = ("data", "decay", "clipping", "residual", "arithmetic")


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
            or a function from outputs to (X, C); a configuration names it as package.module.function, of a package in
            allow_targets.
        nodes, tolerance, most_nodes, secant: of the quadrature along each step.
        dtype: of the arithmetic; that of training if None.
        form: of the inner products.
        memory_gb: memory of one block of work, in 10^9 bytes.
        components: whether parameters are grouped by module or by tensor.
        by_component: whether to also save the influence of each example through each component.
        bins: number of bins of steps, at most one for each step, in which to also save the influence of each example; 0
            for none.
        view: "gradient" counts an influence at the step of the gradient, "path" at the step along which the gradients
            of the outputs were averaged.
        scores: whether to also save the score of each parameter.
        sort: order of examples in the heat map, by label or by the sum of their tokens.
        top: number of helpful and of harmful examples in the table.
        residual: largest share of the quadrature residual in the movement, for the claim `quadrature`.
    """

    needs = Needs(history="replay")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 20,
        outputs: Outputs = "target",
        nodes: Annotated[int, at_least(1)] = 1,
        tolerance: Positive | None = 1e-3,
        most_nodes: Annotated[int, at_least(1)] = 64,
        secant: bool = False,
        dtype: Literal["float32", "float64"] | None = None,
        form: Literal["auto", "jvp", "gemm", "ghost"] = "auto",
        memory_gb: Positive = 1.0,
        components: Literal["module", "tensor"] = "module",
        by_component: bool = False,
        bins: Annotated[int, at_least(0)] = 0,
        view: Literal["gradient", "path"] = "gradient",
        scores: bool = False,
        sort: Literal["label", "sum"] = "label",
        top: Annotated[int, at_least(1)] = 10,
        residual: Positive = 0.01,
    ):
        self.split, self.examples, self.outputs = split, examples, outputs
        self.nodes, self.tolerance, self.most_nodes, self.secant = nodes, tolerance, most_nodes, secant
        self.dtype, self.form, self.memory_gb = dtype, form, memory_gb
        self.components, self.by_component = components, by_component
        self.bins, self.view, self.scores = bins, view, scores
        self.sort, self.top, self.residual = sort, top, residual

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported."""
        from mechlab.kernels.inner import InnerProducts

        examples = ExplainedExamples(self.split, self.examples, self.dtype)
        form = None if self.form == "auto" else self.form
        products = lambda functional, theta, batch: InnerProducts(functional)(form, theta, batch, theta[None])  # noqa: E731
        check_attribution(name, recipe, examples, self.outputs, key, form and products)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute and save the decomposition, resuming an interrupted attempt."""
        from mechlab.kernels.backward import PathKernelBackward
        from mechlab.kernels.decomposition import PathKernelSettings
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.quadrature import Quadrature
        from mechlab.kernels.trajectory import Trajectory

        examples = ExplainedExamples(self.split, self.examples, self.dtype)
        batch = examples.batch(run)
        trajectory = Trajectory.of_run(run, examples.torch_dtype)
        layout = trajectory.functional.layout
        groups = components_of(layout.names, self.components)
        bins = min(self.bins, trajectory.steps)
        edges = [trajectory.steps * i // bins for i in range(bins)]
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance, self.most_nodes, self.secant)
        limit = int(self.memory_gb * 1e9)
        separate = groups if self.by_component else None
        scalars = scalars_of(self.outputs, run.task)
        explained = Explained(trajectory.functional, trajectory.functional.placed(batch), scalars)
        size = trajectory.steps * math.prod(explained.shape) * len(layout.names) * 8
        settings = PathKernelSettings(
            quadrature, self.form, limit, self.scores, separate, edges, self.view, steps_by_tensor=size < limit / 4
        )
        backward = PathKernelBackward(trajectory, explained, settings)
        checkpoint = f"path_kernel-{checkpoint_key(self, trajectory.steps)}.safetensors"
        carry_out(backward, "path_kernel", run.folder / "work" / checkpoint)
        result = backward.result()
        self._save(run, out, result, batch, groups)
        return Finding(_scalars(result), self._claims(result, trajectory.functional.dtype.itemsize))

    def _claims(self, result: PathKernelDecomposition, itemsize: int) -> dict[str, Claim]:
        values, least = _scalars(result), 1e-9 if itemsize == 8 else 1e-4
        return {
            "completeness": Claim(
                f"The terms, each from its own definition, sum to the change of the outputs, to {least:g} of the sum "
                "of their sizes.",
                value=values["completeness_error"],
                threshold=least,
                holds=bool(values["completeness_error"] <= least),
                kind="exact",
            ),
            "quadrature": Claim(
                f"The quadrature residual is at most {self.residual:g} of the movement of the outputs.",
                value=values["residual_of_movement"],
                threshold=self.residual,
                holds=bool(values["residual_of_movement"] <= self.residual),
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

    def _save(
        self, run: Run, out: Artifacts, result: PathKernelDecomposition, batch: Any, groups: dict[str, list[str]]
    ) -> None:
        import pandas as pd

        terms = {name: getattr(result, name) for name in ("initial", "final", "influence", *TERMS[1:])}
        extra = {f"influence_by_group.{name}": value for name, value in result.influence_by_group.items()}
        if result.influence_by_bin is not None:
            extra["influence_by_bin"] = result.influence_by_bin
        if result.scores is not None:
            extra |= {"scores": result.scores, "decay_scores": result.decay_scores}
        out.save_arrays("account", **terms, **extra, **{f"by_tensor.{k}": v for k, v in result.by_tensor.items()})
        by_step = {f"by_step.{name}": value for name, value in result.by_step.items()}
        by_tensor = {} if result.data_by_step is None else {"data_by_step": result.data_by_step}
        out.save_arrays("steps", **by_step, **by_tensor)
        means = {name: np.abs(value).mean((1, 2)) for name, value in result.by_step.items()}
        steps = {"step": np.arange(len(result.nodes)), "nodes": result.nodes, "evaluations": result.evaluations}
        mass = {f"{name}_mass": result.mass[name].sum(1) for name in ("data", "decay")}
        out.save_table("steps", pd.DataFrame({**steps, **means, **mass}))
        names, places = result.layout.names, {name: i for i, name in enumerate(result.layout.names)}
        by_group = {
            f"{line}:{group}": result.mass[line][:, [places[name] for name in members]].sum(1)
            for line in ("data", "decay")
            for group, members in groups.items()
        }
        out.save_table("mass", pd.DataFrame(by_group))
        sizes = [place.stop - place.start for place in result.layout.places.values()]
        per_tensor = {line: np.abs(result.by_tensor[line]).mean((0, 1)) for line in ("data", "decay", "clipping")}
        out.save_table("tensors", pd.DataFrame({"tensor": names, "size": sizes, **per_tensor}))
        if self.outputs == "irreps":
            sums = {"data": result.influence.sum(-1), **{name: terms[name] for name in terms if name != "influence"}}
            save_by_irrep(run, out, result.influence[0], self.top, **{name: term[0] for name, term in sums.items()})
            return
        train, explained = sort_keys(run, batch, result.influence.shape[-1], self.sort)
        own = own_class(result.influence, batch, self.outputs)
        out.save_arrays("own_class", influence=own, train=train, explained=explained, ids=batch.index)
        out.save_table("examples", top_examples(run, batch, own, self.top, self.outputs == "loss"))

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw influences as a heat map, sizes by component and step, totals of data and decay, and the training
        examples with the largest positive and negative scores."""
        from mechlab.plotting import path_kernel as draw

        saved = out.arrays("account")
        terms = {"data": saved["influence"].sum(-1), **{name: saved[name] for name in TERMS[1:]}}
        if self.outputs == "irreps":
            influence = pair_maps(out)
        else:
            own = out.arrays("own_class")
            influence = draw.influence_map(own["influence"], own["train"], own["explained"], self.sort)
        return {
            "influence": influence,
            "mass": draw.mass_over_steps(out.table("mass")),
            "lines": draw.sizes_of_terms(out.table("steps"), terms, saved["final"] - saved["initial"]),
            "examples": draw.top_examples(out.table("examples")),
        }


def components_of(names: list[str], kind: Literal["module", "tensor"]) -> dict[str, list[str]]:
    """Return the names of the tensors of each module, or each tensor by itself.

    >>> components_of(["linear.weight", "linear.bias"], "module")
    {'linear': ['linear.weight', 'linear.bias']}
    """
    components: dict[str, list[str]] = {}
    for name in names:
        components.setdefault((name.rpartition(".")[0] or name) if kind == "module" else name, []).append(name)
    return components


def _scalars(result: PathKernelDecomposition) -> dict[str, float]:
    sizes = {name: np.abs(getattr(result, name)).mean() for name in TERMS}
    total = max(sum(sizes.values()), np.finfo(float).tiny)
    movement = np.abs(result.final - result.initial).mean()
    scale = max(movement, np.finfo(float).tiny)
    return {
        "movement": float(movement),
        **{f"{name}_share": float(value / total) for name, value in sizes.items()},
        "residual_of_movement": float(sizes["residual"] / scale) if movement else 0.0,
        "arithmetic_of_movement": float(sizes["arithmetic"] / scale) if movement else 0.0,
        "completeness_error": float(np.abs(result.completeness).max() / total),
        "nodes": float(result.nodes.mean()),
        "evaluations": float(result.evaluations.mean()),
        "steps": float(len(result.nodes)),
    }
