"""The mean over seeds with its percentile bootstrap interval."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class Summary:
    """A number of several runs, its mean and bootstrap interval.

    Args:
        values: (n,) the numbers, in the order of the runs.
        mean: their mean.
        low, high: ends of the interval for the mean; None for a single run, of which nothing can be resampled.
    """

    values: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None

    @property
    def n(self) -> int:
        """The number of values; 0 where only the mean and its interval are known."""
        return len(self.values)


def summarise(values: Sequence[float]) -> Summary:
    """Return the mean of values (n,) with its interval; there must be at least one."""
    low, high = bootstrap(values) if len(values) > 1 else (None, None)
    return Summary(tuple(values), _mean(values), low, high)


def bootstrap(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile bootstrap interval for the mean (Efron and Tibshirani 1993, section 13.3).

    Args:
        values: (n,) one number for each run.
        level: coverage, by default 0.95.

    >>> bootstrap([1.0, 1.0, 1.0])
    (1.0, 1.0)
    """
    array = np.asarray(values, dtype=np.float64)  # (n,)
    means = _draws(len(array)) @ array / len(array)  # (RESAMPLES,)
    ends = percentile_interval(means, level)
    low, high = np.clip(ends, array.min(), array.max())  # rounding may put a mean of equal values beside them
    return float(low), float(high)


def percentile_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of values (B,), of bootstrap samples or of repeated splits."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=8)
def _draws(n: int) -> np.ndarray:
    """Return (RESAMPLES, n): how often each of n runs is drawn in each resample, the same in every call."""
    return np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)


def _mean(values: Sequence[float]) -> float:
    return min(max(float(np.mean(values)), min(values)), max(values))
