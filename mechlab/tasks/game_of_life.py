"""The Game of Life on a torus, a generation per step."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from mechlab.core.constraints import Size, between
from mechlab.tasks.dynamical_system import DynamicalSystem
from mechlab.tasks.life import alive

NEIGHBOURS = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))


class GameOfLife(DynamicalSystem):
    """Read a random grid of n x n cells on a torus, flat and as signs (+1 alive), then output the next generations.

    Args:
        n: rows and columns, of at least 3.
        horizon: generations.
        density: probability that a cell is alive.
    """

    def __init__(
        self,
        n: Annotated[int, between(3, 64)] = 8,
        horizon: Size = 12,
        density: Annotated[float, between(0, 1)] = 0.3,
    ):
        self.n, self.density = n, density
        super().__init__(self._generation, n * n, 1, horizon, density)

    def chance(self) -> float:
        """Return the share of dead cells among the targets, estimated on 1,000 grids."""
        batch = self.generate(1000, "train", torch.Generator().manual_seed(0))
        return float((batch.targets[:, 1:] < 0).double().mean())

    def _generation(self, window: Tensor, step: int) -> Tensor:
        grid = window[:, 0].unflatten(1, (self.n, self.n))
        living = (grid > 0).int()
        count = sum(living.roll(shift, (1, 2)) for shift in NEIGHBOURS)
        return alive(grid, count).flatten(1)
