"""Linear separators of two sets of points, each as a column (d + 1,) of a layer: the weights, then the bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.optimize import nnls

Kind = Literal["margin", "mean_difference", "lda"]
TOLERANCE = 1e-7  # of distances between convex hulls, for points of size 1
FREE = 1e3  # the bias costs 1 / FREE^2 of a weight in the margin's problem, where it should cost nothing
LEVELS = 64  # steps of the finest grid that weights of a margin separator are rounded to
FEW = 24  # points of either side that a hyperplane is first determined from
RIDGE = 1e-3  # of the covariance of lda, relative to its mean variance


def separator(kind: Kind, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a hyperplane (d + 1,): positive on the points a (n, d) and negative on b (m, d) where it separates them.

    Args:
        kind: "mean_difference", m sum(a) - n sum(b), in whole numbers without a common divisor for points that are
            whole; "margin", the hyperplane of largest margin on the coarsest grid of weights that still separates, and
            the difference of means where none does; "lda", Fisher's discriminant.
        a, b: the points.

    Returns:
        Weights and bias. The threshold is midway between the nearest projections of a and b, or between the means
        where projections overlap; that of "margin" is 0 where 0 separates.

    Source: Blazek and Lin, "Explainable neural networks that simulate reasoning", Nature Computational Science 1
    (2021), for networks of pairwise separators.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if kind == "lda":
        return _placed(_discriminant(a, b), a, b)
    if kind == "margin" and (plane := _on_few(_hard_margin, a, b, 1.0)) is not None:
        return _simplest(plane[:-1] / np.abs(plane[:-1]).max(), a, b)
    return _placed(len(b) * a.sum(0) - len(a) * b.sum(0), a, b)


def tightened(column: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return a separator (d + 1,) with its threshold moved towards the points a (n, d) of signs: below the smallest
    projection by the smallest weight, so that it acts as a conjunction of the signs that all of a share."""
    weights = np.abs(column[:-1])
    threshold = (a @ column[:-1]).min() - weights[weights > 0].min(initial=np.inf)
    return np.append(column[:-1], -max(threshold, -column[-1]))


def dividing(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return a hyperplane (d + 1,) that is positive on the points a (n, d) and negative on b (m, d), or None if their
    convex hulls meet.

    The distance of the hulls is a least-squares problem with non-negative weights of the points, whose residual is
    normal to the hyperplane.
    """
    return _on_few(_between_hulls, a, b, 0.0)


def _between_hulls(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return `dividing` of points all at once."""
    centre, scale = _frame(a, b)
    points = np.concatenate([(a - centre) / scale, (centre - b) / scale]).T
    sides = np.zeros((2, points.shape[1]))
    sides[0, : len(a)] = sides[1, len(a) :] = 1
    system = np.concatenate([points, sides])
    target = np.array([0.0] * len(points) + [1.0, 1.0])
    weights, distance = nnls(system, target, maxiter=100 * system.shape[1])
    if distance < TOLERANCE:
        return None
    residual = target - system @ weights
    normal = -residual[:-2] / scale
    return np.append(normal, (residual[-1] - residual[-2]) / 2 - normal @ centre)


def _on_few(
    solve: Callable[[np.ndarray, np.ndarray], np.ndarray | None], a: np.ndarray, b: np.ndarray, least: float
) -> np.ndarray | None:
    """Return the hyperplane that `solve` returns for all points, from as few of them as determine it: those on which it
    is not at least `least` on their side are added until there are none."""
    chosen = [_spread(len(a)), _spread(len(b))]
    while True:
        plane = solve(a[chosen[0]], b[chosen[1]])
        if plane is None:
            return None
        complete = True
        for side, (points, sign) in enumerate(((a, 1), (b, -1))):
            values = sign * (points @ plane[:-1] + plane[-1])
            worst = np.argsort(values)[:FEW]
            worst = np.setdiff1d(worst[(values[worst] < least - TOLERANCE) | (values[worst] <= 0)], chosen[side])
            chosen[side] = np.append(chosen[side], worst)
            complete &= not len(worst)
        if complete:
            return plane


def _spread(n: int) -> np.ndarray:
    """Return positions throughout n points, the last among them: where points are added, it is the new one."""
    return np.arange(n) if n <= FEW else np.linspace(0, n - 1, FEW).astype(int)


def _hard_margin(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return the hyperplane (d + 1,) of largest margin, 1 and -1 at the nearest points; None if there is none.

    min |w|^2 with G w >= 1 is a least-distance problem, which non-negative least squares solve: Lawson and Hanson,
    "Solving Least Squares Problems" (1974), chapter 23.
    """
    centre, scale = _frame(a, b)
    rows = np.concatenate([(a - centre) / scale, (centre - b) / scale])
    signs = np.repeat([FREE, -FREE], [len(a), len(b)])
    system = np.concatenate([rows.T, signs[None], np.ones((1, len(rows)))])
    target = np.append(np.zeros(len(system) - 1), 1.0)
    residual = system @ nnls(system, target, maxiter=100 * system.shape[1])[0] - target
    weight = residual[:-2]
    low, high = (a @ weight).min(), (b @ weight).max()
    if not low > high + TOLERANCE * scale * np.abs(weight).max():
        return None
    return np.append(2 * weight, -low - high) / (low - high)


def _simplest(weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the separator whose weights are the given ones (largest 1) rounded to the coarsest grid that separates."""
    for levels in range(1, LEVELS + 1):
        rounded = np.sign(weight) * np.ceil(levels * np.abs(weight) - 0.5 - 1e-6)  # halves towards 0
        low, high = (a @ rounded).min(), (b @ rounded).max()
        if low - high > TOLERANCE * max(abs(low), abs(high)):
            return np.append(rounded, 0.0) if low > 0 > high else _placed(rounded, a, b)
    return _placed(weight, a, b)


def _placed(weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return weights with the bias of a threshold midway, as whole numbers where weights and points are whole."""
    first, second = a @ weight, b @ weight
    if first.min() > second.max():
        column = np.append(2 * weight, -(first.min() + second.max()))
    else:
        count = len(a) * len(b)
        column = np.append(2 * count * weight, -(len(b) * first.sum() + len(a) * second.sum()))
    if (column == np.rint(column)).all() and np.abs(column).max() < 2**53:
        return column / (np.gcd.reduce(np.abs(column).astype(np.int64)) or 1)
    return column / (np.abs(column[:-1]).max() or 1.0)


def _discriminant(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    deviations = np.concatenate([a - a.mean(0), b - b.mean(0)])
    within = deviations.T @ deviations / len(deviations)
    ridge = RIDGE * np.trace(within) / len(within) or 1.0
    return np.linalg.solve(within + ridge * np.eye(len(within)), a.mean(0) - b.mean(0))


def _frame(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the centre and the size of all points."""
    centre = (a.mean(0) + b.mean(0)) / 2
    return centre, max(np.abs(a - centre).max(), np.abs(b - centre).max()) or 1.0
