"""Linear separability of the states of the automaton: Fisher ratios."""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-12  # least variance within classes above rounding errors, as a share of all variance


def fisher_ratios(points: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the Fisher ratio w' B w / w' S w (K,) along the discriminant direction w of each label, in sorted order.

    S is the pooled covariance within labels, B = 1/K sum_k (mu_k - mu)(mu_k - mu)' with mu the mean of the labels'
    means, and w = S^-1 (mu_k - m) with m the mean of all rows, the coefficients of linear discriminant analysis. S has
    at least the variance that rounding leaves, so that ratios are at most 1e12 or so; they are 0 where a single label
    occurs.

    Args:
        points: (P, D) float.
        labels: (P,) int.
        weights: (P,) weight of each row, 1 by default.

    Source: Muškardin et al., arXiv 2306.16854, whose published code has an inner product in place of B's outer one.
    """
    points = np.asarray(points, np.float64)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    classes, number = np.unique(labels, return_inverse=True)
    shares = np.bincount(number, weights) / weights.sum()
    middle = np.average(points, 0, weights)
    centred = points - middle  # (P, D)
    means = np.array([np.average(centred[number == c], 0, weights[number == c]) for c in range(len(classes))])

    inside = centred - means[number]
    within = (weights[:, None] * inside).T @ inside / weights.sum()  # (D, D)
    spread = np.trace(within) + shares @ (means**2).sum(1)
    within += max(ROUNDING * spread, np.finfo(float).tiny) * np.eye(len(within))
    directions = np.linalg.solve(within, means.T).T  # (K, D)
    between = ((directions @ (means - means.mean(0)).T) ** 2).mean(1)
    along = np.einsum("kd,de,ke->k", directions, within, directions)
    return np.divide(between, along, out=np.zeros_like(between), where=along > 0)
