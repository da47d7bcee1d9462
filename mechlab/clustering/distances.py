"""Distances between many points, a block at a time."""

from __future__ import annotations

import numpy as np

BLOCK = 2**22  # distances that are held at a time


def squared_distances(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the squared distances (R, P), where those of nearly equal points may be off by 1e-15 of their norms."""
    squares = (rows**2).sum(1)[:, None] + (points**2).sum(1)
    return np.maximum(squares - 2 * rows @ points.T, 0)


def blocks(rows: np.ndarray, width: int) -> list[np.ndarray]:
    """Split rows (R, D) such that the distances of a block to `width` points are not too many to hold."""
    return np.array_split(rows, max(1, -(-len(rows) * width // BLOCK)))
