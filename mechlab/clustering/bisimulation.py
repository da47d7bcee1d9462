"""Errors of clusters as a bisimulation, whose blocks have deterministic successors, as the states of an automaton."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import entr


class SuccessorErrors(NamedTuple):
    """Deviation of clusters from one successor for each cluster and letter, each number in [0, 1].

    Args:
        conflict: share of the steps whose target is not the most frequent successor of their cluster and letter.
        entropy: H(C'|C, a) / log of the number of clusters; 0 where there is one cluster.
        by_cluster: (C,) the share of conflicting steps out of each cluster, in sorted order; 0 without steps.
    """

    conflict: float
    entropy: float
    by_cluster: np.ndarray


def successor_errors(
    clusters: np.ndarray, parent: np.ndarray, letter: np.ndarray, weights: np.ndarray | None = None
) -> SuccessorErrors:
    """Return the deviation of clusters from one successor for each letter; the errors of a bisimulation are 0.

    Steps out of the initial state, which is in no cluster, are left out.

    Args:
        clusters: (P,) int, the cluster of each prefix.
        parent: (P,) int, the prefix without its last letter, -1 where that is the empty word.
        letter: (P,) int, the last letter.
        weights: (P,) number of occurrences of each prefix, 1 by default.

    >>> clusters, parent, letter = np.array([0, 1, 1, 0]), np.array([-1, 0, 1, 1]), np.array([0, 0, 0, 0])
    >>> successor_errors(clusters, parent, letter)[:1]
    (0.3333333333333333,)
    """
    names, number = np.unique(clusters, return_inverse=True)
    steps = np.flatnonzero(parent >= 0)
    mass = np.ones(len(steps)) if weights is None else np.asarray(weights, float)[steps]
    before = number[parent[steps]]
    letters = int(letter.max(initial=0)) + 1
    rows, row = np.unique(before * letters + letter[steps], return_inverse=True)
    table = np.bincount(row * len(names) + number[steps], mass, len(rows) * len(names)).reshape(len(rows), len(names))

    total, out = max(table.sum(), 1e-300), np.bincount(before, mass, len(names))
    conflicts = np.bincount(rows // letters, table.sum(1) - table.max(1, initial=0), len(names))
    entropy = entr(table / total).sum() - entr(table.sum(1) / total).sum()
    return SuccessorErrors(
        conflict=float(conflicts.sum() / total),
        entropy=float(max(entropy, 0) / np.log(len(names))) if len(names) > 1 else 0.0,
        by_cluster=conflicts / np.maximum(out, 1e-300),
    )
