"""Networks that compute the same as another with other weights, and weights with noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mechlab.distill.layers import as_layers

LARGEST = 20.0  # factor of a unit's weights


def disturb(
    layers: Sequence[Any],
    rng: np.random.Generator,
    noise: float = 0.0,
    *,
    permute: bool = True,
    rescale: bool = True,
) -> list[np.ndarray]:
    """Return the layers (n_in + 1, n_out) of a network with other weights; without noise it computes the same.

    Args:
        layers: see `as_layers`; sign after all but the last.
        rng: of permutations, factors and noise.
        noise: each weight and bias w becomes w (1 + noise z) with z normal.
        permute: the units of each hidden layer are put into a random order.
        rescale: the weights and bias of each hidden unit are multiplied by a positive factor, log-uniform in
            [1/20, 20].
    """
    network = as_layers(layers)
    order, result = np.arange(len(network[0].weight)), []
    for k, layer in enumerate(network):
        hidden = k < len(network) - 1
        table = np.vstack([layer.weight[order], layer.bias])
        count = table.shape[1]
        order = rng.permutation(count) if permute and hidden else np.arange(count)
        factor = LARGEST ** rng.uniform(-1, 1, count) if rescale and hidden else 1.0
        table = (table * factor)[:, order]
        result.append(table * (1 + noise * rng.standard_normal(table.shape)))
    return result
