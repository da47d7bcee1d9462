"""What the recurrent networks share: layers that torch runs fused over time, and the same step by step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec


class Recurrent(SequenceModel):
    """A stack of recurrent layers under a linear read-out.

    The flat state holds the hidden states of all layers, layer by layer, then (LSTM) all cells likewise. Each layer is
    a module of its own, so that the states of every layer over time come out of the fused kernels.

    Args:
        spec: what to know of the task.
        hidden: units per layer, H.
        layers: number of layers, L.
        bias: whether the recurrence and the read-out have biases.
        make: builds one layer from its number of inputs.
    """

    states_per_layer: ClassVar[int] = 1

    def __init__(self, spec: TaskSpec, hidden: int, layers: int, bias: bool, make: Callable[[int], nn.RNNBase]):
        super().__init__(spec)
        self.hidden = hidden
        self.layers = nn.ModuleList(make(size) for size in [spec.inputs] + [hidden] * (layers - 1))
        self.readout = nn.Linear(hidden, spec.outputs, bias=bias)

    @staticmethod
    @abstractmethod
    def cell(layer: nn.RNNBase, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return one layer's next state, the hidden part first; x is (B, inputs), each part of the state (B, H)."""

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, S), S = H L (2 H L for an LSTM)."""
        return self.readout.weight.new_zeros(batch, self.states_per_layer * len(self.layers) * self.hidden)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, S); return the output (B, outputs) and the next state (B, S)."""
        parts = list(state.split(self.hidden, -1))
        for depth, layer in enumerate(self.layers):
            mine = slice(depth, None, len(self.layers))
            parts[mine] = self.cell(layer, x, *parts[mine])
            x = parts[depth]
        return self.readout(x), torch.cat(parts, -1)

    def forward(self, x: Tensor, last: int | None = None) -> Trace:
        """Read sequences x (B, T, inputs) with torch's fused kernels; read out the `last` steps (all by default)."""
        read = [x]  # what each layer reads, and at last the read-out
        for layer in self.layers:
            read.append(layer(read[-1])[0])
        return Trace(self.readout(read[-1][:, -(last or 0) :]), self.initial_state(len(x)), self.parts(read))

    def parts(self, read: list[Tensor]) -> Sequence[Tensor]:
        """Return the parts of the state over time, each (B, T, H), given the input and each layer's hidden states."""
        return tuple(read[1:])


def affine(layer: nn.RNNBase, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Return W_ih x + b_ih and W_hh h + b_hh of a layer, each (..., gates * H)."""
    return (
        F.linear(x, layer.weight_ih_l0, layer.bias_ih_l0 if layer.bias else None),
        F.linear(h, layer.weight_hh_l0, layer.bias_hh_l0 if layer.bias else None),
    )
