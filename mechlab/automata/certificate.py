"""Proof that a constructed network is right on all words: boxes of states that no step leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

ROUNDING = 2.0**-24  # relative error of one operation in single precision
ROUNDS = 300


def lead(network: Any) -> float:
    """Return the least lead of the right class's output over any other that is proved for all words, else -inf.

    A box (an interval for each unit) is put around every code, beginning with the initial state alone, and widened until
    each step from each box lands in the box of the next code: then no word leads out of the boxes (interval arithmetic,
    with the rounding of single precision on top). The lead is what the read-out guarantees inside the boxes. A relu
    network, whose small errors grow, is proved by its codes being fixed exactly in single precision.

    Args:
        network: a `Construction`.
    """
    if network.kind == "relu2":
        return _exact_lead(network)
    boxes = _invariant_boxes(network)
    return -np.inf if boxes is None else _lead(network, *boxes)


def _exact_lead(network: Any) -> float:
    """Step every code once by every letter in single precision; an exact image proves all words."""
    layers = [{name: value.astype(np.float32) for name, value in layer.items()} for layer in network.layers]
    codes = network.codes.astype(np.float32)
    for letter, successor in enumerate(network.successors.T):
        hidden = codes
        for depth, layer in enumerate(layers):
            hidden = np.maximum(_affine(layer, depth, hidden, letter), 0)
        if not np.array_equal(hidden, codes[successor]):
            return -np.inf
    return _lead(network, network.codes, network.codes)


def _affine(layer: dict[str, np.ndarray], depth: int, hidden: np.ndarray, letter: int) -> np.ndarray:
    """Return the pre-activations (C, N) of a layer: the first reads a letter and its state, the second the first."""
    bias = layer["bias_ih"] + layer["bias_hh"]
    if depth == 0:
        return hidden @ layer["weight_hh"].T + (layer["weight_ih"][:, letter] + bias)
    return hidden @ layer["weight_ih"].T + bias  # its recurrent weights are zero


def _invariant_boxes(network: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return bounds (C, N) below and above the state at each code, inf and -inf where no word leads, or None."""
    low, high = np.full_like(network.codes, np.inf), np.full_like(network.codes, -np.inf)
    low[network.start] = high[network.start] = network.initial
    for _ in range(ROUNDS):
        below, above = np.full_like(low, np.inf), np.full_like(high, -np.inf)
        known = np.flatnonzero(low[:, 0] <= high[:, 0])
        for letter, successor in enumerate(network.successors[known].T):
            bottom, top = _image(network, low[known], high[known], letter)
            np.minimum.at(below, successor, bottom)
            np.maximum.at(above, successor, top)
        if (below >= low).all() and (above <= high).all():
            return low, high
        reached = below <= above
        slack = 1e-7 + 0.01 * np.where(reached, above - below, 0)  # a little wider than needed, so that this ends
        low, high = np.minimum(low, below - slack), np.maximum(high, above + slack)
        if not _lead(network, low, high) > 0:
            return None
    return None


def _image(network: Any, low: np.ndarray, high: np.ndarray, letter: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds (C, N) of the states after a letter, read in states within bounds (C, N)."""
    for depth, layer in enumerate(network.layers):
        weight = layer["weight_hh" if depth == 0 else "weight_ih"]
        centre, radius = (low + high) / 2, (high - low) / 2
        before = _affine(layer, depth, centre, letter)
        size = np.abs(weight).sum(1) + np.abs(layer["weight_ih"]).max(1) + np.abs(layer["bias_ih"])
        spread = radius @ np.abs(weight).T + (len(weight) + 3) * ROUNDING * size  # |h| <= 1
        low, high = np.tanh(before - spread) - 4 * ROUNDING, np.tanh(before + spread) + 4 * ROUNDING
    return low, high


def _lead(network: Any, low: np.ndarray, high: np.ndarray) -> float:
    known = low[:, 0] <= high[:, 0]
    if network.start not in network.successors[known]:
        known[network.start] = False  # nothing is read out before the first letter
    centre, radius, right = ((low + high) / 2)[known], ((high - low) / 2)[known], network.outputs[known]
    apart = network.readout[right][:, None] - network.readout  # (C, k, N)
    leads = np.einsum("ckn,cn->ck", apart, centre) - np.einsum("ckn,cn->ck", np.abs(apart), radius)
    leads -= (low.shape[1] + 1) * ROUNDING * np.abs(network.readout).sum(1).max() * 2
    leads[np.arange(len(right)), right] = np.inf
    return float(leads.min())
