"""Projection of points to the plane of their two leading principal components."""

from __future__ import annotations

import numpy as np


def principal_plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two leading principal components (P, 2) of points (P, D), and their shares of the variance (2,).

    A component that does not exist is 0, and so is a share where nothing varies.

    >>> plane, shares = principal_plane(np.array([[0.0, 1.0, 0.0], [0.0, 3.0, 0.0]]))
    >>> np.abs(plane).tolist(), shares.tolist()
    ([[1.0, 0.0], [1.0, 0.0]], [1.0, 0.0])
    """
    centred = points - points.mean(0)
    variances, directions = np.linalg.eigh(centred.T @ centred)  # in rising order
    leading = min(2, points.shape[1])
    plane, shares = np.zeros((len(points), 2)), np.zeros(2)
    plane[:, :leading] = centred @ directions[:, ::-1][:, :leading]
    shares[:leading] = variances[::-1][:leading] / max(variances.sum(), np.finfo(float).tiny)
    return plane, shares
