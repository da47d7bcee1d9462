"""One generation of the Game of Life on a torus, as a function of the torus."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from mechlab.core.constraints import Seed, Size, between
from mechlab.tasks.bit_function import BitFunction


class LifeStep(BitFunction):
    """Map the cells of a torus to all cells one generation later (B3/S23).

    Inputs are random tori (N, 1, size, size), each cell alive (1) or dead (0) with probability 1/2; targets are the
    cells (N, size^2) after the generation, row by row. All 512 neighbourhoods of 3 x 3 cells occur among 54 tori of
    8 x 8 cells in half of all draws, among 89 in 99 of 100, and among the 200 of the default.

    Args:
        size: rows and columns.
        examples: number of distinct training tori; of a small set of tori at most three quarters.
        held_out: number of other tori for validation, and as many again for test.
        seed: of the tori.

    Source: Gardner, "Mathematical games", Scientific American 223 (October 1970).
    """

    def __init__(
        self,
        size: Annotated[int, between(3, 512)] = 8,
        examples: Size = 200,
        held_out: Size = 200,
        seed: Seed = 0,
    ):
        self.size = size
        super().__init__(generation, {"cells": (size, size)}, (1, size, size), size * size, examples, held_out, seed)


def generation(tori: Tensor) -> Tensor:
    """Return the cells (B, rows * columns) of tori (B, 1, rows, columns) one generation later, 0 or 1."""
    shifts = (-1, 0, 1)
    count = sum(tori.roll((i, j), (2, 3)) for i in shifts for j in shifts)  # living cells of each neighbourhood
    return ((count == 3) | ((count == 4) & (tori == 1))).to(tori.dtype).flatten(1)
