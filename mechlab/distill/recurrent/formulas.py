"""Boolean formulas, positions of a largest value, and choices by comparisons, as expressions of integer columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from mechlab.distill.recurrent.expressions import Expression, Name, Number, bits, operation

MOST_BITS = 7
MOST_CHOICES = 5


def bit_formula(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield a minimal sum of products, or an exclusive disjunction, of columns of bits, for a target of bits."""
    size = len(names)
    if not 0 < size <= MOST_BITS or not (np.isin(table, (0, 1)).all() and np.isin(target, (0, 1)).all()):
        return
    points = table @ (1 << np.arange(size))
    true, seen = set(points[target == 1].tolist()), set(points.tolist())
    if len(seen) < min(1 << size, 4):
        return
    for support in range(1, size + 1):
        for places in itertools.combinations(range(size), support):
            parity = table[:, places].sum(1) % 2
            for flip in (0, 1):
                if (parity ^ flip == target).all():
                    parts = [Name(names[k]) for k in places] + ([Number(1)] if flip else [])
                    result: Expression = parts[0]
                    for part in parts[1:]:
                        result = operation("xor", result, part)
                    yield result
    products = minimal_products(true, set(range(1 << size)) - seen, size)
    if len(products) <= 8:
        yield sum_of_products(products, names)


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
            prime for prime in covers if any(sum(p in other for other in covers.values()) == 1 for p in covers[prime] & left)
        ]
        pool = alone or list(covers)
        best = max(pool, key=lambda prime: (len(covers[prime] & left), -prime[0].bit_count(), prime))
        chosen.append(best)
        left -= covers[best]
    return chosen


def ranking(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield the position of the largest of some columns and 0, the first of equal ones."""
    size = len(names)
    if not 1 < size <= 4 or target.min(initial=0) < 0 or target.max(initial=0) > size:
        return
    extended = np.column_stack([np.zeros(len(table), np.int64), table])
    expressions = [Number(0), *map(Name, names)]
    for count in range(int(target.max()) + 1, size + 2):
        for order in itertools.permutations(range(size + 1), count):
            for side, operator in ((1, "max"), (-1, "min")):
                if ((side * extended[:, order]).argmax(1) != target).any():
                    continue
                parts = [expressions[k] for k in order]
                compare = ">" if side > 0 else "<"
                result: Expression = Number(count - 1)
                for position in range(count - 2, -1, -1):
                    rest = parts[position + 1]
                    for part in parts[position + 2 :]:
                        rest = operation(operator, rest, part)
                    later = operation(compare, rest, parts[position])
                    result = operation("if", later, result, Number(position))
                yield result
                return


def choice(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield nested choices between sums, by comparisons of sums with constants: a shortest of up to five leaves."""
    from mechlab.distill.recurrent.regression import combinations

    factors = combinations(len(names), 40)
    if not len(factors) or not len(target):
        return
    sums = table @ factors.T
    for leaves in range(2, MOST_CHOICES + 1):
        result = _split(table, target, names, sums, factors, leaves)
        if result is not None:
            yield result
            return


def _split(
    table: np.ndarray, target: np.ndarray, names: Sequence[str], sums: np.ndarray, factors: np.ndarray, leaves: int
) -> Expression | None:
    """Return a choice of at most so many leaves, or None: one side of each comparison must be a leaf."""
    from mechlab.distill.recurrent.regression import affine, weighted

    leaf = next(affine(table, target, names), None)
    if leaf is not None and (len(target) >= 4 * (len(names) + 1) or bits(leaf) <= 8):
        return leaf
    if leaves < 2:
        return None
    best: tuple[int, int, int] | None = None
    for k in range(sums.shape[1]):
        order = np.argsort(sums[:, k], kind="stable")
        ranked, targets = sums[order, k], target[order]
        for side in (1, -1):
            along = targets[::side]
            run = int(np.argmax(np.append(along != along[0], True)))  # constant leaves
            values = ranked[::side]
            while 0 < run < len(values) and values[run] == values[run - 1]:
                run -= 1
            if run and (best is None or run > best[0]):
                best = (run, k, side)
    if best is None:
        return None
    run, k, side = best
    order = np.argsort(sums[:, k], kind="stable")[::side]
    inside, outside = order[:run], order[run:]
    constant = Number(int(target[inside[0]]))
    if not len(outside):
        return constant
    rest = _split(table[outside], target[outside], names, sums[outside], factors, leaves - 1)
    if rest is None:
        return None
    edge = int(sums[inside[-1], k])
    test = operation("<=" if side > 0 else ">=", weighted(factors[k], names), edge)
    return operation("if", test, constant, rest)


def _joined(operator: str, parts: Sequence[Expression], empty: int) -> Expression:
    if not parts:
        return Number(empty)
    result = parts[0]
    for part in parts[1:]:
        result = operation(operator, result, part)
    return result
