"""Linear layers of M networks side by side, with the rounding of one."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Linear(torch.autograd.Function):
    """x W^T + b, whose batching rule is one matrix product that begins at b, as that of a single layer does."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        return gradient @ weight, rows.mT @ x.flatten(0, -2), rows.sum(0)

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *inputs: Tensor) -> tuple[Tensor, int]:
        x, weight, bias = (
            value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
            for value, dim in zip(inputs, in_dims, strict=True)
        )
        rows = x if x.ndim == 3 else x.reshape(len(x), -1, x.shape[-1])
        return torch.baddbmm(bias[:, None], rows, weight.mT).view(*x.shape[:-1], -1), 0


def with_batched_linear(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose linear layers with a bias round under torch.vmap as a single layer does.

    torch's own batching rule adds the bias after the product; a difference in the last bit is enough for a rectifier to
    open in one training and not in its twin.
    """
    model = copy.deepcopy(model)
    for module in model.modules():
        if type(module) is nn.Linear and module.bias is not None:
            module.forward = functools.partial(_forward, module)  # type: ignore[method-assign]
    return model


def _forward(layer: nn.Linear, x: Tensor) -> Tensor:
    return _Linear.apply(x, layer.weight, layer.bias)
