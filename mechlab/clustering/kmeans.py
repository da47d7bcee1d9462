"""k-means with explicit randomness and a single thread."""

from __future__ import annotations

import warnings

import numpy as np

from mechlab.clustering.threads import one_thread

FEWEST, MOST = 10, 30  # starts
CHEAP = 3e7  # points x dimensions x clusters of all starts together: about 0.2 s


def starts_for(points: np.ndarray, k: int) -> int:
    """Return the number of starts of k-means for points (P, D) and k clusters: 30 where cheap, else fewer, 10 at least.

    >>> starts_for(np.zeros((1000, 10)), 5), starts_for(np.zeros((5000, 20)), 40)
    (30, 10)
    """
    return int(np.clip(CHEAP // max(np.size(points) * k, 1), FEWEST, MOST))


def kmeans(
    points: np.ndarray,
    k: int,
    rng: np.random.Generator,
    n_init: int | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the cluster (P,) int of each point: the best of `n_init` k-means++ starts.

    Args:
        points: (P, D) float.
        k: number of clusters; never more than there are distinct points.
        n_init: number of starts; by default that of `starts_for`. With a single one the outcome is mostly luck.
        weights: (P,) weight of each point; a weight is equivalent to that many copies of the point.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = np.asarray(points, np.float64)
    n_init = starts_for(points, k) if n_init is None else n_init
    k = min(k, len(np.unique(points, axis=0)))
    with (
        one_thread(),
        warnings.catch_warnings(),
    ):  # points that differ by rounding can leave fewer than k clusters, which is no error
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(k, n_init=n_init, random_state=int(rng.integers(2**31))).fit_predict(
            points, sample_weight=weights
        )
