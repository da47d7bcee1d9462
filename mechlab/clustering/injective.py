"""Ambiguity under a one-to-one assignment of automaton states to clusters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class InjectiveAmbiguity(NamedTuple):
    """Shares of rows outside the cluster assigned to their label, each number in [0, 1].

    Args:
        mean: mean over the labels that occur.
        max: largest share of a label, under the assignment with the least mean.
    """

    mean: float
    max: float


def injective_ambiguity(table: np.ndarray) -> InjectiveAmbiguity:
    """Return the least mean share of misplaced rows over all one-to-one assignments of labels to clusters.

    With fewer clusters than labels some labels have no cluster, and all their rows are misplaced; with more, some
    clusters have no label.

    Args:
        table: (C, S) the weight of each cluster and label; labels that do not occur are left out.

    Source: Muškardin et al., arXiv 2306.16854, and its published code, there by trying all permutations.

    >>> injective_ambiguity([[4, 0], [0, 3], [0, 1]])
    InjectiveAmbiguity(mean=0.125, max=0.25)
    """
    table = np.asarray(table, float)
    table = table[:, table.any(0)]
    shares = table / table.sum(0)  # (C, S): of each label's rows
    placed = np.zeros(shares.shape[1])
    clusters, labels = linear_sum_assignment(shares, maximize=True)
    placed[labels] = shares[clusters, labels]
    return InjectiveAmbiguity(float(1 - placed.mean()), float(1 - placed.min()))
