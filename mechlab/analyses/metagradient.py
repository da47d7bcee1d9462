"""Derivatives of the outputs in the weights of the training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.attribution.by_irrep import pair_maps, save_by_irrep
from mechlab.analyses.attribution.checks import check_attribution, second_derivatives
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
from mechlab.analyses.attribution.tables import own_class, scalar_name, sort_keys, top_examples
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least
from mechlab.core.task import FiniteTask
from mechlab.record.artifacts import Artifacts
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.core.task import Batch
    from mechlab.kernels.trajectory import Trajectory
    from mechlab.record.run import Run


class Metagradient(Analysis):
    """Differentiate outputs through the whole of training, in the weight of each training example (MAGIC, arXiv
    2504.16430), and compare with TracIn (arXiv 2002.08484) and with gradients at the end of training.

    Args:
        split: of the explained examples.
        examples: their number, from the first on, or their ids.
        outputs: the explained scalars: all, target, margin, loss, irreps, or package.module.function; see PathKernel.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
        checkpoints: number of evenly spaced steps for TracIn at checkpoints, besides TracIn at every step.
        sort: order of examples in the heat map, by label or by the sum of their tokens.
        top: number of helpful and of harmful examples in the table.
    """

    needs = Needs(history="replay")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 20,
        outputs: Outputs = "target",
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 1.0,
        checkpoints: Annotated[int, at_least(1)] = 10,
        sort: Literal["label", "sum"] = "label",
        top: Annotated[int, at_least(1)] = 10,
    ):
        self.split, self.examples, self.outputs = split, examples, outputs
        self.dtype, self.device, self.memory_gb, self.checkpoints = dtype, device, memory_gb, checkpoints
        self.sort, self.top = sort, top

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model, the optimizer or the explained scalars are not supported."""
        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        check_attribution(name, recipe, examples, self.outputs, key, second_derivatives)

    def gradient_evaluations(self, recipe: Recipe) -> float:
        """Return about how many gradients of single examples the derivatives take, with TracIn at every step: a product
        with the Hessian counts as four."""
        explained = ExplainedExamples(self.split, self.examples, self.dtype)
        number = len(explained.batch(recipe.source())) if self.outputs != "loss" else 1
        columns = number * (recipe.task.spec.outputs if self.outputs == "all" else 1)
        return evaluations(recipe, explained, 1.0, products=2 + 4 * columns)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute and save derivatives and baselines, resuming an interrupted attempt."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.metagradients import MetagradientBackward

        examples = ExplainedExamples(self.split, self.examples, self.dtype, self.device)
        batch, limit = examples.batch(run), int(self.memory_gb * 1e9)
        trajectory = examples.trajectory(run)
        scalars = scalars_of(self.outputs, run.task)
        explained = Explained(trajectory.functional, trajectory.functional.placed(batch), scalars)
        backward = MetagradientBackward(trajectory, explained, limit)
        checkpoint = f"metagradient-{checkpoint_key(self, backward.total)}.safetensors"
        carry_out(backward, "metagradient", run.folder / "work" / checkpoint)
        result = backward.result()
        baselines = self._baselines(run, trajectory, batch, limit)
        out.save_arrays(
            "derivatives", derivative=result.derivative, by_step=result.by_step, final=result.final, **baselines
        )
        if self.outputs == "irreps":
            save_by_irrep(run, out, result.derivative[0], self.top, final=result.final[0])
        else:
            train, numbers = sort_keys(run, batch, trajectory.examples, self.sort)
            own = own_class(result.derivative, batch, self.outputs)
            out.save_arrays("own_class", derivative=own, train=train, explained=numbers, ids=batch.index)
            table = top_examples(run, batch, own, self.top, self.outputs == "loss")
            out.save_table("examples", table.assign(scalar=scalar_name(self.outputs, run.spec.loss)))
        return Finding(_agreements(result.derivative, baselines), _claims(result.derivative, result.by_step))

    def _baselines(self, run: Run, trajectory: Trajectory, batch: Batch, limit: int) -> dict[str, np.ndarray]:
        from mechlab.kernels.first_order import gradient_dot, tracin

        outputs = scalars_of(self.outputs, run.task)
        baselines = {"tracin": tracin(trajectory, batch, outputs, memory=limit)}
        if isinstance(run.task, FiniteTask):
            spaced = np.linspace(0, trajectory.steps, self.checkpoints + 1)[1:].round().astype(int)
            steps = sorted(set(spaced.tolist()))
            baselines["tracin_checkpoints"] = tracin(trajectory, batch, outputs, checkpoints=steps, memory=limit)
            baselines["gradient_dot"] = gradient_dot(trajectory, batch, outputs, memory=limit)
        return baselines

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the derivatives, and the examples with the largest ones."""
        from mechlab.plotting import path_kernel as draw

        table = out.table("examples")
        what = {"what": "derivative", "scalar": draw.scalar_of(table)}
        examples = {"examples": draw.top_examples(table, **what)}
        if self.outputs == "irreps":
            return {"derivative": pair_maps(out, "derivative"), **examples}
        own = out.arrays("own_class")
        derivative = draw.influence_map(own["derivative"], own["train"], own["explained"], self.sort, **what)
        return {"derivative": derivative, **examples}


def _agreements(derivative: np.ndarray, baselines: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the mean over the explained scalars of rank correlations with the baselines over training examples."""
    from scipy.stats import spearmanr

    rows = derivative.reshape(-1, derivative.shape[-1])
    agreements = {}
    for name, other in baselines.items():
        pairs = zip(rows, other.reshape(rows.shape), strict=True)
        correlations = [spearmanr(a, b).statistic if np.ptp(a) and np.ptp(b) else 0.0 for a, b in pairs]
        agreements[f"{name}_correlation"] = float(np.mean(correlations))
    return {"size": float(np.abs(derivative).sum(-1).mean()), **agreements}


def _claims(derivative: np.ndarray, by_step: np.ndarray) -> dict[str, Claim]:
    scale = max(np.abs(by_step).sum(0).max(), np.finfo(float).tiny)
    error = float(np.abs(derivative.sum(-1) - by_step.sum(0)).max() / scale)
    return {
        "views": Claim(
            "Derivatives by example and by step have the same sum, to 1e-9 of the sum of their sizes.",
            value=error,
            threshold=1e-9,
            holds=error <= 1e-9,
            kind="exact",
        )
    }
