"""Representations of a whole group from the matrices of its generators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.groups.finite_group import Group

BLOCK = 256  # matrices multiplied at a time, so that they fit into the processor's cache
Steps = list[tuple[np.ndarray, np.ndarray, int]]


def spanning_tree(group: Group, generators: Sequence[int]) -> Steps:
    """Return steps that reach each element of a group once from the identity, by breadth-first search.

    Returns:
        For each step some elements (m,), their products (m,) with one generator, and the place of that generator.
    """
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


def extend(group: Group, steps: Steps, images: np.ndarray) -> np.ndarray:
    """Return the matrices (n, d, d) of all elements, given those of the generators (k, d, d) of a spanning tree."""
    d = images.shape[1] if len(images) else 1
    matrices = np.empty((group.order, d, d))
    matrices[group.identity] = np.eye(d)
    for elements, products, place in steps:
        for start in range(0, len(elements), BLOCK):
            left = matrices[elements[start : start + BLOCK]]
            # one product of matrices (m d, d) and (d, d) is faster than m small ones
            matrices[products[start : start + BLOCK]] = (left.reshape(-1, d) @ images[place]).reshape(-1, d, d)
    return matrices
