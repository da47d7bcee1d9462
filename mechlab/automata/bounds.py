"""Confidence bounds of a proportion from a sample of words."""

from __future__ import annotations

from scipy.special import betaincinv


def lower_bound(successes: int, n: int, delta: float) -> float:
    """Return the lower confidence bound, at level 1 - delta, of a proportion with `successes` of n independent draws.

    If all n are successes it is delta^(1/n), which is at least 1 - ln(1/delta) / n.

    Args:
        successes: number of successes, 0 to n.
        n: number of independent draws, at least 1.
        delta: probability that the bound exceeds the proportion, at most.

    Source: Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the
    binomial".

    >>> round(lower_bound(1000, 1000, 0.05), 4)
    0.997
    """
    return 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, delta))
