"""The precision of tensors and models, real and complex alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def in_precision(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in the precision of a floating dtype: a real one in that dtype, a complex one in the dtype whose
    parts have it (complex64 for float32), integers and bools as they are."""
    if value.is_complex():
        return value.to(dtype.to_complex())
    return value.to(dtype) if value.is_floating_point() else value


def set_precision(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Put the parameters and buffers of a model into the precision of a floating dtype, in place, and return the model.

    Unlike `model.to(dtype)`, which drops the imaginary part of complex tensors; see `in_precision`.
    """
    return model._apply(lambda value: in_precision(value, dtype))
