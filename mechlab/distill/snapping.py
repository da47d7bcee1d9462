"""Snapping the weights of threshold units to small integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mechlab.distill.certificate import DistillError
from mechlab.distill.integers import pooled, scatter, small_integers
from mechlab.distill.threshold_unit import VALUES, canonical_bias, reachable, smallest

STAGES = (1e-9, 1e-6, 1e-4)  # relative tolerances that are tried before the caller's
MOST_SUMS = 2_000_000  # reachable sums are enumerated up to this range

Interval = tuple[Fraction, Fraction] | None


class NoIntegersError(DistillError):
    """Weights are near no small integers, at any permitted tolerance."""


@dataclass(frozen=True)
class Snapped:
    """U units with integer weights on V variables.

    Args:
        weights: (V, U) int64.
        bias: of each unit.
        equal_biases: of each unit, the open interval of the biases that give the same signs; None for its bias alone.
        scale: of linear outputs, whose weights in the network are about scale * weights.
    """

    weights: np.ndarray
    bias: list[Fraction]
    equal_biases: list[Interval]
    scale: float = 1.0


@dataclass(frozen=True)
class Sums:
    """The weights of U units on V variables.

    Args:
        weights: (V, U).
        bias: (U,).
        size, bias_size: (V, U) and (U,), sums of the magnitudes of the network's weights that each weight and bias is
            the sum of; rounding errors and noise are relative to them.
    """

    weights: np.ndarray
    bias: np.ndarray
    size: np.ndarray
    bias_size: np.ndarray


@dataclass(frozen=True)
class Snapping:
    """Settings of snapping weights to integers.

    Args:
        tolerance: largest relative change of a weight.
        first: the tightest tolerance to try.
        fan_in: number of inputs of few values up to which a unit gets the smallest integer weights with the same signs.
    """

    tolerance: float
    first: float
    fan_in: int

    @property
    def stages(self) -> list[float]:
        """The tolerances to try, one after the other."""
        return [stage for stage in STAGES if self.first <= stage < self.tolerance] + [self.tolerance]


def snap(sums: Sums, kinds: Sequence[str], how: Snapping, ties: bool = True) -> Snapped:
    """Return threshold units with the smallest integer weights that agree with given ones.

    Units of few inputs whose sums all lie clear of zero are decided by their signs. For all others the tightest
    tolerance at which they have integer weights is used, so that exact networks stay what they are.

    Args:
        sums: of the units.
        kinds: values of each variable: "bits", "signs", "ternary", "integers" or "reals".
        how: tolerances.
        ties: False if a sum of zero counts as negative.

    Raises:
        NoIntegersError: a unit's weights are near no small integers.
    """
    count = len(sums.bias)
    made = Snapped(np.zeros(sums.weights.shape, np.int64), [Fraction(0)] * count, [None] * count)
    other = [u for u in range(count) if not _clear(made, u, sums, kinds, how)]
    for stage in how.stages:
        used = [np.flatnonzero(np.abs(sums.weights[:, u]) > max(stage, 1e-12) * sums.size[:, u]) for u in other]
        rounded: list[np.ndarray] = []
        for u, rows in zip(other, used, strict=True):
            values = small_integers(sums.weights[rows, u], stage)
            if values is None:
                break
            rounded.append(values)
        if len(rounded) == len(other):
            break
    if len(rounded) < len(other):
        raise NoIntegersError(
            "the weights of a unit must be near small multiples of one number",
            got=f"{len(used[len(rounded)])} weights of other ratios at tolerance {how.tolerance:g}",
            fix="train with quantisation, or allow a larger tolerance",
        )
    scale = np.ones(count)
    for u, rows, values in zip(other, used, rounded, strict=True):
        made.weights[rows, u] = values
        scale[u] = np.mean(sums.weights[rows, u] / values) if len(rows) else 1.0
    noise = scatter(sums.weights[:, other], made.weights[:, other], scale[other], stage)
    averaged = pooled(made.weights[:, other], (sums.bias / scale)[other])
    cache: dict[tuple, tuple] = {}
    for u, rows, values, (bias, pool) in zip(other, used, rounded, averaged, strict=True):
        reads = [kinds[k] for k in rows]
        error = 4 * noise * float(sums.bias_size[u]) / scale[u] / math.sqrt(pool)
        error = min(max(error, 1e-9 * (1 + abs(bias))), 0.45)
        key = (values.tobytes(), tuple(reads), round(bias, 9), error)
        if key not in cache:
            cache[key] = _unit(values, bias, reads, error, 0 < len(rows) <= how.fan_in, ties)
        made.weights[rows, u], made.bias[u], made.equal_biases[u] = cache[key]
    return made


def _clear(made: Snapped, u: int, sums: Sums, kinds: Sequence[str], how: Snapping) -> bool:
    """Enter a unit of few inputs if none of its sums is near zero; return whether this is so."""
    rows = np.flatnonzero(np.abs(sums.weights[:, u]) > 1e-12 * sums.size[:, u])
    reads = [kinds[k] for k in rows]
    if not 0 < len(rows) <= how.fan_in or not all(kind in VALUES for kind in reads):
        return False
    weights, bias = sums.weights[rows, u], float(sums.bias[u])
    every = np.array([bias])
    for weight, kind in zip(weights, reads, strict=True):
        every = np.unique(every[:, None] + weight * np.array(VALUES[kind]))
    if np.abs(every).min() <= how.tolerance * (float(sums.size[rows, u].sum()) + float(sums.bias_size[u])):
        return False
    unit = smallest(weights, bias, reads)
    if unit is None:
        return False
    made.weights[rows, u], made.bias[u], made.equal_biases[u] = unit.weights, unit.bias, unit.equal_biases
    return True


def snap_outputs(sums: Sums, how: Snapping) -> Snapped:
    """Return linear outputs as one scale times integers.

    Raises:
        NoIntegersError: the weights are near no small integers.
    """
    joined, sizes = np.vstack([sums.weights, sums.bias]), np.vstack([sums.size, sums.bias_size + sums.size.sum(0)])
    for stage in how.stages:
        nonzero = np.abs(joined) > max(stage, 1e-12) * sizes
        values = small_integers(joined[nonzero], stage)
        if values is not None:
            break
    if values is None:
        raise NoIntegersError(
            "the output weights must be near small multiples of one number",
            got=f"{np.count_nonzero(nonzero)} weights of other ratios at tolerance {how.tolerance:g}",
            fix="train with quantisation, or allow a larger tolerance",
        )
    integers = np.zeros(joined.shape, np.int64)
    integers[nonzero] = values
    scale = float(np.mean(joined[nonzero] / values)) if len(values) else 1.0
    biases = [Fraction(int(value)) for value in integers[-1]]
    return Snapped(integers[:-1], biases, [None] * len(biases), scale)


def _unit(
    integers: np.ndarray, bias: float, kinds: list[str], error: float, few: bool, ties: bool
) -> tuple[np.ndarray, Fraction, Interval]:
    """Return integer weights, bias and equal biases of a unit."""
    if all(kind in VALUES for kind in kinds) and _range(integers) <= MOST_SUMS:
        exact, interval = canonical_bias(integers, bias, kinds, error)
        if interval is None and not ties:
            sums = reachable(integers, kinds)
            above = sums[sums > -exact]
            step = Fraction(int(above[0]) if len(above) else int(sums[-1]) + 2) + exact
            exact, interval = exact - step / 2, (exact - step, exact)
        unit = smallest(integers, float(exact), kinds) if few else None
        if unit is None:
            return integers, exact, interval
        return np.array(unit.weights, np.int64), unit.bias, unit.equal_biases
    if "reals" not in kinds:
        step = math.gcd(*map(int, integers))
        nearest = Fraction(round(bias / step) * step)
        if abs(nearest - Fraction(bias)) <= error and ties:
            return integers, nearest, None
        below = Fraction(math.floor(bias / step + (0 if ties else -1e-9)) * step)
        return integers, below + Fraction(step, 2), (below, below + step)
    for denominator in (1, 2, 4, 10, 100, 1000):
        fraction = Fraction(round(bias * denominator), denominator)
        if abs(float(fraction) - bias) <= error:
            return integers, fraction, None
    return integers, Fraction(bias).limit_denominator(1_000_000), None


def _range(integers: np.ndarray) -> int:
    return int(np.abs(integers).sum())
