"""Exact integer functions of a few integer columns: short expressions that equal a target on every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mechlab.distill.recurrent.choices import choice, extremes, ranking
from mechlab.distill.recurrent.expressions import Expression, Name, Table, bits, evaluate, operation
from mechlab.distill.recurrent.formulas import bit_formula
from mechlab.distill.recurrent.one_variable import function_of
from mechlab.distill.recurrent.sums import Rows, add_part, affine, deciding_sums, integer_fit, weighted

MOST_ROWS = 3000  # distinct rows that a fit looks at; the result is compared with all
FEW = 40  # values of a column of which any function is fitted


def explain(
    target: np.ndarray,
    columns: Sequence[np.ndarray],
    names: Sequence[str],
    bounded: Sequence[bool] | None = None,
    *,
    stages: int = 4,
) -> Expression | None:
    """Return a short expression that equals the target on every row.

    Tried are: sums with integer factors; one-variable functions (absolute value, floor division, remainder, comparison,
    short table) of such sums; a function of one column plus a sum of the others; the larger or smaller of two sums; the
    position of the largest column; Boolean formulas; and choices between sums by comparisons.

    Args:
        target: (N,) integers.
        columns: n arrays (N,) of integers.
        names: of the columns, in the expression.
        bounded: whether each column keeps to the values that it has here, so that a table of it is of use; by default
            all do.
        stages: how many kinds of expressions are tried, sums first and choices last.

    Returns:
        The shortest of those tried that do; None if there is none, or if equal rows have different targets.
    """
    parts = [np.asarray(column).astype(np.int64) for column in (*columns, target)]
    table = np.unique(np.stack(parts, 1), axis=0)
    if len(np.unique(table[:, :-1], axis=0)) < len(table):
        return None
    whole = Rows(table[:, :-1], table[:, -1], tuple(names), tuple(bounded or [True] * len(names)))
    some = whole.part(np.random.default_rng(0).permutation(len(table))[:MOST_ROWS])
    for kinds in STAGES[:stages]:
        equal = [expression for stage in kinds for expression in stage(some) if exact(expression, whole)]
        if equal:
            return min(equal, key=bits)
    return None


def exact(expression: Expression, rows: Rows) -> bool:
    """Return whether an expression equals the target on every row."""
    try:
        values = evaluate(expression, dict(zip(rows.names, rows.table.T, strict=True)))
    except IndexError:
        return False
    return bool((np.broadcast_to(values, rows.target.shape) == rows.target).all())


def functions_of_sums(rows: Rows) -> Iterator[Expression]:
    """Yield one-variable functions of sums with small factors, of which the target is a function."""
    count = 0
    for weights, sums in deciding_sums(rows.table, rows.target):
        order = np.argsort(sums, kind="stable")
        values, first, repeats = np.unique(sums[order], return_index=True, return_counts=True)
        bounded = all(rows.bounded[k] for k in np.flatnonzero(weights))
        results = rows.target[order][first]
        result = function_of(values, results, repeats if bounded else None, weighted(weights, rows.names))
        if result is not None:
            yield result
            count += 1
            if count >= 5:
                return


def functions_of_columns(rows: Rows) -> Iterator[Expression]:
    """Yield a function of one column plus a sum of the others."""
    table, target, names = rows.table, rows.target, rows.names
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
                repeats = np.bincount(places) if rows.bounded[k] else None
                inner = function_of(values, entries, repeats, Name(name))
                if inner is not None:
                    yield add_part(weighted(weights, [names[o] for o in others]), 1, inner)
    yield from _with_derived(rows)


def _with_derived(rows: Rows) -> Iterator[Expression]:
    """Yield sums of columns, their absolute values, and their quotients or remainders."""
    table, target, names = rows.table, rows.target, rows.names
    absolute = [k for k in range(len(names)) if table[:, k].min(initial=0) < 0]
    if absolute:
        fitted = integer_fit(np.column_stack([table, np.abs(table[:, absolute])]), target)
        if fitted is not None:
            weights, constant = fitted
            result = weighted(weights[: len(names)], names, constant)
            for k, weight in zip(absolute, weights[len(names) :], strict=True):
                result = add_part(result, int(weight), operation("abs", Name(names[k])))
            yield result
    for k, name in enumerate(names):
        if len(np.unique(table[:, k])) <= FEW:
            continue
        for divisor in range(2, 21):
            for operator, values in (("//", table[:, k] // divisor), ("%", table[:, k] % divisor)):
                fitted = integer_fit(np.column_stack([table, values]), target)
                if fitted is not None and fitted[0][-1]:
                    result = weighted(fitted[0][:-1], names, fitted[1])
                    yield add_part(result, int(fitted[0][-1]), operation(operator, Name(name), divisor))


def tables(rows: Rows) -> Iterator[Expression]:
    """Yield a table of all columns, each of few values."""
    table, target, names = rows.table, rows.target, rows.names
    low, high = table.min(0, initial=0), table.max(0, initial=0)
    shape = high - low + 1
    if not all(rows.bounded) or not len(names) or np.prod(shape.astype(float)) > 64:
        return
    places = np.ravel_multi_index(tuple((table - low).T), tuple(shape))
    entries = np.zeros(int(np.prod(shape)), np.int64)
    entries[places] = target
    if len(np.unique(places)) < len(entries):
        return
    strides = [int(np.prod(shape[k + 1 :])) for k in range(len(names))]
    index = weighted(strides, names, -int(low @ strides))
    yield Table(tuple(map(int, entries)), index)


STAGES = ((affine,), (bit_formula, functions_of_sums, extremes, functions_of_columns), (ranking, tables), (choice,))
