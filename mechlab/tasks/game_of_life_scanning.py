"""The Game of Life on a torus, a row per step."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from mechlab.core.constraints import Size, between
from mechlab.tasks.dynamical_system import DynamicalSystem
from mechlab.tasks.life import alive


class GameOfLifeScanning(DynamicalSystem):
    """Read the d rows of a random grid of d x d cells, as signs (+1 alive); then update it a row per step, the oldest
    first: the row above it is the newest one, the row below it the second oldest, and rows are rings (Karuvally et al.,
    arXiv 2310.02430).

    Args:
        d: rows and columns, of at least 3.
        horizon: steps after the inputs.
        density: probability that a cell is alive.
        compat: "published" takes the two outer neighbours beyond the corners of the grid for dead, as the published
            code does, which is then no torus.
    """

    def __init__(
        self,
        d: Annotated[int, between(3, 1024)] = 8,
        horizon: Size = 18,
        density: Annotated[float, between(0, 1)] = 0.3,
        compat: Literal["none", "published"] = "none",
    ):
        self.density, self.compat = density, compat
        super().__init__(self._row, d, d, horizon, density)

    def chance(self) -> float:
        """Return the share of dead cells among the targets, estimated on 1,000 grids."""
        batch = self.generate(1000, "train", torch.Generator().manual_seed(0))
        return float((batch.targets[:, self.s :] < 0).double().mean())

    def _row(self, window: Tensor, step: int) -> Tensor:
        above, row, below = ((window[:, place] > 0).int() for place in (-1, 0, 1))
        left, right = above.roll(1, 1), above.roll(-1, 1)
        if self.compat == "published":
            left[:, 0] = right[:, -1] = 0
        count = above + left + right + row.roll(1, 1) + row.roll(-1, 1) + below + below.roll(1, 1) + below.roll(-1, 1)
        return alive(window[:, 0], count)
