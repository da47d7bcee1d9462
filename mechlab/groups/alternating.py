"""Irreducible representations of the alternating groups, by restriction from the symmetric groups."""

from __future__ import annotations

import numpy as np

from mechlab.groups.finite_group import Group
from mechlab.groups.generation import extend, spanning_tree
from mechlab.groups.irrep import Irrep, Kind
from mechlab.groups.structure import lettered
from mechlab.groups.young import (
    Partition,
    adjacent_transpositions,
    conjugate,
    partitions,
    permutation_matrix,
    standard_tableaux,
)


def alternating_irreps(group: Group) -> list[Irrep]:
    """Return the irreps of A_n: trivial, standard, and the others by dimension; those of A5 in the published order.

    A partition and its conjugate have the same restriction. That of a self-conjugate partition is of complex type, or
    splits into two of real type, of which the first has the larger character at the product of cycles of successive
    points whose lengths are the hooks of the diagonal. `Irrep.label` is the partition, followed by + or - for a half.
    (James and Kerber 1981, theorem 2.5.7 and section 2.5.13.)
    """
    points = len(group.elements[0])
    steps = spanning_tree(group, group.generators)
    result = []
    for partition in _representatives(points):
        adjacent = adjacent_transpositions(partition)
        images = np.array([permutation_matrix(adjacent, group.elements[g]) for g in group.generators])
        label = str(partition)
        if points < 2 or partition != conjugate(partition):
            result.append((label, extend(group, steps, images), "real"))
        elif (points - _diagonal(partition)) // 2 % 2:
            result.append((label, extend(group, steps, images), "complex"))
        else:
            halves = [extend(group, steps, basis.T @ images @ basis) for basis in _halves(partition)]
            decisive = group.index(_diagonal_cycles(partition))
            halves.sort(key=lambda matrices: -np.trace(matrices[decisive]))
            result += [(label + sign, matrices, "real") for sign, matrices in zip("+-", halves, strict=True)]
    return _named(points, result)


def _representatives(points: int) -> list[Partition]:
    if points == 5:
        return [(5,), (4, 1), (2, 2, 1), (3, 1, 1)]  # published networks of A5 have (2, 2, 1), not (3, 2)
    return [partition for partition in partitions(points) if partition >= conjugate(partition)]


def _named(points: int, parts: list[tuple[str, np.ndarray, Kind]]) -> list[Irrep]:
    if points == 5:
        names = ["trivial", "standard", "5d_a", "3d_a", "3d_b"]
    else:
        parts = parts[:2] + sorted(parts[2:], key=lambda part: part[1].shape[1])
        names = ["trivial", "standard"][: len(parts)] + lettered([f"{part[1].shape[1]}d" for part in parts[2:]])
    return [Irrep(name, matrices, kind, label) for name, (label, matrices, kind) in zip(names, parts, strict=True)]


def _halves(partition: Partition) -> tuple[np.ndarray, np.ndarray]:
    """Bases (d, d / 2) of the eigenspaces +1 and -1 of the J that commutes with even permutations and anticommutes with
    odd ones: J T is the conjugate tableau times the sign of the permutation that makes T out of the first tableau."""
    tableaux = standard_tableaux(partition)
    number = {tableau: place for place, tableau in enumerate(tableaux)}
    pairs = [(place, number[_transposed(tableau)]) for place, tableau in enumerate(tableaux)]
    pairs = [(place, image) for place, image in pairs if place < image]
    bases = np.zeros((2, len(tableaux), len(pairs)))
    for column, (place, image) in enumerate(pairs):
        bases[:, place, column] = np.sqrt(0.5)
        bases[:, image, column] = np.array([1, -1]) * _sign(tableaux[place]) * np.sqrt(0.5)
    return bases[0], bases[1]


def _transposed(tableau: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(tableau[:i].count(row) for i, row in enumerate(tableau))


def _sign(tableau: tuple[int, ...]) -> int:
    inversions = sum(tableau[i] > tableau[j] for i in range(len(tableau)) for j in range(i + 1, len(tableau)))
    return (-1) ** inversions


def _diagonal(partition: Partition) -> int:
    return sum(length > row for row, length in enumerate(partition))


def _diagonal_cycles(partition: Partition) -> tuple[int, ...]:
    images: list[int] = []
    for row in range(_diagonal(partition)):
        start, length = len(images), 2 * (partition[row] - row) - 1
        images += [*range(start + 1, start + length), start]
    return tuple(images)
