"""Agreement of the path-kernel prediction with the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.checks import check_attribution
from mechlab.analyses.attribution.explained_examples import (
    Device,
    Dtype,
    Examples,
    ExplainedExamples,
    Positive,
    checkpoint_key,
    evaluations,
)
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Interval, at_least
from mechlab.core.errors import ConfigError
from mechlab.kernels.explained import counted_scalars
from mechlab.record.long_work import carry_out
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.core.loss import Loss
    from mechlab.core.recipe import Recipe
    from mechlab.core.task import Batch
    from mechlab.kernels.explained import Outputs
    from mechlab.kernels.prediction import Predicted
    from mechlab.record.artifacts import Artifacts
    from mechlab.record.run import Run


class Agreement(Analysis):
    """Compare the network with its path-kernel prediction: the outputs before training plus all terms of their
    decomposition (influences, decay, clipping, rounding) without the residual of the quadrature, which is the only
    difference ("ExPLAIND", arXiv 2505.20076). Labels, Kullback-Leibler divergence and errors, after each step too.

    Args:
        split: of the examples.
        examples: their number, from the first on, or their ids.
        nodes, tolerance, most_nodes: of the quadrature along each step; with a tolerance the nodes of an example are
            tripled until its residual is at most this share of the movement of the outputs along a step.
        dtype: of the arithmetic; that of training if None.
        device: of the arithmetic: cpu, cuda, or that of the training, where there is one, if None.
        memory_gb: memory of one block of work, in 10^9 bytes.
        least: the agreement that is claimed.
    """

    needs = Needs(history="replay")
    version = 2
    headline = ("agreement", "kernel_accuracy")

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "val",
        examples: Examples = 2000,
        nodes: Annotated[int, at_least(1)] = 1,
        tolerance: Positive | None = 0.01,
        most_nodes: Annotated[int, at_least(1)] = 81,
        dtype: Dtype = None,
        device: Device = None,
        memory_gb: Positive = 1.0,
        least: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.99,
    ):
        self.split, self.examples, self.dtype, self.device = split, examples, dtype, device
        self.nodes, self.tolerance, self.most_nodes = nodes, tolerance, most_nodes
        self.memory_gb, self.least = memory_gb, least

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the task has no accuracy, or the model or the optimizer is not supported."""
        if not recipe.task.has_accuracy:
            must, got = f"analysis={name} needs a task with an accuracy", type(recipe.task).__name__
            fix = f"choose another task, or leave {name} out of {key.partition('.')[0]}=[...]"
            raise ConfigError(must, got=got, key=key, fix=fix)
        outputs = _explained_outputs(recipe.task.spec.loss)
        check_attribution(name, recipe, self._examples, outputs, key)

    def gradient_evaluations(self, recipe: Recipe) -> float:
        """Return about how many gradients of single examples the prediction takes, at the initial nodes: outputs and
        their derivative along a step count as one."""
        return evaluations(recipe, self._examples, 0.3 + 0.7 * self.nodes)

    @property
    def _examples(self) -> ExplainedExamples:
        return ExplainedExamples(self.split, self.examples, self.dtype, self.device)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute and save the prediction, resuming an interrupted attempt."""
        import pandas as pd

        from mechlab.kernels.explained import Explained
        from mechlab.kernels.prediction import PredictionForward
        from mechlab.kernels.quadrature import Quadrature

        examples = self._examples
        trajectory = examples.trajectory(run)
        functional, batch = trajectory.functional, trajectory.functional.placed(examples.batch(run))
        loss = functional.spec.loss
        explained = Explained(functional, batch, _explained_outputs(loss))
        with torch.no_grad():
            parameters = functional.layout.split(trajectory.theta(0))
            shape = functional.outputs(parameters, batch[:1]).shape[1:]
        measures = Measures(loss, batch, tuple(shape))
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance, self.most_nodes)
        limit = int(self.memory_gb * 1e9)
        forward = PredictionForward(
            trajectory, explained, quadrature, measures.over_examples, measures.names, limit, measures.counted
        )
        checkpoint = f"agreement-{checkpoint_key(self, trajectory.steps)}.safetensors"
        carry_out(forward, "agreement", run.folder / "work" / checkpoint)
        result = forward.result()
        table = measures.by_example(torch.as_tensor(result.final), torch.as_tensor(result.predicted))
        arrays = {"initial": result.initial, "final": result.final, "predicted": result.predicted}
        counted = measures.counted.cpu().numpy()
        out.save_arrays("outputs", **arrays, counted=counted)
        out.save_table("predictions", table)
        steps = pd.DataFrame({"step": np.arange(1, trajectory.steps + 1), **result.by_step})
        out.save_table("steps", steps)
        initial, final = (torch.as_tensor(values) for values in (result.initial, result.final))
        without = float(measures.agreeing(final, initial).double().mean())
        return self._finding(result, table, without, counted)

    def _finding(self, result: Predicted, table: pd.DataFrame, without: float, counted: np.ndarray) -> Finding:
        error, last = result.final - result.predicted, {name: float(v[-1]) for name, v in result.by_step.items()}
        error, movement = error[counted], float(np.abs(result.final - result.initial)[counted].mean())
        n, agreeing = len(table), int(table["agrees"].sum())
        names = ("agreement", "kernel_accuracy", "model_accuracy", "kl")
        scalars = {
            **{name: last[name] for name in names if name in last},
            "error_mean": float(np.abs(error).mean()),
            "error_max": float(np.abs(error).max()),
            "error_sd": float(error.std()),
            "movement": movement,
            "error_of_movement": float(np.abs(error).mean() / movement) if movement else 0.0,
            "nodes": float(result.by_step["nodes"].mean()),
            "examples": float(n),
            "steps": float(len(result.by_step["nodes"])),
        }
        low, high = wilson(agreeing, n)
        if wilson(n, n)[0] < self.least:
            fewest = next(m for m in range(n, 10**9) if wilson(m, m)[0] >= self.least)
            few = f"{n} examples cannot show an agreement of {self.least:g} or more; {fewest} that all agree would."
            return Finding(scalars, notes={"agreement": few})
        if without >= self.least:
            same = (
                f"The outputs before training already give {without:.4g} of the examples the network's labels, so that"
            )
            return Finding(scalars, notes={"agreement": f"{same} an agreement of {self.least:g} shows nothing."})
        claim = Claim(
            f"Kernel prediction and network give at least {self.least:g} of the examples the same labels (lower end of "
            "the 95 % Wilson interval). The null is the share with the outputs before training in place of the "
            "prediction.",
            value=agreeing / n,
            threshold=self.least,
            holds=low >= self.least,
            kind="statistical",
            null=without,
            interval=(low, high),
        )
        return Finding(scalars, {"agreement": claim})

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw deviations and agreement over the steps, and predicted against true outputs."""
        from mechlab.plotting import agreement as draw

        steps, outputs = out.table("steps"), out.arrays("outputs")
        return {
            "deviations": draw.deviations(steps),
            "agreement": draw.agreement_over_steps(steps, len(outputs["final"])),
            "predictions": draw.predicted_and_true(
                *(outputs[name][outputs.get("counted", ...)] for name in ("predicted", "final", "initial"))
            ),
        }


@dataclass(frozen=True)
class Measures:
    """Comparisons of predicted with true outputs.

    Args:
        loss: of the task; it decides which outputs are right.
        batch: the examples.
        shape: of the outputs of an example, of which the scalars (X, C) are the flattened rows.
    """

    loss: Loss
    batch: Batch
    shape: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what `over_examples` returns."""
        return ("model_accuracy", "kernel_accuracy", "agreement", *(["kl"] if self.loss.classes else []))

    @property
    def counted(self) -> Tensor:
        """The scalars (X, C) of targets that count, as bool."""
        return counted_scalars(self.batch, math.prod(self.shape))

    def over_examples(self, model: Tensor, predicted: Tensor) -> Sequence[Tensor]:
        """Return the accuracy of either, the share of agreeing examples, and for classes the mean divergence (nats)."""
        accuracies = [self._counted(self._right(values)).mean() for values in (model, predicted)]
        divergence = [self.divergences(model, predicted).mean()] if self.loss.classes else []
        return [*accuracies, self.agreeing(model, predicted).double().mean(), *divergence]

    def agreeing(self, model: Tensor, predicted: Tensor) -> Tensor:
        """Return the examples (X,) in which both give all targets that count the same label, or for outputs that are no
        classes both the right one or both a wrong one."""
        if self.loss.classes:
            same = self._shaped(model).argmax(-1) == self._shaped(predicted).argmax(-1)
        else:
            same = self._right(model) == self._right(predicted)
        if self.batch.mask is not None:
            same = same | ~self._mask(same)
        return same.flatten(1).all(1) if same.ndim > 1 else same

    def divergences(self, model: Tensor, predicted: Tensor) -> Tensor:
        """Return KL(model || prediction) (X,) in nats, the mean over targets that count."""
        p, q = self._shaped(model).log_softmax(-1), self._shaped(predicted).log_softmax(-1)
        each = (p.exp() * (p - q)).sum(-1)
        if self.batch.mask is None:
            return each.flatten(1).mean(1) if each.ndim > 1 else each
        weight = self.batch.mask.to(each)
        return (each * weight).sum(1) / weight.sum(1)

    def by_example(self, model: Tensor, predicted: Tensor) -> pd.DataFrame:
        """Return a row for each example: agreement, labels where it has one of a class, divergence and errors."""
        import pandas as pd

        placed = [values.to(self.batch.inputs.device) for values in (model, predicted)]
        columns = {"example": self.batch.index, "agrees": self.agreeing(*placed)}
        if self.loss.classes and len(self.shape) == 1:
            columns |= {"model_label": model.argmax(-1), "kernel_label": predicted.argmax(-1)}
            if self.loss.indices:
                columns["target"] = self.batch.targets
        if self.loss.classes:
            columns["kl"] = self.divergences(*placed)
        weight = self.counted.to(placed[0])
        error = (placed[0] - placed[1]).abs() * weight
        columns |= {"error_mean": error.sum(1) / weight.sum(1), "error_max": error.amax(1)}
        return pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})

    def _shaped(self, values: Tensor) -> Tensor:
        return values.view(len(values), *self.shape)

    def _right(self, values: Tensor) -> Tensor:
        return self.loss.right(self._shaped(values), self.batch.targets)

    def _mask(self, values: Tensor) -> Tensor:
        """Return where values (X, T, ...) count, in their shape."""
        mask = self.batch.mask
        return mask.view(*mask.shape, *(1,) * (values.ndim - mask.ndim)).expand(values.shape)

    def _counted(self, values: Tensor) -> Tensor:
        """Return the values of targets that count, as numbers."""
        return (values if self.batch.mask is None else values[self._mask(values)]).double()


def _explained_outputs(loss: Loss) -> Outputs:
    """Return the scalars that a prediction is about: log-probabilities of classes, or the outputs."""
    return "all" if loss.classes else _flattened


def _flattened(outputs: Tensor) -> Tensor:
    return outputs.flatten(1) if outputs.ndim > 1 else outputs
