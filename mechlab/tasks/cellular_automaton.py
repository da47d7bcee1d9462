"""One step of an elementary cellular automaton on a ring."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from mechlab.core.constraints import Seed, Size, between
from mechlab.tasks.bit_function import BitFunction
from mechlab.tasks.coded import bits

NEIGHBOURHOODS = 8  # of three cells


class CellularAutomaton(BitFunction):
    """Map the cells of a ring to all cells one step later.

    A cell's next value is the rule's bit number 4 l + 2 c + r, with the lowest bit number 0, where l, c and r are the
    cell to its left, itself and the cell to its right (Wolfram's numbering). Inputs are the cells (N, size) as 0 and 1,
    or with rule "all" the 8 bits of a random rule, the lowest first, and then the cells (N, 8 + size). Targets are the
    cells (N, size) after the step. A rule is constant, and chance 1, where its number is 0 or 255.

    Args:
        rule: number of the rule, or "all" for all 256 rules at once.
        size: cells of the ring.
        examples: number of distinct training rings; of a small set of rings at most three quarters.
        held_out: number of other rings for validation, and as many again for test, as far as there are so many.
        seed: of the rings.

    Source: Wolfram, "Statistical mechanics of cellular automata", Reviews of Modern Physics 55 (1983).
    """

    def __init__(
        self,
        rule: Annotated[int, between(0, 255)] | Literal["all"] = 110,
        size: Annotated[int, between(3, 10_000)] = 9,
        examples: Size = 200,
        held_out: Size = 1000,
        seed: Seed = 0,
    ):
        self.rule, self.size = rule, size
        cells, width = {"cells": (size,)}, size
        if rule == "all":
            cells, width = {"rule": (NEIGHBOURHOODS,), **cells}, NEIGHBOURHOODS + size
        super().__init__(self._next, cells, (width,), size, examples, held_out, seed)

    def _next(self, inputs: Tensor) -> Tensor:
        if self.rule == "all":
            return step(inputs[:, NEIGHBOURHOODS:], inputs[:, :NEIGHBOURHOODS])
        return step(inputs, bits(torch.tensor([self.rule], device=inputs.device), NEIGHBOURHOODS))


def step(cells: Tensor, rules: Tensor) -> Tensor:
    """Return the cells of rings (B, size) after one step, in the dtype of the rules.

    Args:
        cells: (B, size), 0 or 1.
        rules: (B, 8) or (1, 8), bits of the rule of each ring, the lowest first.
    """
    numbers = (4 * cells.roll(1, 1) + 2 * cells + cells.roll(-1, 1)).long()
    return rules.expand(len(cells), -1).gather(1, numbers).to(cells.dtype)
