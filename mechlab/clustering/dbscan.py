"""DBSCAN in little memory, without lists of neighbours."""

from __future__ import annotations

import numpy as np

from mechlab.clustering.distances import blocks, squared_distances

NOISE = -1


def dbscan(points: np.ndarray, radius: float, min_samples: int = 5, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the cluster (P,) int of each point, -1 for noise; the result is scikit-learn's `DBSCAN(radius)`.

    A point with at least `min_samples` points within the radius is a core point; a cluster is a connected set of core
    points and all points within the radius of one of them. Memory does not grow with the number of neighbours, which
    is large for nearly equal points.

    Args:
        points: (P, D) float.
        radius: largest distance between neighbours.
        min_samples: least number of points within the radius of a core point, itself included.
        weights: (P,) weight of each point, 1 by default; a weight is equivalent to that many copies.

    Source: Ester et al. (1996), "A density-based algorithm for discovering clusters".
    """
    points = np.asarray(points, np.float64)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    core = np.concatenate([_near(block, points, radius) @ weights for block in blocks(points, len(points))])
    core = core >= min_samples
    clusters, number = np.full(len(points), NOISE), 0
    for seed in np.flatnonzero(core):
        if clusters[seed] != NOISE:
            continue
        front = np.array([seed])
        while len(front):
            clusters[front] = number
            free = np.flatnonzero(clusters == NOISE)
            cores = points[front[core[front]]]
            parts = blocks(points[free], len(cores))
            front = free[np.concatenate([_near(part, cores, radius).any(1) for part in parts])]
        number += 1
    return clusters


def _near(rows: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    return squared_distances(rows, points) <= radius**2
