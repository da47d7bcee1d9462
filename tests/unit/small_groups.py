"""Groups by their textbook definitions, and other numberings of their elements."""

import itertools

import numpy as np

from mechlab.groups import Group


def relabelled(group: Group, permutation: np.ndarray) -> Group:
    """The same group with element i as number permutation[i], and no other trace of what it is."""
    table = np.empty_like(group.table)
    table[np.ix_(permutation, permutation)] = permutation[group.table]
    return Group("given", table, tuple(range(group.order)))


def from_product(name: str, elements: list, product) -> Group:
    number = {element: place for place, element in enumerate(elements)}
    return Group(name, np.array([[number[product(a, b)] for b in elements] for a in elements]), tuple(elements))


def dicyclic(n: int) -> Group:
    """Of order 4n: a^i x^s with a^2n = 1, x^2 = a^n and x a = a^-1 x. Dic_2 is Q8."""

    def product(first, second):
        (i, s), (j, t) = first, second
        return ((i + (-j if s else j) + n * (s and t)) % (2 * n), (s + t) % 2)

    return from_product(f"dicyclic of order {4 * n}", list(itertools.product(range(2 * n), range(2))), product)


def special_linear(p: int, projective: bool = False) -> Group:
    """2 x 2 matrices of determinant 1 modulo p; up to sign where projective."""

    def representative(matrix):
        negative = tuple(-entry % p for entry in matrix)
        return min(matrix, negative) if projective else matrix

    def product(first, second):
        (a, b, c, d), (e, f, g, h) = first, second
        entries = (a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)
        return representative(tuple(entry % p for entry in entries))

    matrices = [m for m in itertools.product(range(p), repeat=4) if (m[0] * m[3] - m[1] * m[2]) % p == 1]
    return from_product(f"2 x 2 modulo {p}", sorted({representative(m) for m in matrices}), product)
