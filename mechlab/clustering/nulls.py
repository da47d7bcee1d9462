"""What clusters that know nothing of the automaton leave open about its states."""

from __future__ import annotations

import numpy as np

from mechlab.clustering.centres import nearest
from mechlab.clustering.scores import ambiguity


def permuted_ambiguity(
    clusters: np.ndarray, labels: np.ndarray, weights: np.ndarray, rng: np.random.Generator, permutations: int = 10
) -> float:
    """Return the weighted ambiguity when clusters are dealt to the distinct rows at random, a mean over permutations.

    Every row keeps its label and its weight, so that what there is to know stays the same.

    Args:
        clusters: (P,) int, the cluster of each distinct row.
        labels: (P,) int, its label.
        weights: (P,) how often it occurs.
        permutations: number of permutations.
    """
    return float(np.mean([ambiguity(rng.permutation(clusters), labels, weights).weighted for _ in range(permutations)]))


def random_partition(
    points: np.ndarray, k: int, rng: np.random.Generator, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the clusters (P,) int of points: to which of k random points each is nearest.

    The cells are as many as those of k-means and as connected, and differ only in not being fitted: what they leave
    open is what the geometry of the states and the number of cells alone do not settle.

    Args:
        points: (P, D) float.
        k: number of cells; at most P.
        weights: (P,) how likely each point is to be drawn, alike by default.
    """
    chances = None if weights is None else weights / np.sum(weights)
    drawn = rng.choice(len(points), min(k, len(points)), replace=False, p=chances)
    return nearest(points, points[drawn])


def random_partition_ambiguity(
    points: np.ndarray, k: int, labels: np.ndarray, weights: np.ndarray, rng: np.random.Generator, draws: int = 5
) -> float:
    """Return the weighted ambiguity of random partitions, a mean over draws; points are drawn as often as they occur.

    Args:
        points: (P, D) float.
        k: number of cells.
        labels: (P,) int, the label of each point.
        weights: (P,) how often it occurs.
        draws: number of partitions.
    """
    partitions = (random_partition(points, k, rng, weights) for _ in range(draws))
    return float(np.mean([ambiguity(cells, labels, weights).weighted for cells in partitions]))
