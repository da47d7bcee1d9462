"""Squared distances between many points, computed in blocks."""

from __future__ import annotations

import numpy as np

BLOCK = 2**22  # maximal number of distances in memory


def squared_distances(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distances (R, P) between rows (R, D) and points (P, D).

    Those of nearly equal points have an error of up to 1e-15 of their squared norms.

    >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[25.0, 1.0]]
    """
    squares = (rows**2).sum(1)[:, None] + (points**2).sum(1)
    return np.maximum(squares - 2 * rows @ points.T, 0)


def blocks(rows: np.ndarray, width: int) -> list[np.ndarray]:
    """Return rows (R, D) in blocks such that the distances of a block to `width` points fit in memory."""
    return np.array_split(rows, max(1, -(-len(rows) * width // BLOCK)))
