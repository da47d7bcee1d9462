"""Shorter integer expressions with the same value for all integers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from mechlab.distill.recurrent.expressions import (
    OPERATORS,
    Expression,
    Number,
    Operation,
    Table,
    bits,
    evaluate,
    names,
    number,
    operation,
)

OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
Affine = tuple[dict[Expression, int], int]  # coefficient of each term, and the constant


def simplify(expression: Expression) -> Expression:
    """Return an expression that is no longer and has the same value wherever the given one has a value.

    Sums are collected; multiples of a divisor leave a quotient and vanish from a remainder; constants of comparisons
    are moved to one side; operations on numbers are carried out. Nothing is assumed of the names' values.

    >>> from mechlab.distill.recurrent.expressions import Name
    >>> print(simplify((Name("x") + 7 - Name("x") + Name("s")) % 6))
    (s + 1) % 6
    """
    match expression:
        case Table(entries, index):
            inner = simplify(index)
            if len(set(entries)) == 1:
                return Number(entries[0])
            return _value(Table(entries, inner))
        case Operation(operator, operands):
            plain = _value(Operation(operator, tuple(map(simplify, operands))))
            if not isinstance(plain, Operation):
                return plain
            return min(map(_value, [plain, *_variants(plain)]), key=_length)
    return expression


def _length(expression: Expression) -> tuple[int, bool]:
    """Return the description length, and whether a number stands first where it need not."""
    return bits(expression), (
        isinstance(expression, Operation) and isinstance(expression.operands[0], Number) and expression.operator != "*"
    )


def affine(expression: Expression) -> Affine:
    """Return an expression as a sum of integer multiples of terms that are no sums themselves."""
    match expression:
        case Number(value):
            return {}, value
        case Operation("+" | "-" as operator, (left, right)):
            return combined(affine(left), affine(right), 1 if operator == "+" else -1)
        case Operation("*", (Number(factor), rest)) | Operation("*", (rest, Number(factor))):
            return combined(({}, 0), affine(rest), factor)
    return {expression: 1}, 0


def combined(left: Affine, right: Affine, factor: int) -> Affine:
    """Return left + factor * right."""
    terms = dict(left[0])
    for term, coefficient in right[0].items():
        terms[term] = terms.get(term, 0) + factor * coefficient
    return {term: value for term, value in terms.items() if value}, left[1] + factor * right[1]


def total(terms: Mapping[Expression, int], constant: int = 0) -> Expression:
    """Return the sum of multiples of terms and a constant, positive ones first."""
    parts = sorted(((value, term) for term, value in terms.items()), key=lambda part: part[0] < 0)
    result: Expression | None = None
    if constant > 0 and (not parts or parts[0][0] < 0):
        result, constant = Number(constant), 0
    for value, term in parts:
        part = term if abs(value) == 1 else abs(value) * term
        if value > 0:
            result = part if result is None else result + part
        else:
            result = number(0) - part if result is None else result - part
    if result is None:
        return Number(constant)
    return result + constant if constant > 0 else result - -constant if constant else result


def _value(expression: Expression) -> Expression:
    """Return the number that an expression without names is; others as they are."""
    if isinstance(expression, Number) or names(expression):
        return expression
    try:
        return Number(int(np.asarray(evaluate(expression, {}))))
    except IndexError:
        return expression


def _variants(expression: Operation) -> Iterator[Expression]:
    """Yield expressions of the same value."""
    operator, operands = expression.operator, expression.operands
    if operator in ("+", "-", "*"):
        yield total(*affine(expression))
    elif operator in ("%", "//"):
        divisor = operands[1].value  # type: ignore[attr-defined]
        yield from (_remainder if operator == "%" else _quotient)(affine(operands[0]), divisor)
    elif operator in OPPOSITE:
        yield from _comparisons(operator, combined(affine(operands[0]), affine(operands[1]), -1))
    elif operator in ("min", "max", "and", "or") and operands[0] == operands[1]:
        yield operands[0]
    elif operator == "xor" and operands[0] == operands[1]:
        yield Number(0)
    elif operator in ("and", "or") and isinstance(operands[0], Number):
        yield operands[1] if (operands[0].value != 0) == (operator == "and") else operands[0]
    elif operator == "not" and isinstance(operands[0], Operation):
        inner = operands[0]
        if inner.operator in OPPOSITE:
            yield Operation(OPPOSITE[inner.operator], inner.operands)
        elif inner.operator == "not" and isinstance(inner.operands[0], Operation) and _truth(inner.operands[0]):
            yield inner.operands[0]
    elif operator == "if" and isinstance(operands[0], Number):
        yield operands[1] if operands[0].value else operands[2]
    elif operator == "if" and operands[1] == operands[2]:
        yield operands[1]
    elif operator == "abs" and isinstance(operands[0], Operation):
        terms, constant = affine(operands[0])
        yield operation("abs", total({term: -value for term, value in terms.items()}, -constant))


def _truth(expression: Operation) -> bool:
    return bool(OPERATORS[expression.operator].bits)


def _remainder(inside: Affine, divisor: int) -> Iterator[Expression]:
    terms, constant = {}, inside[1]
    opened: Affine = ({}, constant)
    for term, value in inside[0].items():
        nested = isinstance(term, Operation) and term.operator == "%" and term.operands[1].value % divisor == 0  # type: ignore[attr-defined]
        opened = combined(opened, affine(term.operands[0]) if nested else ({term: 1}, 0), value)  # type: ignore[attr-defined]
    for term, value in opened[0].items():
        small = value % divisor
        terms[term] = min(small, small - divisor, key=lambda each: (abs(each), each < 0))
    terms = {term: value for term, value in terms.items() if value}
    for constant in (opened[1] % divisor, opened[1] % divisor - divisor):
        yield operation("%", total(terms, constant), divisor) if terms else Number(constant % divisor)


def _quotient(inside: Affine, divisor: int) -> Iterator[Expression]:
    whole = {term: value // divisor for term, value in inside[0].items() if value % divisor == 0}
    rest = {term: value for term, value in inside[0].items() if value % divisor}
    constant, left = divmod(inside[1], divisor)
    outside = total(whole, constant)
    if not rest:
        yield outside
        return
    inner = operation("//", total(rest, left), divisor) if divisor > 1 else total(rest, left)
    yield inner if outside == Number(0) else total({**whole, inner: 1}, constant)


def _comparisons(operator: str, difference: Affine) -> Iterator[Expression]:
    """Yield forms of: difference, compared with 0."""
    terms, constant = difference
    if not terms:
        yield number(int(evaluate(operation(operator, constant, 0), {})))
        return
    if operator in ("<=", ">="):  # as < or >
        operator, constant = operator[0], constant + (-1 if operator == "<=" else 1)
    common = math.gcd(*terms.values())
    if operator in ("==", "!=") and constant % common:
        yield Number(int(operator == "!="))
        return
    # sum < -constant where sum / common < -(constant // common), and for > and == with the quotient rounded up
    constant = constant // common if operator == "<" else -(-constant // common)
    left = {term: value // common for term, value in terms.items() if value > 0}
    right = {term: -value // common for term, value in terms.items() if value < 0}
    for weak in (False, True):
        if weak and operator in ("==", "!="):
            return
        sign, moved = operator, constant
        if weak:
            sign, moved = operator + "=", constant + (1 if operator == "<" else -1)
        for first, second in (
            (total(left), total(right, -moved)),
            (total(left, moved), total(right)),
        ):
            yield operation(sign, first, second)
            yield operation(MIRRORED[sign], second, first)
