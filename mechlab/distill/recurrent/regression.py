"""Exact integer functions of a few integer columns: short expressions that equal a target on every row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from mechlab.distill.recurrent.expressions import Expression, Name, Number, Table, bits, evaluate, operation
from mechlab.distill.recurrent.formulas import bit_formula, choice, ranking
from mechlab.distill.recurrent.one_variable import function_of

MOST_ROWS = 3000  # distinct rows that a fit looks at; the result is compared with all
MOST_COMBINATIONS = 1500
FEW = 40  # values of a column of which any function is fitted


def explain(target: np.ndarray, columns: Sequence[np.ndarray], names: Sequence[str]) -> Expression | None:
    """Return the shortest expression found that equals the target on every row.

    Tried are: sums with integer factors; one-variable functions (absolute value, floor division, remainder, comparison,
    short table) of such sums; a function of one column plus a sum of the others; the larger or smaller of two sums; the
    position of the largest column; Boolean formulas; and choices between sums by comparisons.

    Args:
        target: (N,) integers.
        columns: n arrays (N,) of integers.
        names: of the columns, in the expression.

    Returns:
        The expression; None if none was found, or if equal rows have different targets.
    """
    table = np.stack([np.asarray(column).astype(np.int64) for column in columns], 1) if columns else None
    target = np.asarray(target).astype(np.int64)
    if table is None:
        table = np.zeros((len(target), 0), np.int64)
    rows = np.unique(np.column_stack([table, target]), axis=0)
    if len(np.unique(rows[:, :-1], axis=0)) < len(rows):
        return None
    used = np.random.default_rng(0).permutation(len(rows))[:MOST_ROWS]
    found: list[Expression] = []
    for stage in STAGES:
        for expression in stage(rows[used, :-1], rows[used, -1], names):
            if exact(expression, rows[:, :-1], rows[:, -1], names):
                found.append(expression)
        if found and min(map(bits, found)) <= 60:
            break
    return min(found, key=bits) if found else None


def exact(expression: Expression, table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> bool:
    """Return whether an expression equals the target on every row of a table (N, n)."""
    try:
        values = evaluate(expression, dict(zip(names, table.T, strict=True)))
    except IndexError:
        return False
    return bool((np.broadcast_to(values, target.shape) == target).all())


def weighted(weights: Sequence[int], names: Sequence[str], constant: int = 0) -> Expression:
    """Return the sum of names with integer factors and a constant; positive summands are first."""
    result: Expression | None = None
    pairs = [(int(w), Name(name)) for w, name in zip(weights, names, strict=True) if w]
    pairs = [*(pair for pair in pairs if pair[0] > 0), *(pair for pair in pairs if pair[0] < 0)]
    if constant > 0 and pairs and pairs[0][0] < 0:
        result, constant = Number(constant), 0
    for weight, name in pairs:
        part = name if abs(weight) == 1 else operation("*", abs(weight), name)
        if result is None:
            result = part if weight > 0 else operation("*", weight, name)
        else:
            result = result + part if weight > 0 else result - part
    if result is None:
        return Number(constant)
    return result + constant if constant > 0 else result - -constant if constant < 0 else result


def affine(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield the target as a sum with integer factors, with as few columns as possible."""
    fitted = integer_fit(table, target)
    if fitted is None:
        return
    weights, constant = fitted
    kept = list(np.flatnonzero(weights))
    for column in sorted(kept, key=lambda k: abs(weights[k])):
        fewer = [k for k in kept if k != column]
        if (again := integer_fit(table[:, fewer], target)) is not None:
            kept = fewer
            weights = np.zeros(len(names), int)
            weights[kept], constant = again
    yield weighted(weights, names, constant)


def integer_fit(table: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Return integer factors (n,) and a constant with which columns (N, n) add up to the target exactly, or None."""
    design = np.column_stack([table, np.ones(len(table))])
    solution = np.linalg.lstsq(design, target.astype(float), rcond=None)[0]
    weights, constant = np.rint(solution[:-1]).astype(np.int64), round(float(solution[-1]))
    return (weights, constant) if (table @ weights + constant == target).all() else None


def functions_of_sums(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield one-variable functions of sums with small factors, of which the target is a function."""
    count = 0
    for weights, sums in deciding_sums(table, target):
        order = np.argsort(sums, kind="stable")
        values, first, repeats = np.unique(sums[order], return_index=True, return_counts=True)
        result = function_of(values, target[order][first], repeats, weighted(weights, names))
        if result is not None:
            yield result
            count += 1
            if count >= 5:
                return


def combinations(size: int, most: int = MOST_COMBINATIONS) -> np.ndarray:
    """Return factors (C, n) of sums of n columns, the smallest first, up to their sign."""
    if not size:
        return np.zeros((0, 0), int)
    largest = 7 if size <= 2 else 3 if size == 3 else 2 if size <= 5 else 1
    chosen: list[tuple[int, ...]] = []
    for support in range(1, min(size, 7) + 1):
        for places in itertools.combinations(range(size), support):
            limit = largest if support <= 3 else min(largest, 2) if support == 4 else 1
            for factors in itertools.product(range(-limit, limit + 1), repeat=support):
                if factors[0] > 0 and all(factors) and np.gcd.reduce(factors) == 1:
                    vector = [0] * size
                    for place, factor in zip(places, factors, strict=True):
                        vector[place] = factor
                    chosen.append(tuple(vector))
        if len(chosen) > 4 * most:
            break
    chosen.sort(key=lambda v: (sum(map(abs, v)) + sum(value < 0 for value in v) / 2, tuple(-x for x in v)))
    return np.array(chosen[:most])


def deciding_sums(table: np.ndarray, target: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield factors (n,) and sums (N,) that decide the target, the smallest factors first."""
    factors = combinations(table.shape[1])
    if not len(factors):
        return
    few = slice(0, 300)
    sums = table[few] @ factors.T
    order = np.argsort(sums, axis=0, kind="stable")
    ranked, targets = np.take_along_axis(sums, order, 0), target[few][order]
    unequal = ((ranked[1:] == ranked[:-1]) & (targets[1:] != targets[:-1])).any(0)
    for weights in factors[~unequal]:
        total = table @ weights
        order = np.argsort(total, kind="stable")
        ranked, targets = total[order], target[order]
        if not ((ranked[1:] == ranked[:-1]) & (targets[1:] != targets[:-1])).any():
            yield weights, total


def functions_of_columns(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield a function of one column plus a sum of the others."""
    for k, name in enumerate(names):
        others = np.delete(np.arange(len(names)), k)
        values, places = np.unique(table[:, k], return_inverse=True)
        if 2 < len(values) <= FEW:
            indicators = (places[:, None] == np.arange(len(values))).astype(float)
            design = np.column_stack([table[:, others], indicators])
            solution = np.linalg.lstsq(design, target.astype(float), rcond=None)[0]
            weights = np.rint(solution[: len(others)]).astype(np.int64)
            rest = target - table[:, others] @ weights
            order = np.argsort(places, kind="stable")
            first = np.searchsorted(places[order], np.arange(len(values)))
            entries = rest[order][first]
            if (entries[places] == rest).all():
                inner = function_of(values, entries, np.bincount(places), Name(name))
                if inner is not None:
                    yield _plus(inner, weights, [names[o] for o in others])
    yield from _with_derived(table, target, names)


def _with_derived(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield sums of columns, their absolute values, and their quotients or remainders."""
    absolute = [k for k in range(len(names)) if table[:, k].min(initial=0) < 0]
    if absolute:
        fitted = integer_fit(np.column_stack([table, np.abs(table[:, absolute])]), target)
        if fitted is not None:
            weights, constant = fitted
            result = weighted(weights[: len(names)], names, constant)
            for k, weight in zip(absolute, weights[len(names) :], strict=True):
                result = _add(result, int(weight), operation("abs", Name(names[k])))
            yield result
    for k, name in enumerate(names):
        if len(np.unique(table[:, k])) <= FEW:
            continue
        for divisor in range(2, 21):
            for operator, values in (("//", table[:, k] // divisor), ("%", table[:, k] % divisor)):
                fitted = integer_fit(np.column_stack([table, values]), target)
                if fitted is not None and fitted[0][-1]:
                    result = weighted(fitted[0][:-1], names, fitted[1])
                    yield _add(result, int(fitted[0][-1]), operation(operator, Name(name), divisor))


def _plus(inner: Expression, weights: np.ndarray, names: Sequence[str]) -> Expression:
    if not weights.any():
        return inner
    return _add(weighted(weights, names), 1, inner)


def _add(total: Expression, weight: int, part: Expression) -> Expression:
    if not weight:
        return total
    scaled = part if abs(weight) == 1 else operation("*", abs(weight), part)
    if total == Number(0):
        return scaled if weight > 0 else operation("*", weight, part)
    return total + scaled if weight > 0 else total - scaled


def extremes(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield the larger or the smaller of two sums."""
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
                first, second = (weighted(factors[k], names, side * int(lowest[k])) for k in (i, j))
                yield operation(operator, *sorted((first, second), key=bits, reverse=True))
                break


def tables(table: np.ndarray, target: np.ndarray, names: Sequence[str]) -> Iterator[Expression]:
    """Yield a table of all columns, each of few values."""
    low, high = table.min(0, initial=0), table.max(0, initial=0)
    shape = high - low + 1
    if not len(names) or np.prod(shape.astype(float)) > 64:
        return
    places = np.ravel_multi_index(tuple((table - low).T), tuple(shape))
    entries = np.zeros(int(np.prod(shape)), np.int64)
    entries[places] = target
    if len(np.unique(places)) < len(entries):
        return
    strides = [int(np.prod(shape[k + 1 :])) for k in range(len(names))]
    index = weighted(strides, names, -int(low @ strides))
    yield Table(tuple(map(int, entries)), index)


STAGES = (
    affine,
    bit_formula,
    functions_of_sums,
    extremes,
    functions_of_columns,
    ranking,
    tables,
    choice,
)
