"""Linear attention: a matrix of sums of outer products."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Size
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec


class LinearAttention(SequenceModel):
    """S' = S + v k^T and y = W_o S' q, with k, q = elu + 1 of linear maps of x and v a linear map. The flat state is
    S (V, K), row by row. Nothing is forgotten: the transition of the state is the identity.

    Args:
        spec: the task's specification.
        keys: K, components of keys and queries.
        values: V, components of values.

    Source: Katharopoulos et al., "Transformers are RNNs", arXiv 2006.16236, without the normaliser.
    """

    def __init__(self, spec: TaskSpec, keys: Size = 32, values: Size = 32):
        super().__init__(spec)
        self.key, self.query = nn.Linear(spec.inputs, keys), nn.Linear(spec.inputs, keys)
        self.value = nn.Linear(spec.inputs, values)
        self.readout = nn.Linear(values, spec.outputs)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, V K)."""
        return self.key.weight.new_zeros(batch, self.value.out_features * self.key.out_features)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, V K); return the output (B, outputs) and the next state (B, V K)."""
        k, v = F.elu(self.key(x)) + 1, self.value(x)
        state = state + (v[..., None] * k[..., None, :]).flatten(-2)
        return self._queried(state, x), state

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) at input 0 for states (B, V K) after the step."""
        return self._queried(state, state.new_zeros(*state.shape[:-1], self.spec.inputs))

    def _queried(self, state: Tensor, x: Tensor) -> Tensor:
        q = F.elu(self.query(x)) + 1
        return self.readout((state.unflatten(-1, (self.value.out_features, -1)) @ q[..., None])[..., 0])
