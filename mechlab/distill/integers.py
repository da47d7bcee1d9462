"""Small integers that given weights are proportional to."""

from __future__ import annotations

import math

import numpy as np

ROUNDED = 3e-7  # relative error of a ratio of two numbers that were stored in float32


def small_integers(weights: np.ndarray, tolerance: float) -> np.ndarray | None:
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


def scatter(weights: np.ndarray, integers: np.ndarray, scale: np.ndarray, stage: float) -> float:
    """Return the root mean square relative deviation of a layer's weights from scaled integers."""
    used = integers != 0
    count = np.count_nonzero(used) - np.count_nonzero(used.any(0))
    if not count:
        return stage / 4
    ratio = weights[used] / (integers * scale)[used] - 1
    return math.sqrt(float(ratio @ ratio) / count)


def pooled(integers: np.ndarray, bias: np.ndarray) -> list[tuple[float, int]]:
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
