"""Adjoints without denormal numbers, on which some processors are many times slower than on others.

The adjoint of a momentum is multiplied by `carry` at every step back. Where nothing is added, as for the parameters of
units that are not active, it falls below the smallest normal number (with a carry of .9, after some 800 steps in 32
bits) and stays there, since rounding stops denormal numbers from becoming zero. Tiny entries are set to zero explicitly
and not by the processor's flush-to-zero mode, which would also change the steps that are computed again from a history.
"""

from __future__ import annotations

import torch
from torch import Tensor


def threshold(dtype: torch.dtype) -> float:
    """Return the smallest normal number of a dtype divided by its relative precision: 1e-31 in 32 bits, 1e-292 in 64.

    Products of larger numbers with factors of at least the relative precision are normal numbers as well.
    """
    limits = torch.finfo(dtype)
    return limits.tiny / limits.eps


def without_denormals(values: Tensor) -> Tensor:
    """Set the entries whose absolute value is at most `threshold` to zero, in place, and return the tensor.

    If every step of a backward pass A_s = a_s + carry A_{s+1} does so, no entry of A_s is wrong by more than
    threshold / (1 - carry), and an inner product <g, A_s> by more than that times the sum of the absolute entries of g.
    """
    return torch.hardshrink(values, threshold(values.dtype), out=values)
