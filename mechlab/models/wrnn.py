"""The wave network: an Elman network that starts as rings along which activity travels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from mechlab.core.constraints import Size
from mechlab.core.errors import ConfigError
from mechlab.core.task import TaskSpec
from mechlab.models.rnn import RNN


class WRNN(RNN):
    """The Elman network h' = relu(W_ih x + W_hh h), y = W h', whose W_hh starts as a shift by one unit along rings, and
    whose inputs enter each ring at its first unit.

    Args:
        spec: the task's specification.
        hidden: units, H.
        channels: rings, which divide the units.
        activation: the nonlinearity.

    Raises:
        ConfigError: the channels do not divide the units.

    Source: Keller et al., "Traveling Waves Encode the Recent Past and Enhance Sequence Learning", arXiv 2309.08045,
    whose recurrence stays a convolution along each ring; here the matrix is free after initialisation.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size = 128,
        channels: Size = 8,
        activation: Literal["tanh", "relu"] = "relu",
    ):
        if hidden % channels:
            got, fix = f"{channels} for {hidden} units", f"model.hidden={channels * max(1, round(hidden / channels))}"
            raise ConfigError("model.channels must divide model.hidden", got=got, key="model.channels", fix=fix)
        super().__init__(spec, hidden, 1, False, None, 0.0, activation)
        length = hidden // channels
        shift = torch.roll(torch.eye(length), 1, 0)
        with torch.no_grad():
            layer = self.layers[0]
            layer.weight_hh_l0.copy_(torch.block_diag(*[shift] * channels))
            first = torch.zeros(hidden, dtype=torch.bool)
            first[::length] = True
            nn.init.normal_(layer.weight_ih_l0, std=spec.inputs**-0.5)
            layer.weight_ih_l0[~first] = 0
