"""Null levels of the ambiguity: permuted clusters and random partitions."""

from __future__ import annotations

import numpy as np

from mechlab.clustering.centres import nearest
from mechlab.clustering.scores import ambiguity


def permuted_ambiguity(
    clusters: np.ndarray, labels: np.ndarray, weights: np.ndarray, rng: np.random.Generator, permutations: int = 10
) -> float:
    """Return the mean weighted ambiguity over random permutations of the clusters of distinct rows.

    Labels and weights stay with their rows, so that the entropy of the labels is unchanged.

    Args:
        clusters: (P,) int, the cluster of each distinct row.
        labels: (P,) int, its label.
        weights: (P,) its number of occurrences.
        permutations: number of permutations.
    """
    return float(np.mean([ambiguity(rng.permutation(clusters), labels, weights).weighted for _ in range(permutations)]))


def random_partition(
    points: np.ndarray, k: int, rng: np.random.Generator, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return clusters (P,) int by the nearest of k random points.

    The cells are as many and as connected as those of k-means, but not fitted: their ambiguity is what the geometry of
    the states and the number of cells alone give.

    Args:
        points: (P, D) float.
        k: number of cells; at most P.
        weights: (P,) probabilities, up to a factor, of drawing each point; uniform by default.
    """
    chances = None if weights is None else weights / np.sum(weights)
    drawn = rng.choice(len(points), min(k, len(points)), replace=False, p=chances)
    return nearest(points, points[drawn])


def random_partition_ambiguity(
    points: np.ndarray, k: int, labels: np.ndarray, weights: np.ndarray, rng: np.random.Generator, draws: int = 5
) -> float:
    """Return the mean weighted ambiguity of random partitions, with points drawn in proportion to their weights.

    Args:
        points: (P, D) float.
        k: number of cells.
        labels: (P,) int, the label of each point.
        weights: (P,) its number of occurrences.
        draws: number of partitions.
    """
    partitions = (random_partition(points, k, rng, weights) for _ in range(draws))
    return float(np.mean([ambiguity(cells, labels, weights).weighted for cells in partitions]))
