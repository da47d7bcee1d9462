"""Scores of clusters against labels: ambiguity, the normalised entropy of the label given the cluster, and others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import entr

from mechlab.clustering.information import (
    adjusted_mutual_information,
    homogeneity,
    normalised_mutual_information,
)
from mechlab.clustering.injective import injective_ambiguity


class AmbiguityScores(NamedTuple):
    """Ambiguity of a clustering, each number in [0, 1].

    Args:
        mean: mean over clusters.
        weighted: mean of the clusters' ambiguities, weighted by their sizes; equals H(S|C) / log n_v.
        max: largest ambiguity of a cluster.
        min: least ambiguity of a cluster.
    """

    mean: float
    weighted: float
    max: float
    min: float


def ambiguity(clusters: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> AmbiguityScores:
    """Return the ambiguity of clusters: the normalised entropy of the labels within them.

    Args:
        clusters: (P,) int, the cluster of each row.
        labels: (P,) int, the label of each row, such as the automaton's state.
        weights: (P,) positive weight of each row, 1 by default.

    Source: Muškardin et al., arXiv 2306.16854.

    >>> ambiguity([0, 0, 1], [0, 1, 1], weights=[1, 1, 2])
    AmbiguityScores(mean=0.5, weighted=0.5, max=1.0, min=0.0)
    """
    return table_ambiguity(contingency(clusters, labels, weights))


def contingency(clusters: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the contingency table T[c, s], the weight of label s in cluster c, float64.

    Args:
        clusters: (P,) int, the cluster of each row.
        labels: (P,) int, the label of each row.
        weights: (P,) positive weight of each row, 1 by default.

    Returns:
        (C, n_v), with a row for each cluster that occurs and a column for each label that occurs, in sorted order.

    Raises:
        ValueError: there are no rows, or not as many labels or weights as clusters.

    >>> contingency([0, 0, 3], [1, 2, 2], [1, 2, 5]).tolist()
    [[1.0, 2.0], [0.0, 5.0]]
    """
    sizes = [np.shape(values) for values in (clusters, labels, weights) if values is not None]
    if len(set(sizes)) > 1 or len(sizes[0]) != 1 or sizes[0][0] == 0:
        raise ValueError(f"clusters, labels and weights must be one for each row, (P,). Got shapes {sizes} instead.")
    rows, row = np.unique(clusters, return_inverse=True)
    columns, column = np.unique(labels, return_inverse=True)
    cells = np.bincount(row * len(columns) + column, weights, minlength=len(rows) * len(columns))
    return cells.reshape(len(rows), len(columns)).astype(float)


def cluster_ambiguity(table: np.ndarray) -> np.ndarray:
    """Return a(c) = - sum_s p(s|c) log_{n_v} p(s|c) of each cluster (C,), n_v being the number of labels that occur.

    Where a single label occurs, nothing is ambiguous and a(c) = 0.

    Args:
        table: (C, S) the weight of each cluster and label; labels that do not occur may have a column of zeros.

    Raises:
        ValueError: an entry is negative, or a cluster is empty.

    Source: Muškardin et al., arXiv 2306.16854.

    >>> cluster_ambiguity([[1, 1], [0, 3]]).tolist()
    [1.0, 0.0]
    """
    table = np.asarray(table, float)
    size = table.sum(1, keepdims=True)
    if table.size == 0 or (table < 0).any() or not (size > 0).all():
        raise ValueError(f"a contingency table must be (C, S), not negative, and without empty clusters. Got {table}.")
    occurring = np.count_nonzero(table.any(0))
    if occurring == 1:
        return np.zeros(len(table))
    return entr(table / size).sum(1) / np.log(occurring)


def table_ambiguity(table: np.ndarray) -> AmbiguityScores:
    """Return the ambiguity of a contingency table (C, S); see `cluster_ambiguity` for its conditions."""
    table = np.asarray(table, float)
    scores = cluster_ambiguity(table)
    return AmbiguityScores(
        mean=float(scores.mean()),
        weighted=float(np.average(scores, weights=table.sum(1))),
        max=float(scores.max()),
        min=float(scores.min()),
    )


def all_scores(table: np.ndarray) -> dict[str, float]:
    """Return every score of a contingency table (C, S) of whole numbers by name.

    `weighted`, `mean`, `max` and `min` are ambiguities; `homogeneity`, `completeness`, `nmi` and `ami` are shares of
    information; `injective` and `injective_max` assign one cluster to each label. Ambiguities and injective scores are
    best at 0, the others at 1. Splitting clusters never makes `weighted` or `homogeneity` worse; the scores from
    `completeness` on penalise it.
    """
    own, placed = table_ambiguity(table), injective_ambiguity(table)
    return {
        "weighted": own.weighted,
        "mean": own.mean,
        "max": own.max,
        "min": own.min,
        "homogeneity": homogeneity(table),
        "completeness": homogeneity(np.transpose(table)),
        "nmi": normalised_mutual_information(table),
        "ami": adjusted_mutual_information(table),
        "injective": placed.mean,
        "injective_max": placed.max,
    }
