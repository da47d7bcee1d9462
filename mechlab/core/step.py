"""The single definition of an optimiser update; training, verification and replay all come here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mechlab.core.task import Batch, TaskSpec


def aligned_outputs(model: nn.Module, batch: Batch, spec: TaskSpec) -> Tensor:
    """Run the model on a batch and return its outputs at the steps that have targets.

    Raises:
        ValueError: the outputs do not have the shape that the targets ask for.
    """
    if spec.kind == "sequence":
        outputs = model(batch.inputs, last=batch.targets.shape[1]).outputs
    else:
        outputs = model(batch.inputs)
    expected = spec.loss.output_shape(batch.targets, spec.outputs)
    if outputs.shape != expected:
        raise ValueError(f"the model's outputs must have shape {expected}. Got {tuple(outputs.shape)} instead.")
    return outputs


def example_losses(outputs: Tensor, batch: Batch, spec: TaskSpec) -> Tensor:
    """Return each example's loss (B,), over the targets that count."""
    return spec.loss.examples(outputs, batch.targets, batch.mask)


def batch_loss(outputs: Tensor, batch: Batch, spec: TaskSpec, weights: Tensor | None = None) -> Tensor:
    """Return the weighted sum of the examples' losses divided by the number of examples.

    Args:
        weights: (B,) weight of each example, 1 by default. A weight of 0 removes an example and keeps the denominator.
    """
    if weights is None and batch.mask is None:  # every example has as many targets, so the mean of means is the mean
        return spec.loss.mean(outputs, batch.targets)
    losses = example_losses(outputs, batch, spec)
    return losses.mean() if weights is None else (weights * losses).sum() / len(batch)


def clip_factor(gradients: Iterable[Tensor], clip: float | None) -> Tensor:
    """Return the factor () by which `update` multiplies these gradients of the batch loss before the optimizer sees
    them: min(1, clip / (norm of all of them + 1e-6)), and 1 without clipping."""
    norm = torch.nn.utils.get_total_norm(gradients)
    return torch.ones_like(norm) if clip is None else (clip / (norm + 1e-6)).clamp(max=1.0)


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
        The loss () before the update and the outputs at the steps that have targets, both detached.
    """
    if learning_rate is not None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
    optimizer.zero_grad()
    outputs = aligned_outputs(model, batch, spec)
    loss = batch_loss(outputs, batch, spec, weights)
    loss.backward()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), outputs.detach()
