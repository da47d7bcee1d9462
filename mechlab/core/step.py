"""The single definition of an optimiser update, of one network and of M side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from mechlab.core.layout import Layout
from mechlab.core.task import Batch, TaskSpec
from mechlab.core.update_equations import clip_factor

CACHED = 2**20  # outputs, in numbers, of the networks that are computed together on a CPU


def aligned_outputs(model: Callable[..., Any], batch: Batch, spec: TaskSpec) -> Tensor:
    """Run the model on a batch and return its outputs at the steps that have targets.

    Raises:
        ValueError: the outputs do not have the shape that the targets require.
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
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        torch._foreach_mul_(gradients, clip_factor(torch.nn.utils.get_total_norm(gradients), clip))
    optimizer.step()
    return loss.detach(), outputs.detach()


def update_many(
    model: nn.Module,
    layout: Layout,
    theta: nn.Parameter,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    spec: TaskSpec,
    *,
    learning_rate: float | None = None,
    clip: float | None = None,
    weights: Tensor | None = None,
    constants: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Make one optimiser update of M networks of one architecture, in place: to rounding, `update` of each of them.

    Args:
        model: the architecture. Its own values are those of the parameters and buffers that neither the layout nor
            `constants` names.
        layout: names and places of the trained parameters on the axis of P.
        theta: (M, P) the parameters, a network in each row.
        optimizer: of theta, of a kind that `equations_of` supports: each number is updated by itself.
        batch: the examples of all networks, index (B,), or those of each, with a leading axis of M: index (M, B).
        learning_rate: the rate in force during this step; the optimizer's own when None.
        clip: largest norm of each network's whole gradient; None leaves it as it is.
        weights: (M, B) weight of each example.
        constants: parameters and buffers (M, ...) that are not trained and differ between the networks, by name.

    Returns:
        The losses (M,) before the update and the outputs (M, B, ...) at the steps that have targets.
    """
    if learning_rate is not None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate

    def loss(
        parameters: dict[str, Tensor],
        fixed: dict[str, Tensor],
        fields: tuple[Tensor | None, ...],
        weight: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        part = Batch(*fields)  # type: ignore[arg-type]  # the mask alone may be None
        outputs = aligned_outputs(lambda *i, **o: functional_call(model, {**fixed, **parameters}, i, o), part, spec)
        return batch_loss(outputs, part, spec, weight), outputs

    fields = (batch.inputs, batch.targets, batch.mask, batch.index)
    own = 0 if batch.index.ndim == 2 else None
    axes = (0, 0, tuple(None if value is None else own for value in fields), None if weights is None else 0)
    parameters, others = layout.split(theta.detach()), (dict(constants or {}), fields, weights)
    if spec.kind == "static":  # a row's loss depends on its own parameters alone; torch.func.grad is slower

        def gradients_of(rows: slice) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
            fixed, fields, weights = _rows(others, axes[1:], rows)
            tracked = {name: value[rows].requires_grad_() for name, value in parameters.items()}
            losses, outputs = vmap(loss, axes)(tracked, fixed, fields, weights)
            return torch.autograd.grad(losses.sum(), list(tracked.values())), losses.detach(), outputs.detach()

        at_once = _rows_at_once(theta, batch, spec)
        parts = [gradients_of(slice(start, start + at_once)) for start in range(0, len(theta), at_once)]
        each, some_losses, some_outputs = zip(*parts, strict=True)
        gradients = dict(zip(parameters, map(torch.cat, zip(*each, strict=True)), strict=True))
        losses, outputs = torch.cat(some_losses), torch.cat(some_outputs)
    else:  # under torch.func.grad alone, torch's recurrent layers have batching rules
        gradients, (losses, outputs) = vmap(grad_and_value(loss, has_aux=True), axes)(parameters, *others)
    theta.grad = layout.join(gradients, 1)
    if clip is not None:
        theta.grad *= clip_factor(theta.grad.norm(dim=1, keepdim=True), clip)
    optimizer.step()
    return losses.detach(), outputs.detach()


def _rows_at_once(theta: Tensor, batch: Batch, spec: TaskSpec) -> int:
    """Return how many networks to compute together: on a CPU few enough for their activations to stay in its cache."""
    return len(theta) if theta.is_cuda else max(1, CACHED // (batch.index.shape[-1] * spec.outputs))


def _rows(values: Any, axes: Any, rows: slice) -> Any:
    """Return some rows of the tensors in nested tuples and dictionaries whose axis of M is 0, and the others whole."""
    if isinstance(values, tuple):
        return tuple(_rows(*pair, rows) for pair in zip(values, axes, strict=True))
    if isinstance(values, dict):
        return {name: _rows(value, axes, rows) for name, value in values.items()}
    return values if axes is None else values[rows]


def trained_parameters(model: nn.Module, batch: Batch, spec: TaskSpec) -> dict[str, torch.Size]:
    """Return the shapes of the parameters that an update of the model changes, by name: those that require a gradient
    and that the loss of a batch depends on."""
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    loss = example_losses(aligned_outputs(model, batch, spec), batch, spec).sum()
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    pairs = zip(parameters.items(), gradients, strict=True)
    return {name: value.shape for (name, value), gradient in pairs if gradient is not None}
