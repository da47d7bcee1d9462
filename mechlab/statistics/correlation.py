"""Correlations between two numbers of networks, with intervals for networks that share automata.

Networks of one automaton are not independent, so intervals resample automata with all their networks (the cluster
bootstrap; Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mechlab.statistics.bootstrap import percentile_interval

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
BLOCK = 2**21  # weights that are held at a time
FEWEST = 3  # clusters that an interval needs

Statistic = Callable[[np.ndarray], np.ndarray]
Interval = tuple[float, float] | tuple[None, None]


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the means (B,) of values (n,) with weights (B, n)."""
    return weights @ values / weights.sum(1)


def pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Pearson's correlations (B,) with weights (B, n); nan where a side does not vary.

    Args:
        x, y: (n,), or (B, n) where they differ between the weightings.
        weights: (B, n), how often each pair counts.

    >>> pearson(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]), np.ones((1, 3))).round(12).tolist()
    [1.0]
    """
    total = weights.sum(1, keepdims=True)
    sides = [side - (weights * side).sum(1, keepdims=True) / total for side in (x, y)]  # each (B, n)
    spreads = [(weights * side**2).sum(1) / total[:, 0] for side in sides]
    least = [1e-24 * (side**2).max(-1) for side in (x, y)]  # what rounding leaves of a side that does not vary
    varies = (spreads[0] > least[0]) & (spreads[1] > least[1])
    covariance = (weights * sides[0] * sides[1]).sum(1) / total[:, 0]
    product = np.sqrt(np.where(varies, spreads[0] * spreads[1], 1))
    return np.where(varies, np.clip(covariance / product, -1, 1), np.nan)


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlations (B,) with weights (B, n); ties share their mean rank."""
    return pearson(ranks(x, weights), ranks(y, weights), weights)


def ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the ranks (B, n) of values (n,), from 1; weights (B, n) are the number of copies of each.

    >>> ranks(np.array([5.0, 3, 5]), np.array([[1, 1, 1], [1, 2, 0]])).tolist()
    [[2.5, 1.0, 2.5], [3.0, 1.5, 3.0]]
    """
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    first = np.flatnonzero(np.diff(level[order], prepend=-1))
    ties = np.add.reduceat(weights[:, order], first, axis=1)  # (B, levels)
    return (np.cumsum(ties, 1) - (ties - 1) / 2)[:, level]


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Return (slope, intercept) of the least-squares line of y (n,) on x (n,), or None where x does not vary."""
    centred = x - x.mean()
    if not (centred**2).sum() > 1e-24 * max((x**2).sum(), 1e-6):
        return None
    slope = float(centred @ (y - y.mean()) / (centred**2).sum())
    return slope, float(y.mean() - slope * x.mean())


def whole(statistic: Statistic, n: int) -> float | None:
    """Return a statistic of all n rows, each counted once; None where it is not defined."""
    value = float(statistic(np.ones((1, n)))[0])
    return value if np.isfinite(value) else None


def cluster_interval(statistic: Statistic, clusters: Sequence[object], level: float = LEVEL) -> Interval:
    """Return the percentile interval of a statistic when clusters of rows are resampled, with all their rows.

    Args:
        statistic: from weights (B, n) of the rows to values (B,), nan where it is not defined.
        clusters: (n,) what each row belongs to.
        level: coverage.

    Returns:
        The two ends, the same in every call; or (None, None) for fewer than three clusters, or where the statistic is
        not defined in a tenth of the resamples.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    if len(names) < FEWEST:
        return None, None
    number = np.array([names[name] for name in clusters])
    draws = np.random.default_rng(SEED).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    parts = np.array_split(draws, max(1, -(-RESAMPLES * len(number) // BLOCK)))
    values = np.concatenate([statistic(part[:, number].astype(np.float64)) for part in parts])
    values = values[np.isfinite(values)]
    if len(values) < 0.9 * RESAMPLES:
        return None, None
    return percentile_interval(values, level)
