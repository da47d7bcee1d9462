"""The structured state-space model with a diagonal-plus-low-rank transition."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, above
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.deferred import Deferred
from mechlab.models.s4d import check_steps
from mechlab.models.state_space import convolve, flat


class S4(SequenceModel):
    """Each input component has N complex states under A = diag(lambda) - p q^H, discretised by the bilinear rule with a
    time step delta, and a scalar v = Re(C h') + D u; the output is a linear read-out of all v.

    lambda, p and q start as the HiPPO matrix has them. In the code of Karuvally et al. (arXiv 2310.02430) the read-out
    is declared and not used, and the length of sequences is fixed; here it is used, and any length is exact. Components
    do not mix before the read-out. The flat state is the real and imaginary part of each h in turn, by component.

    Args:
        spec: the task's specification.
        states: N, complex states of a component.
        least, most: smallest and largest time step delta at initialisation, log-uniform.

    Raises:
        ConfigError: the time steps are not in order.

    Source: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces", arXiv 2111.00396.
    """

    def __init__(
        self,
        spec: TaskSpec,
        states: Size = 32,
        least: Annotated[float, above(0)] = 0.001,
        most: Annotated[float, above(0)] = 0.1,
    ):
        super().__init__(spec)
        check_steps(least, most)
        d = spec.inputs
        self.lam, self.p, self.q = (nn.Parameter(_parts(part)) for part in hippo(states))
        self.B, self.C = (nn.Parameter(torch.randn(d, states, 2) / math.sqrt(d + states)) for _ in range(2))
        self.delta_log = nn.Parameter(torch.empty(d, 1).uniform_(math.log(least), math.log(most)))
        self.D = nn.Parameter(torch.ones(d))
        self.readout = nn.Linear(d, spec.outputs, bias=False)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, 2 d N)."""
        return self.D.new_zeros(batch, 2 * self.B.shape[0] * self.B.shape[1])

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, d) in state (B, 2 d N); return the output (B, outputs) and the next state (B, 2 d N)."""
        shape = (*self.B.shape[:2], 2)
        h = self._moved(torch.view_as_complex(state.unflatten(-1, shape))) + self._entry() * x[..., None]
        return self.readout(self._response(h) + self.D * x), flat(h.flatten(-2))

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) at input 0 for states (B, 2 d N) after the step."""
        return self.readout(self._response(torch.view_as_complex(state.unflatten(-1, (*self.B.shape[:2], 2)))))

    def _response(self, h: Tensor) -> Tensor:
        return (torch.view_as_complex(self.C) * h).sum(-1).real

    def forward(self, x: Tensor, last: int | None = None) -> Trace:
        """Read sequences x (B, T, d) as convolutions; read out the `last` steps (all by default)."""
        response = [self._entry()]  # (d, N) after each step of an impulse
        for _ in range(x.shape[1] - 1):
            response.append(self._moved(response[-1]))
        kernel = (torch.view_as_complex(self.C) * torch.stack(response)).sum(-1).real.mT  # (d, T)
        v = (convolve(kernel, x) + self.D * x)[:, -(last or 0) :]
        return Trace(self.readout(v), self.initial_state(len(x)), Deferred(lambda: (self._states(x),)))

    def _moved(self, h: Tensor) -> Tensor:
        """Return (1 - delta/2 A)^-1 (1 + delta/2 A) h for states (..., d, N), by the Sherman-Morrison formula."""
        lam, p, q = (torch.view_as_complex(part) for part in (self.lam, self.p, self.q))
        half = self.delta_log.exp() / 2  # (d, 1)
        return self._solved(h + half * (lam * h - p * (q.conj() * h).sum(-1, keepdim=True)))

    def _entry(self) -> Tensor:
        """Return the states (d, N) after an impulse: (1 - delta/2 A)^-1 delta B."""
        return self._solved(self.delta_log.exp() * torch.view_as_complex(self.B))

    def _solved(self, h: Tensor) -> Tensor:
        lam, p, q = (torch.view_as_complex(part) for part in (self.lam, self.p, self.q))
        half = self.delta_log.exp() / 2
        diagonal = 1 - half * lam  # of 1 - delta/2 A = diagonal + delta/2 p q^H
        solved, direction = h / diagonal, half * p / diagonal
        along = (q.conj() * solved).sum(-1, keepdim=True) / (1 + (q.conj() * direction).sum(-1, keepdim=True))
        return solved - direction * along

    def _states(self, x: Tensor) -> Tensor:
        state, states = self.initial_state(len(x)), []
        for t in range(x.shape[1]):
            state = self.step(x[:, t], state)[1]
            states.append(state)
        return torch.stack(states, 1)


def hippo(states: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (lambda, p, q), each (N,) complex: V (diag(lambda) - p q^H) V^H is the HiPPO matrix A for a unitary V.

    A[n, k] is -sqrt(2n+1) sqrt(2k+1) for n > k, -(n+1) for n = k and 0 otherwise, with indices from 1.
    """
    n = np.arange(1, states + 1)
    roots = np.sqrt(2 * n + 1.0)
    A = -np.tril(np.outer(roots, roots), -1) - np.diag(n + 1.0)
    p = roots / 2
    normal = A + 2 * np.outer(p, p)  # a multiple of the identity plus a skew-symmetric matrix
    shift = np.diag(normal).mean()
    angles, V = np.linalg.eigh(-1j * (normal - shift * np.eye(states)))
    p = V.conj().T @ p
    return shift + 1j * angles, p, 2 * p


def _parts(values: np.ndarray) -> Tensor:
    return torch.view_as_real(torch.from_numpy(values)).to(torch.get_default_dtype()).contiguous()
