"""Mutual information of clusters and labels, from their contingency table."""

from __future__ import annotations

import numpy as np
from scipy.special import entr


def homogeneity(table: np.ndarray) -> float:
    """Return 1 - H(S|C) / H(S) of a contingency table (C, S), or 1 if H(S) = 0; completeness is that of table.T."""
    clusters, labels, both = _entropies(table)
    return float(1 - (both - clusters) / labels) if labels > 0 else 1.0


def normalised_mutual_information(table: np.ndarray) -> float:
    """Return I(C; S) over the mean of H(C) and H(S) of a contingency table (C, S), or 1 if both are 0.

    >>> normalised_mutual_information([[2, 0], [0, 2]]), normalised_mutual_information([[1, 1], [1, 1]])
    (1.0, 0.0)
    """
    clusters, labels, both = _entropies(table)
    if clusters + labels == 0:
        return 1.0
    return float(max(clusters + labels - both, 0) / ((clusters + labels) / 2))


def adjusted_mutual_information(table: np.ndarray) -> float:
    """Return (I - E[I]) / ((H(C) + H(S)) / 2 - E[I]): 0 is chance level, 1 means equal partitions.

    The expectation is over tables with the same margins, each unit of weight an independent row; so copies of a row in
    one cluster raise the score, which matters little where there are many rows.

    Args:
        table: (C, S) whole numbers, without empty clusters; memory does not grow with the counts.

    Source: Vinh, Epps and Bailey (2010), "Information theoretic measures for clusterings comparison".
    """
    from sklearn.metrics.cluster import expected_mutual_information

    table = np.asarray(table)
    table = table[:, table.any(0)].astype(np.int64)
    if 1 in table.shape:
        return float(table.shape == (1, 1))
    clusters, labels, both = _entropies(table)
    expected = float(expected_mutual_information(table, int(table.sum())))
    least = np.finfo(float).eps  # for equal partitions whose expected score is equal too
    return float(_away_from_0(clusters + labels - both - expected, least)) / float(
        _away_from_0((clusters + labels) / 2 - expected, least)
    )


def _entropies(table: np.ndarray) -> tuple[float, float, float]:
    """Return the entropies of clusters, of labels and of both in nats."""
    joint = np.asarray(table, float) / np.sum(table)
    return entr(joint.sum(1)).sum(), entr(joint.sum(0)).sum(), entr(joint).sum()


def _away_from_0(value: float, least: float) -> float:
    return min(value, -least) if value < 0 else max(value, least)
