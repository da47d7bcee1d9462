"""Each state of the automaton is given one cluster: how many of its rows are elsewhere?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class Injective(NamedTuple):
    """Shares of rows that are outside the cluster that carries their label's name, each number in [0, 1].

    Args:
        mean: mean over the labels that occur.
        max: the label that fares worst, under the assignment with the least mean.
    """

    mean: float
    max: float


def injective_ambiguity(table: np.ndarray) -> Injective:
    """Return the least mean share of misplaced rows over all assignments of labels to clusters, one to one.

    Every label carries at most one cluster and every cluster at most one label. With fewer clusters than labels some
    labels have none, and all their rows are misplaced; with more, some clusters have no name.

    Args:
        table: (C, S) the weight of each cluster and label; labels that do not occur do not count.

    Source: Muskardin et al., arXiv 2306.16854, and its published code, there by trying all permutations.

    >>> injective_ambiguity([[4, 0], [0, 3], [0, 1]])
    Injective(mean=0.125, max=0.25)
    """
    table = np.asarray(table, float)
    table = table[:, table.any(0)]
    shares = table / table.sum(0)  # (C, S): of each label's rows
    placed = np.zeros(shares.shape[1])
    clusters, labels = linear_sum_assignment(shares, maximize=True)
    placed[labels] = shares[clusters, labels]
    return Injective(float(1 - placed.mean()), float(1 - placed.min()))
