"""Proofs that a unit of a network and a unit of a program have the same sign.

What is proved, for a unit of the network with z = w @ v + b and a unit of the program with t = a @ v + c (a and c
integers, v the same values): for every v in the product of the ranges of the values, z is positive where t is, negative
where t is, and zero up to rounding where t is 0. As |z - s t| <= E on this box for an s > 0, this takes three numbers:
the largest possible t below 0, the least one above 0, and whether t can be 0. Ranges and possible sums are supersets of
the true ones, so that no case is left out. Units of few inputs, or of few different weights, are instead compared on
every value of these, or of the sums over inputs of equal weights.

Arithmetic: the network's sums are computed in float64, in any order, and count as zero within `rounding` times the
largest sum of |w v| + |b|. For unbounded inputs (integers, reals) no such bound exists; there w and b must be exact
multiples of a and c (b only up to biases that change no sign), and the network's sums are those of exact arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mechlab.distill.matrices import Box, Sums, sums
from mechlab.distill.threshold_unit import MOST_INPUTS

MOST_SUMS = 2**16


def rounding(terms: int) -> float:
    """Return the bound on the relative rounding error of a float64 sum, in any order and with a margin of 16."""
    return max(1e-12, 16 * terms * 2.0**-53)


@dataclass(frozen=True)
class NetworkSums:
    """The sums of a network's layer as functions of the values of a program.

    Args:
        weight, bias: (V, n) and (n,).
        known: (n,), True where all units with a weight have a counterpart in the program.
        total: (n,), the largest sum of |w v| + |b|.
    """

    weight: np.ndarray
    bias: np.ndarray
    known: np.ndarray
    total: np.ndarray

    def differences(self, first: np.ndarray, second: np.ndarray) -> NetworkSums:
        total = np.full(len(first), 2 * self.total.max(initial=0))
        weight, bias = self.weight[:, first] - self.weight[:, second], self.bias[first] - self.bias[second]
        return NetworkSums(weight, bias, self.known[first] & self.known[second], total)

    def only(self, units: np.ndarray) -> NetworkSums:
        return NetworkSums(self.weight[:, units], self.bias[units], self.known[units], self.total[units])


def equal_signs(network: NetworkSums, weight: np.ndarray, bias: np.ndarray, sign: np.ndarray, box: Box) -> np.ndarray:
    """Return True (n,) where sign * (integers weight (V, n), bias (n,)) provably has the network's signs."""
    rows = np.flatnonzero(network.weight.any(1) | weight.any(1))
    box = Box(box.low[rows], box.high[rows], box.step[rows])
    w, a, c = network.weight[rows], weight[rows] * sign, bias * sign
    possible = sums(a, box)
    exact = ~np.isfinite(network.total)
    s = scales(w, a)
    low, high = box.bounds(np.where(exact, 0, w - s * a))
    error = rounding(len(network.weight)) * np.where(exact, 0, network.total)
    proved = _same(possible, c, s, network.bias + low, network.bias + high, error)
    for unit in np.flatnonzero(exact):
        proved[unit] = _exactly(w[:, unit], network.bias[unit], a[:, unit], c[unit], possible, unit)
    return proved & (s > 0)


def _same(
    possible: Sums, c: np.ndarray, s: np.ndarray, low: np.ndarray, high: np.ndarray, error: np.ndarray
) -> np.ndarray:
    """Return True (n,) where s t + [low, high] has the sign of t + c for all possible t."""
    below, above = possible.below(-c), possible.above(-c)
    negative = ~np.isfinite(below) | (s * np.where(np.isfinite(below), below, 0) + high <= -2 * error)
    positive = ~np.isfinite(above) | (s * np.where(np.isfinite(above), above, 0) + low >= 2 * error)
    zero = np.maximum(np.abs(-s * c + low), np.abs(-s * c + high)) <= error / 2
    return negative & positive & (zero | ~possible.contain(-c))


def _exactly(w: np.ndarray, b: float, a: np.ndarray, c: float, possible: Sums, unit: int) -> bool:
    """Return whether w is an exact multiple s a with s > 0 and s t + b has the sign of t + c for all possible t."""
    if not np.array_equal(w != 0, a != 0) or not a.any():
        return False
    ratios = {Fraction(x) / Fraction(y) for x, y in {(x, y) for x, y in zip(w.tolist(), a.tolist(), strict=True) if y}}
    s = min(ratios)
    if len(ratios) > 1 or s <= 0:
        return False
    shift = Fraction(b) / s
    if shift == Fraction(c):
        return True
    part = Sums(*(getattr(possible, name)[[unit]] for name in ("base", "g", "low", "high")))
    threshold = np.array([-c])
    if not possible.g[unit] or part.contain(threshold)[0]:
        return False
    below, above = float(part.below(threshold)[0]), float(part.above(threshold)[0])
    falls = not np.isfinite(below) or Fraction(below) + shift < 0
    return falls and (not np.isfinite(above) or Fraction(above) + shift > 0)


def scales(weight: np.ndarray, integers: np.ndarray) -> np.ndarray:
    """Return the factor (n,) of least squared error between each column and its integers."""
    return (weight * integers).sum(0) / np.maximum((integers * integers).sum(0), 1)


def equal_by_counts(unit: NetworkSums, weight: np.ndarray, bias: float, box: Box) -> bool:
    """Return whether a unit has the sign of integers weight (V,) and bias on all values, by all sums over the inputs
    that are alike in both; False where these are too many."""
    used = np.flatnonzero(unit.weight[:, 0].astype(bool) | weight.astype(bool))
    bounded = np.isfinite(unit.total[0]) and (box.step[used] > 0).all()
    if not bounded or len(np.unique(unit.weight[used, 0])) > MOST_INPUTS:
        return False
    rows = np.column_stack([unit.weight[used, 0], weight[used], box.low[used], box.high[used], box.step[used]])
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    lengths = counts * (kinds[:, 3] - kinds[:, 2]) / kinds[:, 4] + 1
    if len(kinds) > MOST_INPUTS or lengths.prod() > MOST_SUMS:
        return False
    network, program = np.full(1, unit.bias[0]), np.full(1, float(bias))
    for (w, a, low, _, step), count, length in zip(kinds, counts, lengths, strict=True):
        sums = count * low + step * np.arange(length)
        network = np.add.outer(network, w * sums).ravel()
        program = np.add.outer(program, a * sums).ravel()
    error = rounding(len(weight)) * unit.total[0]
    zero = np.abs(network) <= error / 2
    clear = zero | (np.abs(network) >= 2 * error)
    return bool(clear.all() and np.array_equal(np.where(zero, 0, np.sign(network)), np.sign(program)))


def sign_table(weight: np.ndarray, bias: float, box: Box, error: float) -> tuple | None:
    """Return the inputs that matter and the signs on all of their values; None where a sum is too close to `error`."""
    used = np.flatnonzero(weight)
    axes = [np.arange(box.low[k], box.high[k] + 1, box.step[k] or 1) for k in used]
    total = np.full([len(axis) for axis in axes], float(bias))
    for m, (k, axis) in enumerate(zip(used, axes, strict=True)):
        total = total + (weight[k] * axis).reshape([-1 if m == j else 1 for j in range(len(axes))])
    if error and ((np.abs(total) > error / 2) & (np.abs(total) < 2 * error)).any():
        return None
    signs = np.where(np.abs(total) <= error, 0, np.sign(total)).astype(int)
    matters = []
    for k in used:
        axis = len(matters)
        first = signs.take([0], axis)
        if (signs == first).all():
            signs = first.squeeze(axis)
        else:
            matters.append(int(k))
    return tuple(matters), tuple(signs.ravel().tolist())
