"""A recurrent network whose update and read-out are multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec

Depth = Annotated[int, between(1, 3)]


class MLPRNN(SequenceModel):
    """h' = f([h, x]) and y = g(h'), with f and g multi-layer perceptrons with ReLU, and h = 0 at first.

    f and g have 1 to 3 affine maps; with one they are affine, and their width is not used. The state h itself is not
    rectified.

    Args:
        spec: the task's specification.
        hidden: H, components of the state.
        transition_depth: affine maps in f.
        readout_depth: affine maps in g.
        transition_width: units of each hidden layer of f.
        readout_width: units of each hidden layer of g.

    Attributes:
        transition: the affine maps of f; the first reads the state and then the input, (H + inputs).
        readout: the affine maps of g.

    Source: Michaud et al., "Opening the AI black box: program synthesis via mechanistic interpretability",
    arXiv 2402.05110.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size = 8,
        transition_depth: Depth = 2,
        readout_depth: Depth = 2,
        transition_width: Size = 32,
        readout_width: Size = 32,
    ):
        super().__init__(spec)
        self.hidden = hidden
        self.transition = _layers(hidden + spec.inputs, transition_width, hidden, transition_depth)
        self.readout = _layers(hidden, readout_width, spec.outputs, readout_depth)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, H)."""
        return self.transition[0].weight.new_zeros(batch, self.hidden)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, H); return the output (B, outputs) and the next state (B, H)."""
        first, *rest = self.transition
        state = _rectified(first(torch.cat([state, x], -1)), rest)
        return self.read_out(state), state

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs g(h) (..., outputs) of states (..., H)."""
        first, *rest = self.readout
        return _rectified(first(state), rest)

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states (B, H) over inputs x (B, T, inputs), the part of f that reads them and g for all steps
        at once; read out the `last` steps (all by default)."""
        first, *rest = self.transition
        from_state, from_input = first.weight.split([self.hidden, self.spec.inputs], 1)
        driven = F.linear(x.transpose(0, 1), from_input, first.bias)  # (T, B, units)
        h, states = state, []
        for part in driven.unbind(0):
            h = _rectified(torch.addmm(part, h, from_state.mT), rest)
            states.append(h)
        outputs = self.read_out(torch.stack(states[-(last or 0) :], 1))
        return Trace(outputs, state, (torch.stack(states, 1),))


def _layers(inputs: int, width: int, outputs: int, depth: int) -> nn.ModuleList:
    sizes = [inputs, *[width] * (depth - 1), outputs]
    return nn.ModuleList(nn.Linear(sizes[i], sizes[i + 1]) for i in range(depth))


def _rectified(values: Tensor, layers: Iterable[nn.Module]) -> Tensor:
    """Return values (..., units) after each layer in turn, which reads them rectified."""
    for layer in layers:
        values = layer(torch.relu(values))
    return values
