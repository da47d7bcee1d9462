"""Groups of 2 x 2 matrices over the integers modulo a prime."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.finite_group import Group, check_order


def special_linear(p: int) -> Group:
    """Return SL(2, p), the matrices of determinant 1; element (a, b, c, d) is [[a, b], [c, d]].

    The elements are in lexicographic order. Raises ConfigError unless p is a prime.
    """
    name = f"SL(2,{p})"
    _check(name, p, p * (p**2 - 1))
    return _group(name, [m for m in _matrices(p) if _determinant(m, p) == 1], p, lambda products: products)


def projective_special_linear(p: int) -> Group:
    """Return PSL(2, p) = SL(2, p) / {1, -1}; of a matrix and its negative, the element is the first in lexicographic
    order. Raises ConfigError unless p is a prime."""
    name = f"PSL(2,{p})"
    _check(name, p, p * (p**2 - 1) // (1 if p == 2 else 2))
    firsts = [m for m in _matrices(p) if _determinant(m, p) == 1 and m <= tuple(-v % p for v in m)]

    def first_of_two(products: np.ndarray) -> np.ndarray:
        negative = -products % p
        weights = p ** np.arange(3, -1, -1)
        return np.where((products @ weights <= negative @ weights)[..., None], products, negative)

    return _group(name, firsts, p, first_of_two)


def projective_general_linear(p: int) -> Group:
    """Return PGL(2, p), the invertible matrices up to a factor; the element is the multiple whose first entry other
    than 0 is 1. Raises ConfigError unless p is a prime."""
    name = f"PGL(2,{p})"
    _check(name, p, p * (p**2 - 1))
    scaled = [m for m in _matrices(p) if _determinant(m, p) and next(filter(None, m)) == 1]
    inverse = np.array([0] + [pow(v, -1, p) for v in range(1, p)])

    def first_entry_one(products: np.ndarray) -> np.ndarray:
        leading = np.where(products[..., :1] != 0, products[..., :1], products[..., 1:2])
        return products * inverse[leading] % p

    return _group(name, scaled, p, first_entry_one)


def _matrices(p: int) -> itertools.product:
    return itertools.product(range(p), repeat=4)


def _determinant(matrix: tuple[int, ...], p: int) -> int:
    a, b, c, d = matrix
    return (a * d - b * c) % p


def _check(name: str, p: int, order: int) -> None:
    check_order(name, order)
    if p < 2 or any(p % q == 0 for q in range(2, math.isqrt(p) + 1)):
        must = "matrices must have entries modulo a prime"
        raise ConfigError(must, got=name, key="task.group", fix=f"{name.partition('(')[0]}(2,5)")


def _group(name: str, elements: list[tuple[int, ...]], p: int, representative: Callable) -> Group:
    """Return the group of matrices, given by one of each set of equivalent ones, under multiplication."""
    n, weights = len(elements), p ** np.arange(3, -1, -1)
    matrices = np.array(elements)
    number = np.zeros(p**4, dtype=np.int32)
    number[matrices @ weights] = np.arange(n)
    right = matrices.reshape(n, 2, 2)
    table = np.empty((n, n), dtype=np.int32)
    for row, left in enumerate(right):
        table[row] = number[representative((left @ right % p).reshape(n, 4)) @ weights]
    return Group(name, table, tuple(elements), checked=True)
