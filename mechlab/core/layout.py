"""Named parameter tensors as one flat axis of P scalars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The place of each parameter tensor on the flat axis.

    Args:
        shapes: the shape of each tensor, in order.
    """

    shapes: Mapping[str, torch.Size]

    @property
    def names(self) -> list[str]:
        """The tensors' names, in order."""
        return list(self.shapes)

    @cached_property
    def places(self) -> dict[str, slice]:
        """The slice of the flat axis that each tensor takes."""
        places, start = {}, 0
        for name, shape in self.shapes.items():
            places[name] = slice(start, start + math.prod(shape))
            start = places[name].stop
        return places

    @cached_property
    def size(self) -> int:
        """P, the number of scalars."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Return flat (..., P) as tensors (..., *shape), without a copy where possible."""
        return {
            name: flat[..., self.places[name]].unflatten(-1, shape) if shape else flat[..., self.places[name].start]
            for name, shape in self.shapes.items()
        }

    def join(self, tensors: Mapping[str, Tensor], leading: int = 0) -> Tensor:
        """Concatenate tensors (..., *shape) with this number of leading axes to (..., P)."""
        return torch.cat(
            [
                tensors[name].flatten(leading) if shape else tensors[name][..., None]
                for name, shape in self.shapes.items()
            ],
            -1,
        )

    def sums(self, values: Tensor) -> Tensor:
        """Return the sums of (..., P) within each tensor: (..., number of tensors)."""
        return torch.stack([values[..., place].sum(-1) for place in self.places.values()], -1)

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the inner products of (..., P) with columns (P, K) within each tensor: (..., number of tensors, K)."""
        return torch.stack([left[..., place] @ right[place] for place in self.places.values()], -2)
