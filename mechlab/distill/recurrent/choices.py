"""Expressions with a choice: the larger of two sums, the position of a largest column, nested comparisons."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from mechlab.distill.recurrent.expressions import Expression, Name, Number, bits, operation
from mechlab.distill.recurrent.one_variable import threshold
from mechlab.distill.recurrent.sums import Rows, affine, combinations, weighted

MOST_CHOICES = 5


def extremes(rows: Rows) -> Iterator[Expression]:
    """Yield the larger or the smaller of two sums."""
    table, target = rows.table, rows.target
    factors = combinations(table.shape[1], 200)
    if not len(factors):
        return
    factors = np.concatenate([np.zeros((1, table.shape[1]), int), factors, -factors])
    sums = table @ factors.T
    for operator, side in (("max", 1), ("min", -1)):
        gaps = side * (target[:, None] - sums)
        lowest = gaps.min(0)  # the constant with which the sum just touches the target
        touching = gaps == lowest
        frequent = np.flatnonzero((touching.mean(0) > 0.05) & (np.abs(lowest) <= 20))[:60]
        for i, j in itertools.combinations(frequent, 2):
            if (touching[:, i] | touching[:, j]).all():
                first, second = (weighted(factors[k], rows.names, side * int(lowest[k])) for k in (i, j))
                yield operation(operator, *sorted((first, second), key=bits, reverse=True))
                break


def ranking(rows: Rows) -> Iterator[Expression]:
    """Yield the position of the largest of some columns and 0, the first of equal ones."""
    table, target, size = rows.table, rows.target, len(rows.names)
    if not 1 < size <= 4 or target.min(initial=0) < 0 or target.max(initial=0) > size:
        return
    extended = np.column_stack([np.zeros(len(table), np.int64), table])
    expressions = [Number(0), *map(Name, rows.names)]
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


def choice(rows: Rows) -> Iterator[Expression]:
    """Yield nested choices between sums, by comparisons of sums with constants: a shortest of up to five leaves."""
    factors = combinations(len(rows.names), 40)
    if not len(factors) or not len(rows.target):
        return
    sums = rows.table @ factors.T
    for leaves in range(2, MOST_CHOICES + 1):
        result = _split(rows, sums, factors, leaves)
        if result is not None:
            yield result
            return


def _split(rows: Rows, sums: np.ndarray, factors: np.ndarray, leaves: int) -> Expression | None:
    """Return a choice of at most so many leaves, or None: one side of each comparison must be a leaf."""
    target = rows.target
    leaf = next(affine(rows), None)
    if leaf is not None and (len(target) >= 4 * (len(rows.names) + 1) or bits(leaf) <= 8):
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
    rest = _split(rows.part(outside), sums[outside], factors, leaves - 1)
    if rest is None:
        return None
    edge, beyond = int(sums[inside[-1], k]), int(sums[outside[0], k])
    test = threshold(weighted(factors[k], rows.names), min(edge, beyond), max(edge, beyond), rising=side < 0)
    return operation("if", test, constant, rest)
