"""Networks of threshold units, given by their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechlab.core.errors import ConfigError


@dataclass(frozen=True)
class Layer:
    """weight (n_in, n_out) and bias (n_out,) in float64. All layers of a network but the last are followed by sign,
    with sign(0) = 0."""

    weight: np.ndarray
    bias: np.ndarray


def as_layers(layers: Sequence[Any], n_in: int | None = None) -> tuple[Layer, ...]:
    """Return a network's layers, given as Layers, as pairs (weight (n_in, n_out), bias (n_out,)), or as arrays
    (n_in + 1, n_out) with the bias in the last row.

    Args:
        layers: from the inputs to the outputs.
        n_in: number of inputs that the first layer must have.

    Raises:
        ConfigError: shapes do not fit, or a weight is not finite.
    """
    if not len(layers):
        raise ConfigError("a network must have at least one layer", got="none", key="layers")
    made = tuple(_layer(layer, k) for k, layer in enumerate(layers))
    for k, layer in enumerate(made):
        expected = n_in if k == 0 else made[k - 1].weight.shape[1]
        if expected is not None and len(layer.weight) != expected:
            must = f"layer {k + 1} must have {expected} inputs, and one row more for the bias"
            raise ConfigError(must, got=f"{len(layer.weight)} inputs", key="layers", fix="look at input_shape")
    return made


def activations(layers: Sequence[Layer], inputs: np.ndarray) -> list[np.ndarray]:
    """Return the activations (B, n_out) of each layer for flat inputs (B, n_in); those of the last are linear."""
    values, state = [], np.asarray(inputs, float)
    for layer in layers[:-1]:
        state = np.sign(state @ layer.weight + layer.bias)
        values.append(state)
    return [*values, state @ layers[-1].weight + layers[-1].bias]


def _layer(layer: Any, k: int) -> Layer:
    if isinstance(layer, Layer):
        weight, bias = layer.weight, layer.bias
    elif isinstance(layer, tuple) and len(layer) == 2:
        weight, bias = layer
    else:
        table = np.asarray(layer, float)
        if table.ndim != 2 or len(table) < 2:
            must = f"layer {k + 1} must be an array (n_in + 1, n_out) with the bias in its last row"
            raise ConfigError(must, got=f"shape {table.shape}", key="layers")
        weight, bias = table[:-1], table[-1]
    weight, bias = np.asarray(weight, float), np.asarray(bias, float)
    if weight.ndim != 2 or bias.shape != weight.shape[1:] or not weight.size:
        must = f"layer {k + 1} must have weights (n_in, n_out) and a bias (n_out,)"
        raise ConfigError(must, got=f"shapes {weight.shape} and {bias.shape}", key="layers")
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ConfigError(f"layer {k + 1} must be finite", got="NaN or infinity", key="layers")
    return Layer(weight, bias)
