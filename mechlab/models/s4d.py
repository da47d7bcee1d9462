"""The diagonal structured state-space model."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Size, above
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.deferred import Deferred
from mechlab.models.state_space import convolve, flat, scan


class S4D(SequenceModel):
    """H channels u = W x, each with N complex states h' = exp(delta A) h + B u and v = 2 Re(C h') + D u; the output is
    a linear read-out of gelu(v). A starts as -1/2 + i pi n (S4D-Lin), and B is 1 under zero-order hold.

    The flat state is the real and imaginary part of each h in turn, channel by channel.

    Args:
        spec: the task's specification.
        hidden: H, number of channels.
        states: N, complex states of a channel.
        least, most: smallest and largest time step delta at initialisation, log-uniform.

    Raises:
        ConfigError: the time steps are not in order.

    Source: Gu et al., "On the Parameterization and Initialization of Diagonal State Space Models", arXiv 2206.11893.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size = 32,
        states: Size = 16,
        least: Annotated[float, above(0)] = 0.001,
        most: Annotated[float, above(0)] = 0.1,
    ):
        super().__init__(spec)
        check_steps(least, most)
        self.encoder = nn.Linear(spec.inputs, hidden)
        self.delta_log = nn.Parameter(torch.empty(hidden, 1).uniform_(math.log(least), math.log(most)))
        self.decay_log = nn.Parameter(torch.full((hidden, states), 0.5).log())
        self.frequency = nn.Parameter(math.pi * torch.arange(0.0, states).repeat(hidden, 1))
        self.C = nn.Parameter(torch.randn(hidden, states, 2) * math.sqrt(0.5))
        self.D = nn.Parameter(torch.randn(hidden))
        self.readout = nn.Linear(hidden, spec.outputs)

    def discrete(self) -> tuple[Tensor, Tensor]:
        """Return the factors (H, N) complex of states and inputs at a step: exp(delta A) and (exp(delta A) - 1) / A."""
        A = torch.complex(-self.decay_log.exp(), self.frequency)
        decay = (self.delta_log.exp() * A).exp()
        return decay, (decay - 1) / A

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, 2 H N)."""
        return self.D.new_zeros(batch, 2 * self.decay_log.numel())

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, 2 H N); return the output (B, outputs) and the next state (B, 2 H N)."""
        decay, entry = self.discrete()
        u = self.encoder(x)  # (B, H)
        h = decay * torch.view_as_complex(state.unflatten(-1, (*decay.shape, 2))) + entry * u[..., None]
        return self._outputs(h, u), flat(h.flatten(-2))

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) at input 0 for states (B, 2 H N) after the step."""
        h = torch.view_as_complex(state.unflatten(-1, (*self.decay_log.shape, 2)))
        return self._outputs(h, self.encoder(state.new_zeros(*state.shape[:-1], self.spec.inputs)))

    def _outputs(self, h: Tensor, u: Tensor) -> Tensor:
        v = 2 * (torch.view_as_complex(self.C) * h).sum(-1).real + self.D * u
        return self.readout(F.gelu(v))

    def forward(self, x: Tensor, last: int | None = None) -> Trace:
        """Read sequences x (B, T, inputs) as convolutions; read out the `last` steps (all by default)."""
        decay, entry = self.discrete()
        u = self.encoder(x)  # (B, T, H)
        powers = (torch.arange(x.shape[1], device=x.device) * decay.log()[..., None]).exp()  # (H, N, T)
        kernel = 2 * ((torch.view_as_complex(self.C) * entry)[..., None] * powers).sum(1).real
        v = (convolve(kernel, u) + self.D * u)[:, -(last or 0) :]
        driven = (entry * u[..., None]).flatten(2)
        states = Deferred(lambda: (flat(scan(decay.flatten(), driven)),))
        return Trace(self.readout(F.gelu(v)), self.initial_state(len(x)), states)


def check_steps(least: float, most: float) -> None:
    """Raise ConfigError unless two time steps are in order."""
    if least >= most:
        got = f"model.least={least:g} with model.most={most:g}"
        raise ConfigError("the smallest time step must be below the largest", got=got, key="model.least")
