"""Irreducible representations of the symmetric groups by Young's orthogonal form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.groups.finite_group import Group
from mechlab.groups.generation import extend, spanning_tree
from mechlab.groups.irrep import Irrep
from mechlab.groups.structure import lettered

Partition = tuple[int, ...]


def symmetric_irreps(group: Group) -> list[Irrep]:
    """Return the irreps of S_n: trivial, sign, standard (n - 1, 1), standard_sign (its product with sign), and one for
    each further partition, by dimension. `Irrep.label` is the partition."""
    points = len(group.elements[0])
    start = list(range(points))
    adjacent = [(*start[:i], i + 1, i, *start[i + 2 :]) for i in range(points - 1)]
    steps = spanning_tree(group, [group.index(images) for images in adjacent])
    return [
        Irrep(name, extend(group, steps, adjacent_transpositions(partition)), label=str(partition))
        for name, partition in names_of_partitions(points).items()
    ]


def partitions(n: int) -> list[Partition]:
    """Return the partitions of n, lexicographically descending."""

    def parts(rest: int, largest: int) -> list[Partition]:
        if rest == 0:
            return [()]
        return [(first, *others) for first in range(min(rest, largest), 0, -1) for others in parts(rest - first, first)]

    return parts(n, n)


def conjugate(partition: Partition) -> Partition:
    """Return the partition with rows and columns exchanged."""
    return tuple(sum(row > column for row in partition) for column in range(partition[0]))


def names_of_partitions(n: int) -> dict[str, Partition]:
    """Return the partition of each irrep of S_n by its name, in the order of the list of irreps."""
    first = {
        "trivial": (n,),
        "sign": (1,) * n,
        "standard": (n - 1, 1),
        "standard_sign": (2, *(1,) * (n - 2)),
    }
    result: dict[str, Partition] = {}
    for name, partition in first.items():
        if partition in partitions(n) and partition not in result.values():
            result[name] = partition
    others = [partition for partition in partitions(n) if partition not in result.values()]
    if n == 5:
        others.reverse()  # published networks of S5 have 5d_a for (2, 2, 1), those of S6 for (3, 3)
    others.sort(key=_dimension)
    return result | dict(zip(lettered([f"{_dimension(p)}d" for p in others]), others, strict=True))


def _dimension(partition: Partition) -> int:
    return len(standard_tableaux(partition))


def standard_tableaux(partition: Partition) -> list[tuple[int, ...]]:
    """Return the standard tableaux of a shape, each as the rows that hold 0, ..., n - 1."""
    if not partition:
        return [()]
    result = []
    for row, length in enumerate(partition):
        if row + 1 == len(partition) or partition[row + 1] < length:  # the largest number stands at a corner
            smaller = tuple(part - (place == row) for place, part in enumerate(partition) if part > (place == row))
            result += [(*tableau, row) for tableau in standard_tableaux(smaller)]
    return sorted(result)


def adjacent_transpositions(partition: Partition) -> np.ndarray:
    """Return the matrices (n - 1, d, d) of the transpositions (i i+1) in Young's orthogonal form.

    With the content c = column - row of a cell and D = c(i + 1) - c(i), a tableau T goes to T / D plus
    sqrt(1 - 1 / D^2) times T with i and i + 1 exchanged. (James and Kerber 1981, section 3.4.)
    """
    tableaux = standard_tableaux(partition)
    number = {tableau: place for place, tableau in enumerate(tableaux)}
    points = sum(partition)
    matrices = np.zeros((points - 1, len(tableaux), len(tableaux)))
    for place, rows in enumerate(tableaux):
        content = [rows[:i].count(row) - row for i, row in enumerate(rows)]
        for i in range(points - 1):
            distance = content[i + 1] - content[i]
            matrices[i, place, place] = 1 / distance
            if abs(distance) > 1:
                exchanged = (*rows[:i], rows[i + 1], rows[i], *rows[i + 2 :])
                matrices[i, place, number[exchanged]] = np.sqrt(1 - 1 / distance**2)
    return matrices


def permutation_matrix(adjacent: np.ndarray, images: Sequence[int]) -> np.ndarray:
    """Return the matrix (d, d) of a permutation, given those of the adjacent transpositions (n - 1, d, d).

    The matrix of x before y is that of x times that of y. The permutation is sorted by exchanging neighbours.
    """
    places = [images.index(point) for point in range(len(images))]
    matrix = np.eye(adjacent.shape[1]) if len(adjacent) else np.eye(1)
    while descents := [i for i in range(len(places) - 1) if places[i] > places[i + 1]]:
        i = descents[0]
        places[i], places[i + 1] = places[i + 1], places[i]
        matrix = adjacent[i] @ matrix
    return matrix
