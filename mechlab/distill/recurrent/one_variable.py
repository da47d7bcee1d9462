"""Functions of one integer variable as short expressions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from mechlab.distill.recurrent.expressions import Expression, Number, Operation, Table, bits, operation

LARGEST_DIVISOR = 24
LONGEST_TABLE = 40
LEAST_REPEATS = 2  # rows that each entry of a table must have been seen in


def function_of(
    values: np.ndarray, results: np.ndarray, repeats: np.ndarray | None, variable: Expression
) -> Expression | None:
    """Return a short expression with the given results at the given values of a variable.

    Args:
        values: (V,) distinct integers in rising order.
        results: (V,) integers.
        repeats: (V,) rows with each value; a table is only made if all have two or more, and none if this is None.
        variable: the expression that takes the values.
    """
    found = [
        expression
        for candidates in (_line, _absolute, _clipped, _quotient, _comparison)
        for expression in candidates(values, results, variable)
    ]
    if repeats is not None and repeats.min() >= LEAST_REPEATS:
        found += _table(values, results, variable)
    return min(found, key=bits) if found else None


def shifted(variable: Expression, constant: int) -> Expression:
    """Return variable + constant, without a sum where the constant is 0."""
    return variable + constant if constant > 0 else variable - -constant if constant < 0 else variable


def _scaled(factor: int, variable: Expression, constant: int) -> Expression:
    if factor == 0:
        return Number(constant)
    if factor == -1:
        return Number(constant) - variable
    return shifted(variable if factor == 1 else operation("*", factor, variable), constant)


def _line(values: np.ndarray, results: np.ndarray, variable: Expression) -> Iterator[Expression]:
    if len(values) == 1 or (results == results[0]).all():
        if (results == results[0]).all():
            yield Number(int(results[0]))
        return
    factor, rest = divmod(int(results[-1] - results[0]), int(values[-1] - values[0]))
    constant = int(results[0] - factor * values[0])
    if not rest and (results == factor * values + constant).all():
        yield _scaled(factor, variable, constant)


def _absolute(values: np.ndarray, results: np.ndarray, variable: Expression) -> Iterator[Expression]:
    if len(values) < 4:
        return
    for sign in (1, -1):
        turned = sign * results
        double = int(turned[-1] - values[-1]) - int(turned[0] + values[0])  # |v + c| + d: twice c
        shift = double // 2
        height = int(turned[-1] - values[-1]) - shift
        if double % 2 == 0 and (np.abs(values + shift) + height == turned).all():
            inner = operation("abs", shifted(variable, shift))
            yield shifted(inner, height) if sign > 0 else Number(-height) - inner


def _clipped(values: np.ndarray, results: np.ndarray, variable: Expression) -> Iterator[Expression]:
    if len(values) < 4:
        return
    for factor in (1, -1):
        line = factor * values
        for operator, function in (("max", np.maximum), ("min", np.minimum)):
            flat = int(results.min() if operator == "max" else results.max())
            gaps = results - line
            constant = int(gaps.min() if operator == "max" else gaps.max())
            if (results != flat).sum() >= 2 and (function(line + constant, flat) == results).all():
                yield operation(operator, _scaled(factor, variable, constant), flat)


def _quotient(values: np.ndarray, results: np.ndarray, variable: Expression) -> Iterator[Expression]:
    """Yield floor divisions and remainders of the variable times 1, 2 or 3, plus a constant."""
    if len(values) < 3:
        return
    low, high, span = int(results.min()), int(results.max()), int(values[-1] - values[0])
    divisors = range(2, min(LARGEST_DIVISOR, span) + 1)
    steps = np.diff(results)
    for factor in (1, -1):
        turned = factor * values
        for divisor, scale in itertools.product(divisors, (1, 2, 3)):
            base = 0 if low >= 0 and high < divisor else low
            if high - base >= divisor or ((scale * factor * np.diff(values[:20]) - steps[:19]) % divisor).any():
                continue
            constant = int(results[0] - base - scale * turned[0])
            if ((scale * turned + constant) % divisor + base == results).all():
                constant %= divisor
                least = constant - divisor if factor > 0 and divisor - constant < constant else constant
                yield shifted(operation("%", _scaled(factor * scale, variable, least), divisor), base)
        if high == low or (factor * steps < 0).any():
            continue
        for divisor in divisors:
            if abs((high - low) * divisor - span) >= divisor:
                continue
            shifts = np.arange(divisor)
            quotients = (turned[:, None] + shifts) // divisor
            for shift in np.flatnonzero((quotients - quotients[:1] == (results - results[0])[:, None]).all(0)):
                height = int(results[0] - quotients[0, shift])
                yield operation("//", _scaled(factor, variable, int(shift) + height * divisor), divisor)


def _comparison(values: np.ndarray, results: np.ndarray, variable: Expression) -> Iterator[Expression]:
    if not np.array_equal(np.unique(results), (0, 1)):
        return
    changes = np.flatnonzero(np.diff(results)) + 1
    if len(changes) == 1:
        place = int(changes[0])
        yield threshold(variable, int(values[place - 1]), int(values[place]), rising=bool(results[-1]))
    for level, operator in ((1, "=="), (0, "!=")):
        if (results == level).sum() == 1:
            yield compared(operator, variable, int(values[results == level][0]))
    if len(changes) == 2:
        inside = results[changes[0]]
        first, last = int(values[changes[0]]), int(values[changes[1] - 1])
        between = operation("and", operation(">=", variable, first), operation("<=", variable, last))
        yield between if inside else operation("not", between)


def threshold(variable: Expression, below: int, above: int, *, rising: bool) -> Expression:
    """Return a comparison that is 1 from `above` on and 0 up to `below`, or the reverse, with the simplest constant."""
    options = [(">", below), (">=", above)] if rising else [("<=", below), ("<", above)]
    if below < 0 < above:
        options.append((">" if rising else "<=", 0))
    return min((compared(operator, variable, edge) for operator, edge in options), key=bits)


def compared(operator: str, variable: Expression, constant: int) -> Expression:
    """Return the comparison of an expression with a constant; a - b is compared with 0 as a with b."""
    if constant == 0 and isinstance(variable, Operation) and variable.operator == "-":
        return operation(operator, *variable.operands)
    return operation(operator, variable, constant)


def _table(values: np.ndarray, results: np.ndarray, variable: Expression) -> Iterator[Expression]:
    low, high = int(values[0]), int(values[-1])
    if len(values) < 3 or high - low + 1 != len(values) or len(values) > LONGEST_TABLE:
        return
    yield Table(tuple(map(int, results)), shifted(variable, -low))
