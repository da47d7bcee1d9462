"""Permutation groups, with their elements in the order of sympy's coset enumeration."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.finite_group import Group, check_order


def permutation_group(name: str, generators: Sequence[Sequence[int]]) -> Group:
    """Return the group that permutations generate.

    A permutation x of k points is given by its images x(0), ..., x(k - 1), and x y acts with x first:
    (x y)(i) = y(x(i)). The elements are in the order of sympy's enumeration by cosets of the stabiliser chain, which
    released networks for S_n and A_5 were trained with (Chughtai et al., arXiv 2302.03025).

    Raises:
        ConfigError: a generator is not a permutation, or the table does not fit into memory.
    """
    from sympy.combinatorics import Permutation, PermutationGroup  # half a second

    images = [tuple(map(int, generator)) for generator in generators]
    points = len(images[0]) if images else 0
    if not points or any(sorted(image) != list(range(points)) for image in images):
        must = "generators must be permutations of the same points 0, ..., k - 1, given by their images"
        raise ConfigError(must, got=str(images), key="task.group", fix="such as [[1, 2, 0], [1, 0, 2]] for S3")
    group = PermutationGroup([Permutation(list(image)) for image in images])
    check_order(name, int(group.order()))
    elements = np.array([element.array_form for element in group.generate(method="coset")])
    table = products(elements, list(group.base))
    rows = [tuple(row) for row in elements.tolist()]
    numbers = tuple(dict.fromkeys(rows.index(image) for image in images))
    identity = rows.index(tuple(range(points)))
    return Group(name, table, tuple(rows), tuple(g for g in numbers if g != identity), checked=True)


def products(elements: np.ndarray, base: Sequence[int]) -> np.ndarray:
    """Return the multiplication table (n, n) of permutations (n, k), x before y.

    Args:
        elements: all elements of a group, by their images.
        base: points whose images determine an element of the group.
    """
    n, points = elements.shape
    base = list(base) or [0]
    weights = points ** np.arange(len(base))
    codes = elements[:, base] @ weights
    if points ** len(base) <= 10_000_000:
        number = np.zeros(points ** len(base), dtype=np.int32)
        number[codes] = np.arange(n)
        find = number.take
    else:
        order = np.argsort(codes)

        def find(values: np.ndarray) -> np.ndarray:
            return order[np.searchsorted(codes, values, sorter=order)].astype(np.int32)

    moved = np.zeros((n, points))  # the weight that the code of x y gives to the image under y of each point
    np.put_along_axis(moved, elements[:, base], weights.astype(float)[None], 1)
    table = np.empty((n, n), dtype=np.int32)
    for rows in np.array_split(np.arange(n), math.ceil(n * n / 2_000_000)):
        table[rows] = find((moved[rows] @ elements.T).astype(np.int64))
    return table
