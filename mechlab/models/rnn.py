"""The Elman network."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, above, between
from mechlab.core.task import TaskSpec
from mechlab.models.recurrent import Recurrent, affine


class RNN(Recurrent):
    """h' = tanh(W_ih x + W_hh h), or relu in place of tanh; y = W h'.

    Without biases the origin is a fixed point, where the Jacobian of a tanh network is W_hh itself.

    Args:
        spec: the task's specification.
        hidden: units per layer.
        layers: number of layers.
        bias: True for biases in the recurrence and the read-out.
        per_transition, dropout: see Recurrent.
        activation: the nonlinearity.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size | None = 128,
        layers: Annotated[int, between(1, 1000)] = 1,
        bias: bool = False,
        per_transition: Annotated[float, above(0)] | None = None,
        dropout: Annotated[float, between(0, 1)] = 0.0,
        activation: Literal["tanh", "relu"] = "tanh",
    ):
        make = partial(nn.RNN, nonlinearity=activation, bias=bias, batch_first=True)
        super().__init__(spec, hidden, layers, bias, per_transition, dropout, make)

    @staticmethod
    def cell(layer: nn.RNN, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """Return the next hidden state (B, H), as a tuple of one."""
        from_input, from_state = affine(layer, x, h)
        activation = torch.tanh if layer.nonlinearity == "tanh" else torch.relu
        return (activation(from_input + from_state),)
