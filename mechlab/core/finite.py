"""Checks that losses and parameters are finite."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mechlab.core.errors import NotFinite
from mechlab.core.task import Batch, Split

SLOWER = "lower optimizer.lr, or set trainer.gradient_clip=1.0"
WHOLE = {"train": "training", "val": "validation", "test": "test"}


def check_loss(loss: float, split: Split, step: int, model: nn.Module, examples: Callable[[], Batch]) -> None:
    """Raise NotFinite, naming the cause, unless the loss of a split after `step` optimiser steps is finite.

    Args:
        model: its parameters are checked first.
        examples: returns the examples of the split, checked second; called only for a loss that is not finite.
    """
    if math.isfinite(loss):
        return
    batch = examples()
    got, fix = "parameters, inputs and targets that are finite: the model's outputs or their loss overflow", SLOWER
    if names := not_finite(model):
        got = f"parameters that are not finite: {', '.join(names)}"
    elif bad := [name for name in ("inputs", "targets") if not torch.isfinite(getattr(batch, name)).all()]:
        first = int(batch.index[_rows(getattr(batch, bad[0]))][0])
        got = f"{' and '.join(bad)} of the {WHOLE[split]} split that are not finite, first in example {first}"
        fix = "let the task give finite numbers"
    must = f"the {WHOLE[split]} loss must be finite; it was {loss} after {step} optimiser steps"
    raise NotFinite(must, got=got, fix=fix)


def check_parameters(model: nn.Module, step: int) -> None:
    """Raise NotFinite, with the names, unless all parameters that are trained are finite after `step` steps."""
    if names := not_finite(model):
        must = f"parameters must be finite; after {step} optimiser steps they were not"
        raise NotFinite(must, got=", ".join(names), fix=SLOWER)


def not_finite(model: nn.Module) -> list[str]:
    """Return the names of the trained parameters that hold a number which is not finite. Fixed ones and buffers may, a
    mask of -inf for instance."""
    trained = ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    return [name for name, value in trained if not torch.isfinite(value.detach()).all()]


def _rows(values: Tensor) -> Tensor:
    """Return which examples (B,) of values (B, ...) hold a number that is not finite."""
    return ~torch.isfinite(values).flatten(1).all(1) if values.ndim > 1 else ~torch.isfinite(values)
