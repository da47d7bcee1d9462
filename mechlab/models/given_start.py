"""An Elman network with an initial state other than zero."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from mechlab.core.constraints import Size, between
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.rnn import RNN


class GivenStart(RNN):
    """An Elman network whose initial state is stored with its weights, as the buffer `start`; training leaves it as it
    is.

    Args:
        spec: the task's specification.
        hidden, layers, bias, activation: see RNN.
        copies: True to copy the last layer's hidden state into all layers after each step.

    Source: the networks of Muškardin et al., arXiv 2306.16854, that are constructed from an automaton.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size,
        layers: Annotated[int, between(1, 1000)] = 1,
        bias: bool = True,
        activation: Literal["tanh", "relu"] = "tanh",
        copies: bool = False,
    ):
        super().__init__(spec, hidden, layers, bias, activation=activation)
        self.copies = copies
        self.register_buffer("start", torch.zeros(layers * hidden, dtype=torch.get_default_dtype()))

    def initial_state(self, batch: int) -> Tensor:
        """Return the stored initial state (batch, S), S = H L."""
        return self.start.repeat(batch, 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, S); return the output (B, outputs) and the next state (B, S)."""
        output, after = super().step(x, state)
        return output, after[:, -self.hidden :].repeat(1, len(self.layers)) if self.copies else after

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states (B, S) over inputs x (B, T, inputs), step by step where states are copied between
        layers; read out the `last` steps (all by default)."""
        return SequenceModel.resume(self, x, state, last) if self.copies else super().resume(x, state, last)
