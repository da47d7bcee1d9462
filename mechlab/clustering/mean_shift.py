"""Mean shift with a flat kernel, all seeds in parallel."""

from __future__ import annotations

import numpy as np

from mechlab.clustering.distances import blocks, squared_distances

STEPS = 300


def mean_shift(points: np.ndarray, bandwidth: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the cluster (P,) int of each point: the nearest of the fixed points of mean shift.

    The result is scikit-learn's `MeanShift(bandwidth)`, clusters numbered from the most crowded. Seeds with the same
    mean are merged, and a weight is equivalent to that many copies of a point.

    Args:
        points: (P, D) float.
        bandwidth: radius of the balls.
        weights: (P,) weight of each point, 1 by default.

    Source: Comaniciu and Meer (2002), "Mean shift: a robust approach toward feature space analysis".
    """
    points = np.asarray(points, np.float64)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    moving, settled = np.unique(points, axis=0), []
    for _ in range(STEPS):
        means, crowd = _means(moving, points, bandwidth, weights)
        moves = np.linalg.norm(means - moving, axis=1) > 1e-3 * bandwidth
        settled.append(np.column_stack([crowd, means])[~moves])
        moving = np.unique(means[moves], axis=0)
        if not len(moving):
            break
    else:
        settled.append(np.column_stack([crowd, means])[moves])
    centres = _suppressed(np.concatenate(settled), bandwidth)
    return np.concatenate([squared_distances(block, centres).argmin(1) for block in blocks(points, len(centres))])


def _means(seeds: np.ndarray, points: np.ndarray, radius: float, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (S, D) and the number (S,) of the points in the ball around each seed."""
    weighted = np.column_stack([weights, weights[:, None] * points])
    sums = np.concatenate(
        [
            (squared_distances(block, points) <= radius**2).astype(np.float64) @ weighted
            for block in blocks(seeds, len(points))
        ]
    )
    return sums[:, 1:] / sums[:, :1], sums[:, 0]


def _suppressed(rows: np.ndarray, radius: float) -> np.ndarray:
    """Return the centres (C, D) of rows (crowd, centre), most crowded first, without those within another's ball."""
    centres = rows[np.lexsort(rows.T[::-1])[::-1], 1:]  # ties as scikit-learn breaks them
    selected = []
    while len(centres):
        selected.append(centres[0])
        centres = centres[squared_distances(centres, centres[:1])[:, 0] > radius**2]
    return np.array(selected)
