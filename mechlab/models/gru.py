"""The network of gated recurrent units."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, above, between
from mechlab.core.task import TaskSpec
from mechlab.models.recurrent import Recurrent, affine


class GRU(Recurrent):
    """h' = (1 - z) n + z h with update gate z, reset gate r and n = tanh(W_in x + r (W_hn h)), as torch defines it.

    Args:
        spec: the task's specification.
        hidden: units per layer.
        layers: number of layers.
        bias: True for biases in the recurrence and the read-out.
        per_transition, dropout: see Recurrent.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size | None = 64,
        layers: Annotated[int, between(1, 1000)] = 1,
        bias: bool = True,
        per_transition: Annotated[float, above(0)] | None = None,
        dropout: Annotated[float, between(0, 1)] = 0.0,
    ):
        make = partial(nn.GRU, bias=bias, batch_first=True)
        super().__init__(spec, hidden, layers, bias, per_transition, dropout, make)

    @staticmethod
    def cell(layer: nn.GRU, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """Return the next hidden state (B, H), as a tuple of one."""
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (part.chunk(3, -1) for part in affine(layer, x, h))
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h,)
