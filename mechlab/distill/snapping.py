"""Snapping the weights of threshold units to small integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mechlab.distill.certificate import DistillError
from mechlab.distill.threshold_unit import canonical_bias, reachable, smallest

STAGES = (1e-9, 1e-6, 1e-4)  # relative tolerances that are tried before the caller's
DISCRETE = ("bits", "signs", "ternary")
ROUNDED = 3e-7  # relative error of a ratio of two numbers that were stored in float32
MOST_SUMS = 2_000_000  # reachable sums are enumerated up to this range

Interval = tuple[Fraction, Fraction] | None


@dataclass(frozen=True)
class Snapped:
    """Units with integer weights: weights (V, U) int64, bias and equal_biases for each of the U units, the relative
    change of the most changed weight, and the scale (U,): the given weights are about scale * weights."""

    weights: np.ndarray
    bias: list[Fraction]
    equal_biases: list[Interval]
    scale: np.ndarray
    change: float


def snap(
    weights: np.ndarray,
    bias: np.ndarray,
    size: np.ndarray,
    bias_size: np.ndarray,
    kinds: Sequence[str],
    tolerance: float,
    first: float,
    fan_in: int,
    ties: bool = True,
) -> Snapped:
    """Return threshold units with the smallest integer weights that agree with given ones.

    The tightest tolerance at which all units have integer weights is used, so that exact networks stay what they are.

    Args:
        weights, bias: (V, U) and (U,).
        size, bias_size: (V, U) and (U,), sums of the magnitudes that the weights are sums of; they set the scale of
            rounding errors.
        kinds: values of each variable: "bits", "signs", "ternary", "integers" or "reals".
        tolerance: largest relative change of a weight.
        first: tightest tolerance to try.
        fan_in: units with at most so many discrete inputs get the smallest weights with the same signs.
        ties: False if a sum of zero counts as negative.

    Raises:
        DistillError: a unit's weights are near no small integers.
    """
    stages = [stage for stage in STAGES if first <= stage < tolerance] + [tolerance]
    for stage in stages:
        nonzero = np.abs(weights) > max(stage, 1e-12) * size
        rounded = [_integers(column[used], stage) for column, used in zip(weights.T, nonzero.T, strict=True)]
        if all(values is not None for values in rounded):
            break
    scale, integers = np.ones(weights.shape[1]), np.zeros(weights.shape, np.int64)
    for u, values in enumerate(rounded):
        if values is not None and len(values):
            integers[nonzero[:, u], u] = values
            scale[u] = np.mean(weights[nonzero[:, u], u] / values)
    noise = _noise(weights, integers, scale, stage)
    biases = _pooled(integers, bias / scale)
    made = Snapped(integers, [], [], scale, 0.0)
    change = 0.0
    exact: dict[tuple, tuple] = {}
    for u, values in enumerate(rounded):
        used = np.flatnonzero(nonzero[:, u])
        reads = [kinds[k] for k in used]
        few = 0 < len(used) <= fan_in and all(kind in DISCRETE for kind in reads)
        if values is None:
            unit = smallest(weights[used, u], bias[u], reads, 1e-9) if few else None
            if unit is None:
                raise DistillError(
                    "the weights of a unit must be near small multiples of one number",
                    got=f"{len(used)} weights of other ratios at tolerance {tolerance:g}",
                    fix="train with quantisation, or allow a larger tolerance",
                )
            integers[used, u], result = unit.weights, (unit.bias, unit.equal_biases)
        else:
            value, pool = biases[u]
            error = min(max(4 * noise * bias_size[u] / scale[u] / math.sqrt(pool), 1e-9 * (1 + abs(value))), 0.45)
            key = (values.tobytes(), tuple(reads), round(value, 9), error > 1e-6)
            if key not in exact:
                exact[key] = _unit(values, value, reads, error, few, ties)
            integers[used, u], result = exact[key][0], exact[key][1:]
            if len(values):
                change = max(change, float(np.abs(weights[used, u] / (scale[u] * values) - 1).max()))
        made.bias.append(result[0])
        made.equal_biases.append(result[1])
    return Snapped(integers, made.bias, made.equal_biases, scale, change)


def snap_outputs(weights: np.ndarray, bias: np.ndarray, size: np.ndarray, tolerance: float, first: float) -> Snapped:
    """Return linear outputs as one scale times integers, or times fractions where there are no small integers."""
    joined, sizes = np.vstack([weights, bias]), np.vstack([size, np.abs(bias) + size.sum(0)])
    stages = [stage for stage in STAGES if first <= stage < tolerance] + [tolerance]
    for stage in stages:
        nonzero = np.abs(joined) > max(stage, 1e-12) * sizes
        values = _integers(joined[nonzero], stage)
        if values is not None:
            break
    if values is None:
        raise DistillError(
            "the output weights must be near small multiples of one number",
            got=f"{np.count_nonzero(nonzero)} weights of other ratios at tolerance {tolerance:g}",
            fix="train with quantisation, or allow a larger tolerance",
        )
    integers = np.zeros(joined.shape, np.int64)
    integers[nonzero] = values
    scale = float(np.mean(joined[nonzero] / values)) if len(values) else 1.0
    change = float(np.abs(joined[nonzero] / (scale * values) - 1).max(initial=0))
    fractions = [Fraction(int(value)) for value in integers[-1]]
    return Snapped(integers[:-1], fractions, [None] * len(bias), np.full(len(bias), scale), change)


def _integers(weights: np.ndarray, tolerance: float) -> np.ndarray | None:
    """Return the smallest integers proportional to weights (n,), which are not 0; None if none are near.

    Magnitudes within the tolerance of each other are taken for equal and averaged. How near their ratios must be to
    ratios of integers follows from the scatter of equal ones.
    """
    if not len(weights):
        return np.zeros(0, np.int64)
    magnitudes = np.abs(weights)
    order = np.argsort(magnitudes, kind="stable")
    rising = magnitudes[order]
    starts = np.flatnonzero(np.append(True, np.diff(rising) > tolerance * rising[1:]))
    counts = np.diff(np.append(starts, len(rising)))
    means = np.add.reduceat(rising, starts) / counts
    scatter = rising / np.repeat(means, counts) - 1
    if np.abs(scatter).max() > 6 * tolerance:
        return None
    free = len(rising) - len(means)
    noise = math.sqrt(float(scatter @ scatter) / free) if free >= 4 else tolerance / 4
    errors = 4 * np.maximum(noise, 1e-16) / np.sqrt(counts)
    reference = int(np.argmin(errors / means * means.max()))
    relative = np.maximum(errors + errors[reference], 4e-15)
    most = 1000 if tolerance < 1e-8 else 128 if tolerance < 1e-5 else 60
    multiples = np.arange(1, most + 1)[:, None] * (means / means[reference])
    near = np.rint(multiples)
    bounds = np.minimum(np.maximum(relative, min(tolerance, ROUNDED)) * multiples, 0.3)
    fits = ((np.abs(multiples - near) <= bounds) & (near > 0)).all(1)
    if not fits.any():
        return None
    chosen = near[int(np.argmax(fits))].astype(np.int64)
    integers = np.empty(len(weights), np.int64)
    integers[order] = np.repeat(chosen // math.gcd(*map(int, chosen)), counts)
    return integers * np.sign(weights).astype(np.int64)


def _noise(weights: np.ndarray, integers: np.ndarray, scale: np.ndarray, stage: float) -> float:
    """Return the root mean square relative deviation of a layer's weights from scaled integers."""
    used = integers != 0
    count = np.count_nonzero(used) - np.count_nonzero(used.any(0))
    if not count:
        return stage / 4
    ratio = weights[used] / (integers * scale)[used] - 1
    return math.sqrt(float(ratio @ ratio) / count)


def _pooled(integers: np.ndarray, bias: np.ndarray) -> list[tuple[float, int]]:
    """Return, for each unit, its bias averaged over units whose weights have the same magnitudes, if their biases have
    nearly the same magnitude too, and over how many."""
    pools: dict[bytes, list[int]] = {}
    for u, column in enumerate(np.sort(np.abs(integers), axis=0).T):
        pools.setdefault(column.tobytes(), []).append(u)
    result: list[tuple[float, int]] = [(0.0, 1)] * len(bias)
    for units in pools.values():
        members = sorted(units, key=lambda u: abs(bias[u]))
        magnitudes = np.abs(bias[members])
        cuts = np.flatnonzero(np.diff(magnitudes) > 0.01 * magnitudes[1:]) + 1
        for part in np.split(np.array(members), cuts):
            mean = float(np.abs(bias[part]).mean())
            for u in part:
                result[u] = (mean * float(np.sign(bias[u])), len(part))
    return result


def _unit(
    integers: np.ndarray, bias: float, kinds: list[str], error: float, few: bool, ties: bool
) -> tuple[np.ndarray, Fraction, Interval]:
    """Return integer weights, bias and equal biases of a unit."""
    if all(kind in DISCRETE for kind in kinds) and _range(integers) <= MOST_SUMS:
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
