"""The check of a user's inputs against the format that a task's models read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from mechlab.core.task import TaskSpec


def check_inputs(inputs: Tensor, spec: TaskSpec) -> None:
    """Raise ConfigError unless inputs have the shape, dtype and range of a spec: (B, T, inputs) for sequences of any
    length, (B, *shape) for static tasks; int64 ids below `inputs` for tokens, finite real numbers otherwise."""
    if not isinstance(inputs, Tensor):
        raise ConfigError(
            "inputs must be a tensor", got=type(inputs).__name__, key="inputs", fix="torch.as_tensor(...)"
        )
    axes = ("T", spec.inputs) if spec.kind == "sequence" else spec.shape
    fits = inputs.ndim == 1 + len(axes) and all(
        axis in (size, "T") for size, axis in zip(inputs.shape[1:], axes, strict=True)
    )
    if not fits or not inputs.numel():
        shape = ", ".join(["B", *map(str, axes)])
        fix = "add an axis in front for a single input" if inputs.ndim == len(axes) else None
        raise ConfigError(f"inputs must have shape ({shape})", got=tuple(inputs.shape), key="inputs", fix=fix)
    if spec.tokens:
        wanted, right, fix = "int64", inputs.dtype == torch.int64, "inputs.long()"
    else:
        wanted, right, fix = "real numbers", inputs.is_floating_point(), "inputs.float()"
    if not right:
        got = str(inputs.dtype).removeprefix("torch.")
        raise ConfigError(f"inputs must be {wanted}", got=got, key="inputs", fix=fix)
    wrong = (inputs < 0) | (inputs >= spec.inputs) if spec.tokens else ~inputs.isfinite()
    if wrong.any():
        must = f"inputs must be ids from 0 to {spec.inputs - 1}" if spec.tokens else "inputs must be finite"
        raise ConfigError(must, got=inputs[wrong][0].item(), key="inputs")
