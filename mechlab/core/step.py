"""The single definition of an optimiser update; training, verification and replay all come here."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.model import outputs_of
from mechlab.core.task import Batch, TaskSpec, per_example


def example_losses(outputs: Tensor, batch: Batch, spec: TaskSpec) -> Tensor:
    """Return each example's loss (B,): its mean over the targets that count, in nats or squared units.

    Raises:
        ValueError: the outputs do not have the shape of the targets.
    """
    if spec.loss == "cross_entropy":
        if outputs.shape[:-1] != batch.targets.shape:
            raise ValueError(f"outputs {tuple(outputs.shape)} must be targets {tuple(batch.targets.shape)} + (classes,)")
        flat = F.cross_entropy(outputs.flatten(0, -2), batch.targets.flatten(), reduction="none")
        return per_example(flat.view(batch.targets.shape), batch.mask)
    if outputs.shape != batch.targets.shape:
        raise ValueError(f"outputs {tuple(outputs.shape)} must have the shape of the targets {tuple(batch.targets.shape)}")
    return per_example((outputs - batch.targets).square(), batch.mask)


def batch_loss(outputs: Tensor, batch: Batch, spec: TaskSpec, weights: Tensor | None = None) -> Tensor:
    """Return the weighted sum of the examples' losses divided by the number of examples.

    Args:
        weights: (B,) weight of each example, 1 by default. A weight of 0 removes an example and keeps the denominator.
    """
    losses = example_losses(outputs, batch, spec)
    return losses.mean() if weights is None else (weights * losses).sum() / len(batch)


def update(
    model: nn.Module,
    optimizer: Any,
    batch: Batch,
    spec: TaskSpec,
    *,
    learning_rate: float | None = None,
    clip: float | None = None,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Make one optimiser update on a batch, in place.

    Args:
        optimizer: anything with param_groups, zero_grad() and step().
        learning_rate: the rate in force during this step; the optimizer's own when None.
        clip: largest norm of the whole gradient; None leaves it as it is.
        weights: (B,) weight of each example.

    Returns:
        The loss () before the update and the outputs, both detached.
    """
    if learning_rate is not None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
    optimizer.zero_grad()
    outputs = outputs_of(model, batch.inputs)
    loss = batch_loss(outputs, batch, spec, weights)
    loss.backward()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), outputs.detach()
