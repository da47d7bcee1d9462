"""Proof that a constructed network is right on all words, by invariant boxes of states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

ROUNDING = 2.0**-24  # relative error of one operation in single precision
ROUNDS = 300


def certified_margin(network: Any) -> float:
    """Return the least margin of the right class's output over any other that is proved for all words, else -inf.

    A box (an interval for each unit) is put around every code, beginning with the initial state alone, and widened
    until each step from each box lands in the box of the next code: then no word leads out of the boxes (interval
    arithmetic, plus the rounding of single precision). The margin is the least one of the read-out inside the boxes.
    In a relu network errors grow by 4/3 a step, but there are none: every step from a code is exact in single
    precision, which is checked.

    Args:
        network: a `Construction`.
    """
    if network.kind == "relu2":
        return _exact_margin(network)
    boxes = _invariant_boxes(network)
    return -np.inf if boxes is None else _margin(network, *boxes)


def _exact_margin(network: Any) -> float:
    """Return the margin if every step from a code is exact in single precision, which proves all words, else -inf."""
    first, second = ({name: value.astype(np.float32) for name, value in layer.items()} for layer in network.layers)
    codes = network.codes.astype(np.float32)
    for letter, successor in enumerate(network.successors.T):
        hidden = np.maximum(codes @ first["weight_hh"].T + first["weight_ih"][:, letter] + _bias(first), 0)
        hidden = np.maximum(hidden @ second["weight_ih"].T + _bias(second), 0)
        if not np.array_equal(hidden, codes[successor]):
            return -np.inf
    return _margin(network, network.codes, network.codes)


def _invariant_boxes(network: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return lower and upper bounds (C, N) of the state at each code, inf and -inf at unreachable codes, or None."""
    low, high = np.full_like(network.codes, np.inf), np.full_like(network.codes, -np.inf)
    low[network.start] = high[network.start] = network.initial
    for _ in range(ROUNDS):
        below, above = np.full_like(low, np.inf), np.full_like(high, -np.inf)
        known = np.flatnonzero(low[:, 0] <= high[:, 0])
        for letter, (bottom, top) in enumerate(_images(network.layers, low[known], high[known])):
            np.minimum.at(below, network.successors[known, letter], bottom)
            np.maximum.at(above, network.successors[known, letter], top)
        if (below >= low).all() and (above <= high).all():
            return low, high
        reachable = below <= above
        slack = 1e-7 + 0.01 * np.subtract(above, below, where=reachable, out=np.zeros_like(low))  # so that it ends
        low, high = np.minimum(low, below - slack), np.maximum(high, above + slack)
        if not _margin(network, low, high) > 0:
            return None
    return None


def _images(layers: Sequence[Any], low: np.ndarray, high: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield bounds (C, N) of the states after each letter, read in states within bounds (C, N)."""
    first, *above = layers
    centre, spread = _linear(first["weight_hh"], low, high, np.abs(first["weight_ih"]).max(1) + np.abs(_bias(first)))
    for letter in first["weight_ih"].T:
        bottom, top = _squashed(centre + letter + _bias(first), spread)
        for layer in above:  # their recurrent weights are zero
            middle, around = _linear(layer["weight_ih"], bottom, top, np.abs(_bias(layer)))
            bottom, top = _squashed(middle + _bias(layer), around)
        yield bottom, top


def _linear(weight: np.ndarray, low: np.ndarray, high: np.ndarray, extra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and radius of W h for h between bounds (C, N); `extra` is the size of the terms added to it."""
    size = np.abs(weight)
    rounding = (len(weight) + 3) * ROUNDING * (size.sum(1) + extra)  # since |h| <= 1
    return (low + high) / 2 @ weight.T, (high - low) / 2 @ size.T + rounding


def _squashed(centre: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.tanh(centre - radius) - 4 * ROUNDING, np.tanh(centre + radius) + 4 * ROUNDING


def _bias(layer: Any) -> np.ndarray:
    return layer["bias_ih"] + layer["bias_hh"]


def _margin(network: Any, low: np.ndarray, high: np.ndarray) -> float:
    known = low[:, 0] <= high[:, 0]
    if network.start not in network.successors[known]:
        known[network.start] = False  # nothing is read out before the first letter
    low, high, right = low[known], high[known], network.outputs[known]
    difference = network.readout[right][:, None] - network.readout  # (C, k, N)
    margins = np.einsum("ckn,cn->ck", difference, (low + high) / 2)
    margins -= np.einsum("ckn,cn->ck", np.abs(difference), (high - low) / 2)
    margins -= 2 * (low.shape[1] + 1) * ROUNDING * np.abs(network.readout).sum(1).max()
    margins[np.arange(len(right)), right] = np.inf
    return float(margins.min(initial=np.inf))
