"""The interval of a mean paired difference."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np


def paired_interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the adjusted Wald interval for the mean of paired differences between -1 and 1.

    Half a pair of each of the four outcomes (both right, both wrong, one right) is added, so that the interval has a
    width where all pairs agree.

    Args:
        differences: (n,) one for each example, such as right after minus right before.
        level: coverage.

    Source: Agresti and Min 2005, Statistics in Medicine 24, 729-740.

    >>> [round(end, 4) for end in paired_interval(np.array([1.0] * 30 + [0.0] * 70))]
    [0.202, 0.3862]
    """
    n = len(differences) + 2
    mean, square = differences.sum() / n, (np.square(differences).sum() + 1) / n
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(max(square - mean**2, 0.0) / n)
    return max(-1.0, float(mean - half)), min(1.0, float(mean + half))
