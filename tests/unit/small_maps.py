"""Maps of a state as recurrent models, for tests of fixed points and exponents."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec

SPEC = TaskSpec(inputs=2, outputs=1, kind="sequence", loss="mse", length=6)


class Map(SequenceModel):
    """A map of the state (B, size), as a model that ignores its inputs."""

    def __init__(self, function: Callable[[Tensor], Tensor], size: int):
        super().__init__(SPEC)
        self.function, self.size = function, size
        self.unit = torch.nn.Parameter(torch.zeros(1))

    def initial_state(self, batch: int) -> Tensor:
        return self.unit.new_zeros(batch, self.size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        following = self.function(state) + 0 * x.sum(-1, keepdim=True)
        return following[:, :1], following


def starts(size: int, n: int = 60, scale: float = 1.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
