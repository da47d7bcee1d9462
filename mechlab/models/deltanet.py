"""DeltaNet: matrices that are overwritten along keys."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Interval, OnlyWhereSet, Size, between
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.deferred import Deferred

CHUNK = 32  # updates that `forward` makes at once, at least those of one input


class DeltaNet(SequenceModel):
    """S' = S (1 - b k k^T) + b v k^T in each head, `updates` times for each input with a key, a value and a strength b
    of its own, and y = W_o S' q, W_o over all heads. Keys and queries are linear maps of x scaled to length 1, values
    are a linear map. The flat state is S (heads, V, K), row by row.

    With b = sigmoid(w x) the eigenvalues of a transition are in [0, 1]; with `negative` b is twice that and they are in
    [-1, 1], so that several updates for an input compose any rotation or permutation. At one input a head of K keys has
    the eigenvalue 1 at least K - `updates` times; with b in [0, 1], 1 is the only eigenvalue of modulus 1.

    Args:
        spec: the task's specification.
        keys: K, components of keys and queries of a head.
        values: V, components of values of a head.
        updates: for each input.
        negative: True for eigenvalues down to -1.
        heads: number of matrices.
        strength: share of its largest value that b has at input 0 before training; null for 1/2 in the mean.

    Source: Yang et al., arXiv 2406.06484; Grazzi et al., "Unlocking State-Tracking in Linear RNNs Through Negative
    Eigenvalues", arXiv 2411.12537; Siems et al., "DeltaProduct", arXiv 2502.10297.
    """

    def __init__(
        self,
        spec: TaskSpec,
        keys: Size = 32,
        values: Size = 32,
        updates: Annotated[int, between(1, 1000)] = 1,
        negative: bool = True,
        heads: Annotated[int, between(1, 1000), OnlyWhereSet()] = 1,
        strength: Annotated[float, Interval(0, 1, True, True), OnlyWhereSet()] | None = None,
    ):
        super().__init__(spec)
        self.updates, self.heads, self.most = updates, heads, 2.0 if negative else 1.0
        self.shape = (heads, values, keys)
        self.key = nn.Linear(spec.inputs, heads * updates * keys)
        self.value = nn.Linear(spec.inputs, heads * updates * values)
        self.strength = nn.Linear(spec.inputs, heads * updates)
        self.query = nn.Linear(spec.inputs, heads * keys)
        self.readout = nn.Linear(heads * values, spec.outputs)
        if strength is not None:
            nn.init.constant_(self.strength.bias, math.log(strength / (1 - strength)))

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, heads V K)."""
        return self.key.weight.new_zeros(batch, math.prod(self.shape))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, heads V K); return the output (B, outputs) and the next state."""
        S = state.unflatten(-1, self.shape)
        for k, v, b in zip(*(part.unbind(-2) for part in self._written(x)), strict=True):
            error = v - (S @ k[..., None])[..., 0]
            S = S + (b * error)[..., None] * k[..., None, :]
        state = S.flatten(-3)
        return self._queried(state, x), state

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states over inputs x (B, T, inputs), many updates at once; read out the `last` steps (all by
        default)."""
        S, read, silent = state.unflatten(-1, self.shape), [], _silent_steps(x)
        for part in x[:, : x.shape[1] - silent].split(max(1, CHUNK // self.updates), 1):
            response, S = self._chunk(part, S)
            read.append(response)
        if silent:
            read.append(self._silence(S, silent))
        v = torch.cat(read, 1)[:, -(last or 0) :]
        return Trace(self.readout(v), state, Deferred(lambda: (self._states(x, state),)))

    def _chunk(self, x: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        """Return S' q (B, T, heads V) after each of T inputs x (B, T, inputs), and the last S' (B, heads, V, K).

        After n updates S' = S + sum_j u_j k_j^T with u_i + b_i sum_{j<i} (k_i k_j) u_j = b_i (v_i - S k_i); see Yang et
        al., arXiv 2406.06484, section 3.
        """
        k, v, b = (part.transpose(1, 2).flatten(2, 3) for part in self._written(x))  # (B, heads, n, ...)
        q = self._query(x).transpose(1, 2)  # (B, heads, T, K)
        u = _solved(b, k, v - k @ S.mT)
        done = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None] * self.updates  # updates by each step
        before = torch.arange(k.shape[-2], device=x.device) < done
        response = q @ S.mT + (q @ k.mT).where(before, 0) @ u
        return response.transpose(1, 2).flatten(2), S + u.mT @ k

    def _silence(self, S: Tensor, steps: int) -> Tensor:
        """Return S' q (B, steps, heads V) after each of some inputs 0, given S (B, heads, V, K).

        There S' = S A + C with A and C the same at every step and for all examples, and after n of them
        S' q = S A^n q + C (1 + A + ... + A^(n-1)) q.
        """
        x = S.new_zeros(self.spec.inputs)
        k, v, b = self._written(x)  # (heads, updates, ...)
        A = torch.eye(k.shape[-1], dtype=k.dtype, device=k.device) - _solved(b, k, k).mT @ k
        C = _solved(b, k, v).mT @ k
        powers, A_n = self._query(x)[..., None], A  # (heads, K, n) the columns A^j q
        while powers.shape[-1] <= steps:
            powers, A_n = torch.cat([powers, A_n @ powers], -1), A_n @ A_n
        response = S @ powers[..., 1 : steps + 1] + C @ powers[..., :steps].cumsum(-1)  # (B, heads, V, steps)
        return response.flatten(1, 2).mT

    def _written(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys (..., heads, updates, K), values (..., heads, updates, V) and strengths (..., heads, updates, 1)
        of inputs (..., inputs)."""
        k, v, b = (
            layer(x).unflatten(-1, (self.heads, self.updates, -1)) for layer in (self.key, self.value, self.strength)
        )
        return F.normalize(k, dim=-1), v, self.most * torch.sigmoid(b)

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) at input 0 for states (B, heads V K) after the step."""
        return self._queried(state, state.new_zeros(*state.shape[:-1], self.spec.inputs))

    def _query(self, x: Tensor) -> Tensor:
        return F.normalize(self.query(x).unflatten(-1, (self.heads, -1)), dim=-1)

    def _queried(self, state: Tensor, x: Tensor) -> Tensor:
        response = state.unflatten(-1, self.shape) @ self._query(x)[..., None]  # (B, heads, V, 1)
        return self.readout(response.flatten(-3))

    def _states(self, x: Tensor, state: Tensor) -> Tensor:
        states = []
        for t in range(x.shape[1]):
            state = self.step(x[:, t], state)[1]
            states.append(state)
        return torch.stack(states, 1)


def _solved(b: Tensor, k: Tensor, rows: Tensor) -> Tensor:
    """Return u with u_i + b_i sum_{j<i} (k_i k_j) u_j = b_i rows_i, given b (..., n, 1), k (..., n, K), rows (..., n,
    R)."""
    return torch.linalg.solve_triangular(b * (k @ k.mT), b * rows, upper=False, unitriangular=True)


def _silent_steps(x: Tensor) -> int:
    """Return at how many steps at the end of x (B, T, inputs) every example has input 0; 0 where derivatives by x are
    wanted, or where the values are not known, as under torch.func.vmap."""
    if x.requires_grad:
        return 0
    try:
        active = x.any(-1).any(0).nonzero()
        return x.shape[1] - (int(active[-1]) + 1 if len(active) else 0)
    except RuntimeError:
        return 0
