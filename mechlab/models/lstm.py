"""The network of long short-term memory units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, above, between
from mechlab.core.task import TaskSpec
from mechlab.models.deferred import Deferred
from mechlab.models.recurrent import Recurrent, affine


class LSTM(Recurrent):
    """c' = f c + i g and h' = o tanh(c'), as torch defines it; the flat state is all hidden states, then all cells.

    Torch's fused kernel does not return the cells. A trace computes them at first access, exactly, with the weights of
    that moment; training never accesses them.

    Args:
        spec: the task's specification.
        hidden: units per layer.
        layers: number of layers.
        bias: True for biases in the recurrence and the read-out.
        per_transition, dropout: see Recurrent.
    """

    states_per_layer = 2

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size | None = 64,
        layers: Annotated[int, between(1, 1000)] = 1,
        bias: bool = True,
        per_transition: Annotated[float, above(0)] | None = None,
        dropout: Annotated[float, between(0, 1)] = 0.0,
    ):
        make = partial(nn.LSTM, bias=bias, batch_first=True)
        super().__init__(spec, hidden, layers, bias, per_transition, dropout, make)

    @staticmethod
    def cell(layer: nn.LSTM, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next hidden state and the next cells, each (B, H)."""
        forget, write, out = _gates(layer, x, h)
        c = forget * c + write
        return out * torch.tanh(c), c

    def parts(self, read: list[Tensor], hidden: list[Tensor], before: list[Tensor]) -> Sequence[Tensor]:
        """Return the hidden states of all layers, then their cells, each (B, T, H)."""

        def compute() -> tuple[Tensor, ...]:
            starts = zip(before[: len(self.layers)], before[len(self.layers) :], strict=True)
            layers = zip(self.layers, read, hidden, starts, strict=True)
            return (*hidden, *(_cells(layer, x, h, *start) for layer, x, h, start in layers))

        return Deferred(compute)


def _gates(layer: nn.LSTM, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the forget gate, the gated input of the cells, and the output gate, each (..., H)."""
    i, f, g, o = sum(affine(layer, x, h)).chunk(4, -1)
    return torch.sigmoid(f), torch.sigmoid(i) * torch.tanh(g), torch.sigmoid(o)


def _cells(layer: nn.LSTM, x: Tensor, hidden: Tensor, h: Tensor, c: Tensor) -> Tensor:
    """Return a layer's cells (B, T, H) from the states h and c before the first step: the gates follow from inputs and
    hidden states, all steps at once."""
    forget, write, _ = _gates(layer, x, torch.cat([h[:, None], hidden[:, :-1]], 1))  # each step reads the last one's h
    cells = []
    for t in range(write.shape[1]):
        c = forget[:, t] * c + write[:, t]
        cells.append(c)
    return torch.stack(cells, 1)
