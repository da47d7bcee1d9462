"""Boolean formulas as expressions of columns of bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mechlab.distill.recurrent.expressions import Expression, Name, Number, operation
from mechlab.distill.recurrent.sums import Rows

MOST_BITS = 7


def bit_formula(rows: Rows) -> Iterator[Expression]:
    """Yield a minimal sum of products, or an exclusive disjunction, of columns of bits, for a target of bits."""
    table, target, names, size = rows.table, rows.target, rows.names, len(rows.names)
    if not 0 < size <= MOST_BITS or not (np.isin(table, (0, 1)).all() and np.isin(target, (0, 1)).all()):
        return
    points = table @ (1 << np.arange(size))
    true, seen = set(points[target == 1].tolist()), set(points.tolist())
    if len(seen) < min(1 << size, 4):
        return
    if len(seen) == 1 << size:
        yield from _exclusive(true, names)
    products = minimal_products(true, set(range(1 << size)) - seen, size)
    if len(products) <= 8:
        yield sum_of_products(products, names)


def _exclusive(true: set[int], names: Sequence[str]) -> Iterator[Expression]:
    """Yield the algebraic normal form, an exclusive disjunction of products of names, if it has up to six products."""
    size = len(names)
    values = np.array([point in true for point in range(1 << size)], int)
    for k in range(size):  # Moebius transform modulo 2
        split = values.reshape(-1, 2, 1 << k)
        split[:, 1] ^= split[:, 0]
    products = sorted(map(int, np.flatnonzero(values)), key=lambda product: (product.bit_count(), product))
    if 0 < len(products) <= 6:
        ordered = products[1:] + products[:1] if products[0] == 0 else products
        parts = [
            _joined("and", [Name(name) for k, name in enumerate(names) if product >> k & 1], 1) for product in ordered
        ]
        yield _joined("xor", parts, 0)


def sum_of_products(products: Sequence[tuple[int, int]], names: Sequence[str]) -> Expression:
    """Return the disjunction of products (fixed, values) of names: bit k of `fixed` if name k is in the product."""
    terms = []
    for fixed, values in products:
        literals: list[Expression] = []
        for k, name in enumerate(names):
            if fixed >> k & 1:
                literals.append(Name(name) if values >> k & 1 else operation("not", Name(name)))
        terms.append(_joined("and", literals, 1))
    return _joined("or", terms, 0)


def minimal_products(true: set[int], free: set[int], size: int) -> list[tuple[int, int]]:
    """Return a small sum of products of a Boolean function, by the method of Quine and McCluskey.

    Args:
        true: points at which it is 1; bit k of a point is the value of variable k.
        free: points at which it may be either.
        size: number of variables, at most 7.

    Returns:
        Products (fixed, values), each a prime implicant: every one that alone covers a point, then greedily.
    """
    full = (1 << size) - 1
    level = {(full, point) for point in true | free}
    primes: set[tuple[int, int]] = set()
    while level:
        merged, following = set(), set()
        for fixed, values in level:
            for k in range(size):
                bit = 1 << k
                if fixed & bit and (fixed, values ^ bit) in level:
                    merged.add((fixed, values))
                    following.add((fixed & ~bit, values & ~bit))
        primes |= level - merged
        level = following
    covers = {prime: {point for point in true if point & prime[0] == prime[1]} for prime in sorted(primes)}
    left, chosen = set(true), []
    while left:
        alone = [
            prime
            for prime in covers
            if any(sum(p in other for other in covers.values()) == 1 for p in covers[prime] & left)
        ]
        pool = alone or list(covers)
        best = max(pool, key=lambda prime: (len(covers[prime] & left), -prime[0].bit_count(), prime))
        chosen.append(best)
        left -= covers[best]
    return chosen


def _joined(operator: str, parts: Sequence[Expression], empty: int) -> Expression:
    if not parts:
        return Number(empty)
    result = parts[0]
    for part in parts[1:]:
        result = operation(operator, result, part)
    return result
