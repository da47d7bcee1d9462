"""Gradients of a loss with respect to the inputs of a sequence, and the input steps on which a target depends."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from mechlab.core.model import SequenceModel
from mechlab.core.precision import set_precision
from mechlab.core.task import Batch, TaskSpec


def input_gradient_norms(model: SequenceModel, batch: Batch, spec: TaskSpec, chosen: Tensor) -> Tensor:
    """Return the norm over channels (B, T) float64 of d loss / d input at each input step of each example, the loss
    being the example's mean (or sum, as its task has it) over the chosen steps.

    Computed in float64, in which the gradient of a small loss does not vanish.

    Args:
        model: any sequence model that is differentiable in its inputs.
        batch: B examples with real inputs (B, T, channels) and targets at all T steps.
        spec: of the task.
        chosen: (B, T) bool, the steps of each example whose losses count.

    Source: the copying memory of Karuvally et al., arXiv 2310.02430, whose code takes the loss at one step.
    """
    model = set_precision(copy.deepcopy(model), torch.float64).eval().requires_grad_(False)
    with torch.enable_grad():
        inputs = batch.inputs.detach().double().requires_grad_()
        targets = batch.targets.double() if batch.targets.is_floating_point() else batch.targets
        losses = spec.loss.examples(model(inputs).outputs, targets, chosen)
        (gradients,) = torch.autograd.grad(losses.sum(), inputs)
    return gradients.norm(dim=-1)


def dependences(targets_of: Callable[[Tensor], Tensor], inputs: Tensor, chosen: Tensor, exchanges: int = 8) -> Tensor:
    """Return the input steps (B, T) bool on which the targets at the chosen steps depend: where they change if the
    example's input at that step alone is exchanged for that of another example.

    A dependence that few of the exchanges show is missed: a lower bound, exact where every exchange of different inputs
    changes a target.

    Args:
        targets_of: targets (B, T, ...) of inputs (B, T, channels).
        inputs: (B, T, channels); steps of zeros are outside of a sequence and are not exchanged for others.
        chosen: (B, T) bool.
        exchanges: number of other examples.
    """
    before, result = targets_of(inputs), torch.zeros(chosen.shape, dtype=torch.bool)
    for t in varying(inputs).nonzero().flatten().tolist():
        (inside,) = inputs[:, t].any(-1).nonzero(as_tuple=True)
        for shift in range(1, min(exchanges, len(inside) - 1) + 1):
            exchanged = inputs.clone()
            exchanged[inside, t] = inputs[inside.roll(shift), t]
            changed = (targets_of(exchanged) != before).view(*chosen.shape, -1).any(-1)
            result[:, t] |= (changed & chosen).any(1)
    return result


def varying(values: Tensor) -> Tensor:
    """Return at which steps (T,) bool values (B, T) or (B, T, channels) differ between examples."""
    return (values != values[:1]).view(*values.shape[:2], -1).any(-1).any(0)
