"""What a sample of words says about all words."""

from __future__ import annotations

from scipy.special import betaincinv


def lower_bound(good: int, n: int, delta: float) -> float:
    """Return a share that the true one is below with probability at most delta, given `good` of n independent draws.

    If all n are good it is delta^(1/n), which is at least 1 - ln(1/delta) / n.

    Source: Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the
    binomial".

    >>> round(lower_bound(1000, 1000, 0.05), 4)
    0.997
    """
    return 0.0 if good == 0 else float(betaincinv(good, n - good + 1, delta))
