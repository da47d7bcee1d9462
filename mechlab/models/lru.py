"""The linear recurrent unit."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, above, between
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.state_space import flat, scan


class LRU(SequenceModel):
    """h' = lambda h + gamma B x and y = Re(C h') + D x, with N complex states, lambda = exp(-exp(nu) + i exp(theta)) on
    a ring and gamma normalising the input. The flat state is the real and imaginary part of each h in turn.

    Args:
        spec: the task's specification.
        hidden: N, number of complex states.
        least, most: smallest and largest modulus of lambda at initialisation.
        phase: largest angle of lambda at initialisation, in radians.

    Raises:
        ConfigError: the moduli are not in order.

    Source: Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", arXiv 2303.06349.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size = 64,
        least: Annotated[float, between(0, 1)] = 0.9,
        most: Annotated[float, between(0, 1)] = 0.999,
        phase: Annotated[float, above(0)] = 2 * math.pi,
    ):
        super().__init__(spec)
        if not 0 < least < most < 1:
            got = f"model.least={least:g} with model.most={most:g}"
            raise ConfigError("moduli must be above 0, below 1 and in order", got=got, key="model.least")
        squares = torch.rand(hidden) * (most**2 - least**2) + least**2
        self.nu_log = nn.Parameter((-0.5 * squares.log()).log())
        self.theta_log = nn.Parameter((torch.rand(hidden) * phase).clamp(min=1e-6).log())
        self.gamma_log = nn.Parameter((1 - squares).sqrt().log())
        self.B = nn.Parameter(torch.randn(hidden, spec.inputs, 2) / math.sqrt(2 * spec.inputs))
        self.C = nn.Parameter(torch.randn(spec.outputs, hidden, 2) / math.sqrt(hidden))
        self.D = nn.Parameter(torch.randn(spec.outputs, spec.inputs) / math.sqrt(spec.inputs))

    def decay(self) -> Tensor:
        """Return lambda (N,) complex, the eigenvalues of the transition; their conjugates are those of the flat one."""
        return torch.polar((-self.nu_log.exp()).exp(), self.theta_log.exp())

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, 2 N)."""
        return self.D.new_zeros(batch, 2 * len(self.nu_log))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, 2 N); return the output (B, outputs) and the next state (B, 2 N)."""
        h = self.decay() * torch.view_as_complex(state.unflatten(-1, (-1, 2))) + self._driven(x)
        return self._read_out(x, h), flat(h)

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs Re(C h) (B, outputs) at input 0 for states (B, 2 N) after the step."""
        h = torch.view_as_complex(state.unflatten(-1, (-1, 2)))
        return self._read_out(state.new_zeros(*state.shape[:-1], self.spec.inputs), h)

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states (B, 2 N) over inputs x (B, T, inputs) by a scan over time; read out the `last` steps
        (all by default)."""
        h = scan(self.decay(), self._driven(x), torch.view_as_complex(state.unflatten(-1, (-1, 2))))
        shown = slice(-(last or 0), None)
        return Trace(self._read_out(x[:, shown], h[:, shown]), state, (flat(h),))

    def _driven(self, x: Tensor) -> Tensor:
        B = torch.view_as_complex(self.B) * self.gamma_log.exp()[:, None]
        return x.to(B.dtype) @ B.mT

    def _read_out(self, x: Tensor, h: Tensor) -> Tensor:
        return (h @ torch.view_as_complex(self.C).mT).real + x @ self.D.mT
