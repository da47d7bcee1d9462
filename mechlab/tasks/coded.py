"""Endless data whose inputs are one of a limited number: which of them belong to which split."""

from __future__ import annotations

import torch
from torch import Tensor

from mechlab.core.task import Split

OF_TEN = {"train": (0, 8), "val": (8, 1), "test": (9, 1)}  # the first last digit of a split, and how many it has
FEWEST = 10  # numbers, so that every split has one


def draw_codes(n: int, count: int, split: Split, rng: torch.Generator) -> Tensor:
    """Draw n numbers below `count` (n,) int64, uniformly among those of a split, on the generator's device.

    The last decimal digit of a number decides: 8 is validation, 9 is test. No held-out input is ever trained on.

    Raises:
        ValueError: `count` is below 10.
    """
    if count < FEWEST:
        raise ValueError(f"count must be at least {FEWEST}, so that every split has a number. Got {count} instead.")
    first, digits = OF_TEN[split]
    whole, rest = divmod(count, 10)
    total = whole * digits + min(max(rest - first, 0), digits)
    drawn = torch.randint(total, (n,), generator=rng, device=rng.device)
    return drawn // digits * 10 + first + drawn % digits


def bits(numbers: Tensor, width: int) -> Tensor:
    """Return the `width` lowest bits (..., width) of numbers (...) int64, the lowest first, as float32 0 and 1."""
    return (numbers[..., None] >> torch.arange(width, device=numbers.device) & 1).float()


def number_of(digits: Tensor) -> Tensor:
    """Return the numbers (...) int64 of bits (..., width), the lowest first; positive values are 1."""
    return ((digits > 0.5).long() << torch.arange(digits.shape[-1], device=digits.device)).sum(-1)
