"""The assignment of classes to a network's outputs, where it was not recorded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class ClassOrder(NamedTuple):
    """The best assignment of classes to outputs.

    Args:
        classes: (C,) int64, the class of each output.
        fit: mean recall over the classes that occur.
        next_fit: the same for the best of all other assignments; nan if there is no other.
        given: the same for outputs in the order of the classes.
        gap: difference of the sums of recalls of the best and the next assignment; at most 2, inf if there is no other.
    """

    classes: np.ndarray
    fit: float
    next_fit: float
    given: float
    gap: float


def class_order(counts: np.ndarray) -> ClassOrder:
    """Return the one-to-one assignment of classes to outputs with the highest mean recall.

    Args:
        counts: (C, C), how often output o (row) was the largest where class c (column) was right.

    Raises:
        ValueError: the counts are not a square table of numbers of at least 0, or all are 0.

    >>> order = class_order([[0, 9, 1], [8, 0, 0], [0, 1, 7]])
    >>> order.classes.tolist(), round(order.fit, 3)
    ([1, 0, 2], 0.925)
    """
    counts = np.asarray(counts, float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not (counts >= 0).all() or not counts.any():
        raise ValueError(f"counts must be a square table of numbers of at least 0. Got {counts.tolist()} instead.")
    occur = counts.sum(0)
    shares = counts / np.where(occur > 0, occur, 1)
    n, given = int(np.count_nonzero(occur)), float(np.trace(shares))
    classes, best = _assign(shares)
    if len(counts) == 1:
        return ClassOrder(classes, best, float("nan"), given, float("inf"))
    barred = -float(len(counts))  # more than all shares together
    other = max(_assign(_barred(shares, o, c, barred))[1] for o, c in enumerate(classes))
    return ClassOrder(classes, best / n, other / n, given / n, best - other)


def _assign(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the column of each row in the assignment with the highest sum, and that sum."""
    rows, columns = linear_sum_assignment(values, maximize=True)
    return columns, float(values[rows, columns].sum())


def _barred(shares: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    barred = shares.copy()
    barred[row, column] = value
    return barred
