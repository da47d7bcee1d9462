"""Layers of threshold units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import at_least
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec


class ThresholdNetwork(StaticModel):
    """outputs = sign(... sign(x W_1) ... W_k) W, where x, and the signs, end in a 1 for the biases, and sign(0) = 0.

    Training uses the derivative of tanh(z / |w|) in place of that of the sign, for a unit with weights w. Real
    inputs are flattened; tokens become one-hot vectors, one after the other.

    Args:
        spec: of a static task.
        widths: units of each hidden layer.

    Attributes:
        weights: of the layers, (n_in + 1, n_out), biases in the last rows.
    """

    def __init__(self, spec: TaskSpec, widths: Sequence[Annotated[int, at_least(1)]] = (128, 32)):
        super().__init__(spec)
        self.widths = tuple(widths)
        n_in = math.prod(spec.shape) * (spec.inputs if spec.tokens else 1)
        sizes = n_in, *self.widths, spec.outputs
        self.weights = nn.ParameterList(torch.randn(n + 1, m) / (n + 1) ** 0.5 for n, m in pairwise(sizes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to outputs (B, outputs)."""
        return affine(self.hidden(inputs), self.weights[-1])

    def hidden(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to the signs of the last hidden layer's units (B, h)."""
        return self._signs(inputs, len(self.widths))

    def preactivations(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to the inputs of the sign function (B, h) in the last hidden layer."""
        return affine(self._signs(inputs, len(self.widths) - 1), self.weights[-2])

    def _signs(self, inputs: Tensor, layers: int) -> Tensor:
        """Return the signs of hidden layer number `layers`; the encoded inputs for 0."""
        state = F.one_hot(inputs, self.spec.inputs) if self.spec.tokens else inputs
        state = state.flatten(1).to(self.weights[0].dtype)
        for k in range(layers):  # a slice of a ParameterList has parameters of its own, from which no gradient returns
            state = signs(state, self.weights[k])
        return state

    def unembedding(self) -> Tensor:
        """Return the linear map (h, outputs) from the last hidden layer to the outputs, without its bias."""
        return self.weights[-1][:-1]

    def skip(self, inputs: Tensor) -> Tensor:
        """Return a column of ones (B, 1), whose weights are the output bias."""
        return self.weights[-1].new_ones(len(inputs), 1)

    def skip_unembedding(self) -> Tensor:
        """Return the output bias (1, outputs)."""
        return self.weights[-1][-1:]

    def layers(self) -> list[np.ndarray]:
        """Return the layers (n_in + 1, n_out) in float64."""
        return [layer.detach().cpu().double().numpy() for layer in self.weights]


def signs(inputs: Tensor, layer: Tensor) -> Tensor:
    """Return the signs (B, n_out) of a layer's units (n_in + 1, n_out), with the derivative of tanh(z / |w|)."""
    z = affine(inputs, layer)
    size = layer.detach()[:-1].norm(dim=0)
    soft = torch.tanh(z / torch.where(size > 0, size, 1.0))
    return z.detach().sign() + (soft - soft.detach())


def affine(inputs: Tensor, layer: Tensor) -> Tensor:
    """Return inputs (B, n_in) times the weights of a layer (n_in + 1, n_out), plus the biases in its last row."""
    return inputs @ layer[:-1] + layer[-1]
