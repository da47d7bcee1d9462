"""Irreducible representations of the symmetric groups by Young's orthogonal form."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np

from mechlab.groups.finite_group import Group
from mechlab.groups.irrep import Irrep

Partition = tuple[int, ...]


def symmetric_irreps(group: Group) -> list[Irrep]:
    """Return the irreps of S_n: trivial, sign, standard (n - 1, 1), standard_sign (its product with sign), and one for
    each further partition, by dimension. `Irrep.label` is the partition."""
    points = len(group.elements[0])
    steps = _steps(group)
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
    return result | dict(zip(names_by_dimension([_dimension(p) for p in others]), others, strict=True))


def _dimension(partition: Partition) -> int:
    return len(standard_tableaux(partition))


def names_by_dimension(dimensions: Sequence[int]) -> list[str]:
    """Return names such as 6d, or 5d_a and 5d_b where a dimension occurs more than once."""
    names, used = [], dict.fromkeys(dimensions, 0)
    for d in dimensions:
        suffix = f"_{_letters(used[d])}" if dimensions.count(d) > 1 else ""
        names.append(f"{d}d{suffix}")
        used[d] += 1
    return names


def _letters(number: int) -> str:
    letters = string.ascii_lowercase
    return letters[number] if number < 26 else _letters(number // 26 - 1) + letters[number % 26]


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


def _steps(group: Group) -> list[tuple[np.ndarray, np.ndarray, int]]:
    points = len(group.elements[0])
    identity = list(range(points))
    adjacent = [(*identity[:i], i + 1, i, *identity[i + 2 :]) for i in range(points - 1)]
    return spanning_tree(group, [group.index(images) for images in adjacent])


def spanning_tree(group: Group, generators: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Return steps (elements, their products with a generator, place of the generator) that reach each element of a
    group once from the identity, by breadth-first search."""
    steps = []
    inside = np.zeros(group.order, dtype=bool)
    inside[group.identity] = True
    border = np.array([group.identity])
    while len(border):
        following = []
        for place, generator in enumerate(generators):
            products = group.table[border, generator]
            new = ~inside[products]
            if new.any():
                steps.append((border[new], products[new], place))
                inside[products[new]] = True
                following.append(products[new])
        border = np.concatenate(following) if following else border[:0]
    return steps


def extend(group: Group, steps: list[tuple[np.ndarray, np.ndarray, int]], images: np.ndarray) -> np.ndarray:
    """Return the matrices (n, d, d) of all elements, given those of the generators (k, d, d) of a spanning tree."""
    d = images.shape[1] if len(images) else 1
    matrices = np.empty((group.order, d, d))
    matrices[group.identity] = np.eye(d)
    for elements, products, place in steps:
        # one product of two matrices, (m d, d) and (d, d), is faster than m small ones
        matrices[products] = (matrices[elements].reshape(-1, d) @ images[place]).reshape(-1, d, d)
    return matrices
