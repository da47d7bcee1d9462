"""Linear attention: a matrix of sums of outer products."""

from __future__ import annotations

import torch
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
        k, q, v = self._read(x)
        S = state.unflatten(-1, (self.value.out_features, -1)) + v[..., None] * k[..., None, :]
        return self.readout((S @ q[..., None])[..., 0]), S.flatten(-2)

    def _read(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        elu = torch.nn.functional.elu
        return elu(self.key(x)) + 1, elu(self.query(x)) + 1, self.value(x)
