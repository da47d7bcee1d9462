"""Distinct rows of random examples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mechlab.tasks.coded import bits

LISTED = 20  # bits of which all combinations are listed, and drawn without replacement


def first_occurrences(rows: Tensor) -> Tensor:
    """Return the positions (D,) of the first of each group of equal rows (N, ...), in rising order."""
    flat = np.ascontiguousarray(rows.flatten(1).cpu().numpy())
    keys = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
    return torch.from_numpy(np.sort(np.unique(keys, return_index=True)[1]))


def distinct_bits(n: int, width: int, rng: torch.Generator) -> Tensor:
    """Draw n distinct vectors of bits (n, width) float32, uniformly, on the CPU.

    Raises:
        ValueError: there are fewer than n.
    """
    if width < 63 and n > 2**width:
        raise ValueError(f"n must be at most {2**width}, the number of vectors of {width} bits. Got {n} instead.")
    if width <= LISTED:
        return bits(torch.randperm(2**width, generator=rng)[:n], width)
    rows = torch.empty(0, width, dtype=torch.uint8)
    while len(rows) < n:
        rows = torch.cat([rows, torch.randint(2, (n, width), generator=rng, dtype=torch.uint8)])
        rows = rows[first_occurrences(rows)]
    return rows[:n].float()
