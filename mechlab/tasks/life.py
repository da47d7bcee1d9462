"""One generation of the Game of Life (B3/S23), cells as signs."""

from __future__ import annotations

import torch
from torch import Tensor


def alive(before: Tensor, neighbours: Tensor) -> Tensor:
    """Return cells after a generation, as signs: alive with three living neighbours, or with two if alive before."""
    return torch.where((neighbours == 3) | ((neighbours == 2) & (before > 0)), 1.0, -1.0).to(before.dtype)
