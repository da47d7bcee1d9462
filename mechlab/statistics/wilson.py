"""The Wilson score interval of a proportion."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(passed: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of the probability of which `passed` of n independent trials are a sample.

    Unlike the normal approximation it stays within [0, 1] and has a width where none or all have passed.

    Args:
        passed: number of trials that passed; a tie may count for a part of one, which makes the interval too wide.
        n: number of trials; 0 gives (0, 1).
        level: coverage.

    Raises:
        ValueError: `passed` is not from 0 to n, or the level not between 0 and 1.

    Source: Wilson 1927, JASA 22, 209-212; Brown, Cai and DasGupta 2001, Statistical Science 16, 101-133.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if not 0 <= passed <= n or not 0 < level < 1:
        raise ValueError(f"passed must be from 0 to n, and level between 0 and 1. Got {passed} of {n}, {level}.")
    if n == 0:
        return 0.0, 1.0
    z, share = NormalDist().inv_cdf((1 + level) / 2), passed / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (0.0 if passed == 0 else centre - half), (1.0 if passed == n else centre + half)
