"""DeltaNet: a matrix that is overwritten along keys."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec


class DeltaNet(SequenceModel):
    """S' = S (1 - b k k^T) + b v k^T, `updates` times for each input with a key, a value and a strength b of its own,
    and y = W_o S' q. Keys and queries are linear maps of x scaled to length 1, values are a linear map. The flat state
    is S (V, K), row by row.

    With b = sigmoid(w x) the eigenvalues of a transition are in [0, 1]; with `negative` b is twice that and they are in
    [-1, 1], so that several updates for an input compose any rotation or permutation.

    Args:
        spec: the task's specification.
        keys: K, components of keys and queries.
        values: V, components of values.
        updates: for each input.
        negative: True for eigenvalues down to -1.

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
    ):
        super().__init__(spec)
        self.updates, self.most = updates, 2.0 if negative else 1.0
        self.key = nn.Linear(spec.inputs, updates * keys)
        self.value = nn.Linear(spec.inputs, updates * values)
        self.strength = nn.Linear(spec.inputs, updates)
        self.query = nn.Linear(spec.inputs, keys)
        self.readout = nn.Linear(values, spec.outputs)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, V K)."""
        return self.key.weight.new_zeros(batch, self.readout.in_features * self.query.out_features)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, V K); return the output (B, outputs) and the next state (B, V K)."""
        S = state.unflatten(-1, (self.readout.in_features, -1))
        keys = F.normalize(self.key(x).unflatten(-1, (self.updates, -1)), dim=-1)  # (B, updates, K)
        values = self.value(x).unflatten(-1, (self.updates, -1))
        strengths = self.most * torch.sigmoid(self.strength(x))
        for k, v, b in zip(keys.unbind(-2), values.unbind(-2), strengths.unbind(-1), strict=True):
            error = v - (S @ k[..., None])[..., 0]
            S = S + (b[..., None] * error)[..., None] * k[..., None, :]
        state = S.flatten(-2)
        return self._queried(state, x), state

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) at input 0 for states (B, V K) after the step."""
        return self._queried(state, state.new_zeros(*state.shape[:-1], self.spec.inputs))

    def _queried(self, state: Tensor, x: Tensor) -> Tensor:
        q = F.normalize(self.query(x), dim=-1)
        return self.readout((state.unflatten(-1, (self.readout.in_features, -1)) @ q[..., None])[..., 0])
