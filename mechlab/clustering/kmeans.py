"""k-means, seeded and quiet."""

from __future__ import annotations

import warnings

import numpy as np

from mechlab.clustering.threads import one_thread


def kmeans(
    points: np.ndarray, k: int, rng: np.random.Generator, n_init: int = 10, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the cluster (P,) int of each point: the best of `n_init` k-means++ starts.

    Args:
        points: (P, D) float.
        k: number of clusters; never more than there are distinct points.
        n_init: number of starts. With a single one the outcome is mostly luck.
        weights: (P,) how often each point counts; a weight is the same as that many copies of the point.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = np.asarray(points, np.float64)
    k = min(k, len(np.unique(points, axis=0)))
    with (
        one_thread(),
        warnings.catch_warnings(),
    ):  # points that differ by rounding can leave fewer than k clusters, which is no fault
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(k, n_init=n_init, random_state=int(rng.integers(2**31))).fit_predict(
            points, sample_weight=weights
        )
