"""Any signed choice of past cells as the next state: linear variable binding."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.binding.companion import CompanionMatrix
from mechlab.binding.rules import PRESETS, SignedChoice, choice_of_cycles, choice_of_id
from mechlab.core.constraints import Filled, Seed, Size
from mechlab.core.errors import ConfigError
from mechlab.tasks.dynamical_system import DynamicalSystem, after

Id = tuple[int, int, int]


class LinearBinding(DynamicalSystem):
    """Read s random vectors in {-1, +1}^d, then output z_t = F' vec(z_{t-s}, ..., z_{t-1}), where each component of z_t
    is one of the s*d past cells with a sign (Karuvally et al., arXiv 2310.02430).

    The rule is given by exactly one of `id`, `cells` and `cycles`.

    Args:
        d: number of components of a vector.
        s: number of vectors to read.
        horizon: steps after the inputs.
        id: the published number (a, b, c), or T1 to T4, which need d = s = 8; see `binding.rules.choice_of_id`.
        cells: the cell that each component copies: block * d + component, block 0 the oldest.
        signs: with `cells`, +1 or -1 for each component; all +1 by default.
        cycles: lengths of the cycles of a random choice, negative for the sign -1.
        rule_seed: of the random choice.

    Raises:
        ConfigError: no rule or several are given, or none fits d and s.
    """

    def __init__(
        self,
        d: Size = 8,
        s: Size = 8,
        horizon: Size = 36,
        id: Literal["T1", "T2", "T3", "T4"] | Id | None = None,
        cells: Annotated[Sequence[int], Filled()] | None = None,
        signs: Annotated[Sequence[int], Filled()] | None = None,
        cycles: Annotated[Sequence[int], Filled()] | None = None,
        rule_seed: Seed = 0,
    ):
        self.id, self.cells, self.signs, self.cycles, self.rule_seed = id, cells, signs, cycles, rule_seed
        self.choice = self._choice(d, s)
        self._companion = CompanionMatrix(self.choice.F)
        super().__init__(self.choice, d, s, horizon)

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return z_t (B, T, d) for t >= s, 0 before, as a signed gather from the first s inputs (B, T, d); and which
        steps count."""
        given = inputs[:, : self.s].flatten(1)  # (B, s d)
        signed = torch.cat([given.new_zeros(len(given), 1), given, -given], 1)
        targets = signed.index_select(1, _columns(self.choice, inputs.shape[1]).to(inputs.device))
        return targets.view(inputs.shape), after(self.s, inputs)

    def ground_truth(self) -> CompanionMatrix:
        """Return the linear system."""
        return self._companion

    def _choice(self, d: int, s: int) -> SignedChoice:
        given = [name for name in ("id", "cells", "cycles") if getattr(self, name) is not None]
        if len(given) != 1:
            must = "a linear binding must have exactly one of task.id, task.cells and task.cycles"
            raise ConfigError(must, got=" and ".join(given) or "none", key="task.id", fix="task.id=T1")
        if self.signs is not None and self.cells is None:
            raise ConfigError("task.signs must come with task.cells", got=str(self.signs), key="task.signs")
        if isinstance(self.id, str) and (d, s) != (8, 8):
            got = f"d={d}, s={s}"
            raise ConfigError(f"task.id={self.id} must have d = s = 8", got=got, key="task.id", fix="task.id=[a,b,c]")
        try:
            if self.id is not None:
                return choice_of_id(*(PRESETS[self.id] if isinstance(self.id, str) else self.id), s, d)
            if self.cycles is not None:
                rng = np.random.default_rng(self.rule_seed)
                return choice_of_cycles(self.cycles, s, d, rng)
            if len(self.cells) != d:
                raise ValueError(f"cells must be one for each of d = {d} components. Got {len(self.cells)} instead.")
            return SignedChoice(tuple(self.cells), tuple(self.signs or [1] * d), s)
        except ValueError as error:
            raise ConfigError(
                str(error).split(" Got ")[0], got=getattr(self, given[0]), key=f"task.{given[0]}"
            ) from None


@functools.lru_cache(maxsize=32)
def _columns(choice: SignedChoice, T: int) -> Tensor:
    """Return the columns (T d,) of [0, cells, -cells] that hold the targets of T steps."""
    cells, signs = choice.sources(max(0, T - choice.s))  # (T - s, d)
    columns = np.zeros((T, choice.d), np.int64)
    columns[choice.s :] = 1 + cells + np.where(signs < 0, choice.s * choice.d, 0)
    return torch.from_numpy(columns.flatten())
