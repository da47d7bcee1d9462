"""Partitions of the samples of each concept into subconcepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy.cluster.hierarchy import cut_tree, ward
from scipy.spatial.distance import pdist

from mechlab.distill.separators import dividing

Method = Literal["k_means", "agglomerative"]
ORDERS = 8  # random orders in which `merged` visits points of more than four dimensions


def clustered(
    points: np.ndarray, concepts: np.ndarray, method: Method, number: int | None, rng: np.random.Generator
) -> np.ndarray:
    """Return a subconcept (n,) of each point (n, d): clusters of each concept's points by k-means, or agglomerative by
    Ward's criterion.

    Args:
        points: the samples.
        concepts: of each, int.
        method: of clustering.
        number: clusters of each concept; None for the least number for which clusters of different concepts are
            linearly separable in pairs.
        rng: of the starts of k-means.
    """
    counts = np.unique(concepts, return_counts=True)[1]
    for k in [number] if number else range(1, int(counts.max()) + 1):
        labels = _clusters(points, concepts, method, k, rng)
        if number or _separable(points, concepts, labels):
            break
    return labels


def merged(points: np.ndarray, concepts: np.ndarray) -> np.ndarray:
    """Return a subconcept (n,) of each point (n, d), such that subconcepts of different concepts are linearly separable
    in pairs and as few pairs as possible are formed.

    Points are visited in order, and each joins the first subconcept of its concept that remains separable; the best of
    several orders counts. Where a point lies in the convex hull of a subconcept of another concept, that one pair is
    not separable.

    Args:
        points: the samples.
        concepts: of each, int; of equal points the most frequent one counts.
    """
    rows, inverse = np.unique(points, axis=0, return_inverse=True)
    values, numbers = np.unique(concepts, return_inverse=True)
    votes = np.zeros((len(rows), len(values)))
    np.add.at(votes, (inverse, numbers), 1)
    kinds = votes.argmax(1)
    if _separable(rows, kinds, kinds):
        return numbers
    best, fewest = kinds, np.inf
    for order in _orders(rows):
        labels = _joined(rows, kinds, order, fewest)
        if labels is not None:
            best, fewest = labels, _pairs(kinds, labels)
    result = best[inverse]
    minority = kinds[inverse] != numbers
    result[minority] = best.max() + 1 + numbers[minority]
    return np.unique(result, return_inverse=True)[1]


def _joined(rows: np.ndarray, kinds: np.ndarray, order: np.ndarray, fewest: float = np.inf) -> np.ndarray | None:
    """Return subconcepts of points that are visited in this order; None if they form as many pairs as `fewest`."""
    members: list[list[int]] = []
    planes: dict[tuple[int, int], np.ndarray | None] = {}
    for point in order:
        own = [a for a, rest in enumerate(members) if kinds[rest[0]] == kinds[point]]
        others = [b for b, rest in enumerate(members) if kinds[rest[0]] != kinds[point]]
        for a in [*own, len(members)]:
            enlarged = [*(members[a] if a < len(members) else []), int(point)]
            changed = _changed(rows, enlarged, members, planes, a, others)
            if changed is not None or a == len(members):
                break
        if a == len(members):
            members.append([])
            if _pairs(kinds[[rest[0] for rest in [*members[:-1], enlarged]]], np.arange(len(members))) >= fewest:
                return None
        members[a] = enlarged
        planes.update(changed or {(a, b): None for b in others})
    labels = np.zeros(len(rows), int)
    for a, rest in enumerate(members):
        labels[rest] = a
    return labels


def _changed(
    rows: np.ndarray,
    enlarged: list[int],
    members: list[list[int]],
    planes: dict[tuple[int, int], np.ndarray | None],
    a: int,
    others: list[int],
) -> dict[tuple[int, int], np.ndarray | None] | None:
    """Return the hyperplanes between subconcept a, enlarged by its last point, and others; None if one is missing."""
    point, changed = rows[enlarged[-1]], {}
    for b in others:
        plane = planes.get((a, b))
        if plane is None and (reverse := planes.get((b, a))) is not None:
            plane = -reverse
        if plane is None or point @ plane[:-1] + plane[-1] <= 0:
            plane = dividing(rows[enlarged], rows[members[b]])
            if plane is None:
                return None
        changed[a, b], changed[b, a] = plane, -plane
    return changed


def _orders(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield orders of distinct points: along all diagonals of the cube in up to four dimensions, and along some of them
    and coordinate by coordinate in more."""
    d = rows.shape[1]
    if d <= 4:
        diagonals = 1 - 2 * (np.arange(2 ** (d - 1))[:, None] >> np.arange(d) & 1)
    else:
        yield from (np.lexsort(rows.T[::-1]), np.lexsort(rows.T), np.argsort(rows.sum(1), kind="stable"))
        diagonals = np.random.default_rng(0).choice([-1, 1], (ORDERS, d))  # seeded: equal points, equal subconcepts
    for line in diagonals:
        yield np.argsort(rows @ line, kind="stable")


def _pairs(kinds: np.ndarray, labels: np.ndarray) -> int:
    """Return the number of pairs of subconcepts of different concepts."""
    counts = np.unique(np.unique(np.stack([kinds, labels]), axis=1)[0], return_counts=True)[1]
    return int((counts.sum() ** 2 - (counts**2).sum()) // 2)


def _separable(points: np.ndarray, concepts: np.ndarray, labels: np.ndarray) -> bool:
    """True if subconcepts of different concepts are linearly separable in pairs."""
    names, first = np.unique(labels, return_index=True)
    groups = [points[labels == name] for name in names]
    return all(
        dividing(groups[i], groups[j]) is not None
        for i in range(len(groups))
        for j in range(i)
        if concepts[first[i]] != concepts[first[j]]
    )


def _clusters(
    points: np.ndarray, concepts: np.ndarray, method: Method, number: int, rng: np.random.Generator
) -> np.ndarray:
    from sklearn.cluster import KMeans

    labels = np.zeros(len(points), int)
    for concept in np.unique(concepts):
        own = np.flatnonzero(concepts == concept)
        distinct = len(np.unique(points[own], axis=0))
        if (k := min(number, distinct)) > 1:
            if method == "k_means":
                parts = KMeans(k, n_init=4, random_state=int(rng.integers(2**31))).fit_predict(points[own])
            else:
                parts = cut_tree(ward(pdist(points[own])), k)[:, 0]
        else:
            parts = np.zeros(len(own), int)
        labels[own] = labels.max() + 1 + parts
    return np.unique(labels, return_inverse=True)[1]
