"""Centres of clusters, and assignment of points to the nearest centre."""

from __future__ import annotations

import numpy as np

from mechlab.clustering.distances import blocks, squared_distances


def centres_of(points: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the mean (C, D) of each cluster that occurs, in sorted order.

    Args:
        points: (P, D) float.
        clusters: (P,) int, the cluster of each point.
        weights: (P,) positive weights of the points, 1 by default.

    >>> centres_of(np.array([[0.0], [4.0], [5.0]]), np.array([2, 2, 7]), np.array([1, 3, 1])).tolist()
    [[3.0], [5.0]]
    """
    _, number = np.unique(clusters, return_inverse=True)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    sums = np.zeros((number.max(initial=-1) + 1, points.shape[1]))
    np.add.at(sums, number, weights[:, None] * points)
    return sums / np.bincount(number, weights)[:, None]


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the index (P,) of the nearest centre (C, D) to each point (P, D); the first of equals."""
    return np.concatenate([squared_distances(block, centres).argmin(1) for block in blocks(points, len(centres))])
