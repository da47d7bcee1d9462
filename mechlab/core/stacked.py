"""Linear layers that are computed as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Stacked(nn.Module):
    """Several linear layers without bias as one matrix product, which has the arithmetic of one layer.

    It has no parameters of its own: they belong to the layers, which the model holds by name.

    Args:
        layers: the layers.
        axis: 0: they read the same input, and their outputs lie side by side; 1: they read parts of the input that
            lie side by side, and their outputs are added.
    """

    def __init__(self, layers: Sequence[nn.Linear], axis: int):
        super().__init__()
        self.layers, self.axis = tuple(layers), axis  # a tuple, so that torch does not register them a second time

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return inputs @ torch.cat([layer.weight for layer in self.layers], self.axis).mT
