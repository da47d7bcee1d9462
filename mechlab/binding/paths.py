"""Eigenvalues that move with the optimiser step, joined to paths, and the step at which each is born."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from mechlab.binding.spectrum import TIE_BREAK, angle_between

REAL = 1e-9  # radians


def eigenvalue_paths(spectra: np.ndarray) -> np.ndarray:
    """Return spectra whose columns are paths: eigenvalues of consecutive steps are joined one to one, with the least
    sum of squared distances.

    Paths that cross between two steps, both nearer to the crossing than they move, may exchange their continuations:
    the steps must be close enough. Conjugate paths stay conjugate where the best assignment is unique; it is not where
    two real eigenvalues become a pair, and either then goes on as either.

    Args:
        spectra: (K, S) complex, the eigenvalues at K steps, those of each step in any order.

    Returns:
        (K, S) complex; the last row has its given order.

    >>> eigenvalue_paths(np.array([[0.1, 1.1], [1.0, 0.0]])).real.tolist()
    [[1.1, 0.1], [1.0, 0.0]]
    """
    paths = np.array(spectra, complex)
    for later in range(len(paths) - 1, 0, -1):
        squares = np.abs(paths[later][:, None] - paths[later - 1][None]) ** 2
        paths[later - 1] = paths[later - 1][linear_sum_assignment(squares)[1]]
    return paths


def labelled_paths(spectra: np.ndarray, theory: np.ndarray, persistent: float = 0.9) -> np.ndarray:
    """Return the paths (K, R) complex that end at the partners of the theoretical eigenvalues, in their order; NaN for
    those without a partner, where fewer were learned. See `eigenvalue_paths` and `partners`.

    Args:
        spectra: (K, S) complex, the eigenvalues at K steps, those of each step in any order.
        theory: (R,) complex, the non-zero theoretical eigenvalues.
        persistent: modulus above which an eigenvalue takes its partner first.
    """
    paths = eigenvalue_paths(spectra)
    learned, labels = partners(paths[-1], theory, persistent)
    labelled = np.full((len(paths), len(theory)), np.nan, complex)
    labelled[:, labels] = paths[:, learned]
    return labelled


def partners(learned: np.ndarray, theory: np.ndarray, persistent: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of partners in a learned spectrum (S,) and in the theoretical one (R,): min(S, R) each.

    The eigenvalues of modulus above `persistent` take their partners first, with the least sum of angles, and among
    equal sums with the most exact pairs; then the largest of the others take what is left. In `compare`, where all are
    matched together, an eigenvalue that is not learned yet would displace its neighbours on the circle.
    """
    largest = np.argsort(-np.abs(learned), kind="stable")[: len(theory)]
    rank = int(np.count_nonzero(np.abs(learned[largest]) > persistent))
    rows, columns, free = [], [], np.arange(len(theory))
    for group in (largest[:rank], largest[rank:]):
        angles = angle_between(learned[group][:, None], theory[free][None])
        of_group, of_free = linear_sum_assignment(angles - TIE_BREAK * angles**2)
        rows.append(group[of_group])
        columns.append(free[of_free])
        free = np.delete(free, of_free)
    return np.concatenate(rows), np.concatenate(columns)


def is_present(paths: np.ndarray, theory: np.ndarray, persistent: float = 0.9, angle: float = 0.05) -> np.ndarray:
    """Return where (K, R) bool a path (K, R) has a modulus above `persistent`, and an angle within `angle` radians of
    that of its theoretical eigenvalue (R,)."""
    return (np.abs(paths) > persistent) & (angle_between(paths, theory) <= angle)


def births(present: np.ndarray) -> np.ndarray:
    """Return the row (R,) from which each column of (K, R) bool is true to the end; K where it is not at the end.

    >>> births(np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], bool)).tolist()
    [2, 1, 3]
    """
    return len(present) - np.cumprod(present[::-1], axis=0).sum(0)


def upper_half(theory: np.ndarray) -> np.ndarray:
    """Return the indices of the real eigenvalues among (R,), and of one of each conjugate pair, by rising angle.

    >>> upper_half(np.array([-1j, -1, 1j, 1])).tolist()
    [3, 2, 1]
    """
    angles = np.abs(np.angle(theory))
    chosen = np.flatnonzero((np.imag(theory) > 0) | (angles < REAL) | (angles > np.pi - REAL))
    return chosen[np.argsort(angles[chosen], kind="stable")]


def fall_at_births(births: np.ndarray, loss: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean fall of the log loss over the interval in which an eigenvalue is born, in nats, and the same
    (K - 2,) with the births shifted by 1 .. K - 2 intervals, those beyond the last going to the first.

    The shifted ones are a null distribution for births at moments unrelated to the loss: how births follow each other,
    and how the loss falls, is as it was.

    Args:
        births: (R,) the rows in which eigenvalues are born, 0 for those present at the start, K for those never born.
        loss: (K,) positive, at the recorded steps.

    Raises:
        ValueError: fewer than 3 steps, or none is born between the first and the last.
    """
    count = np.bincount(births, minlength=len(loss) + 1)[1 : len(loss)]  # (K - 1,) born in each interval
    if len(loss) < 3 or not count.any():
        got = f"{len(loss)} steps, {count.sum()} births"
        raise ValueError(f"there must be at least 3 steps, and a birth after the first of them. Got {got} instead.")
    fall = -np.diff(np.log(loss))
    mean = np.array([np.roll(count, shift) @ fall for shift in range(len(count))]) / count.sum()
    return float(mean[0]), mean[1:]
