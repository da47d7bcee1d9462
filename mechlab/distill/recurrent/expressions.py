"""Exact integer expressions: their value on arrays and their description length.

They are written here, and not as sympy's, because sympy prints floor division as a floating-point quotient, and its
conditions are no integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

LIMIT = 2**63 - 1  # largest absolute value that int64 arithmetic is used for


class Expression:
    """A number, a name, an operation or a table; `+`, `-`, `*`, `//` and `%` of expressions and integers make new ones.

    Comparisons are written `operation("<", a, b)`, since `==` compares the expressions themselves.
    """

    def __add__(self, other: Expression | int) -> Expression:
        return operation("+", self, other)

    def __radd__(self, other: int) -> Expression:
        return operation("+", other, self)

    def __sub__(self, other: Expression | int) -> Expression:
        return operation("-", self, other)

    def __rsub__(self, other: int) -> Expression:
        return operation("-", other, self)

    def __mul__(self, other: Expression | int) -> Expression:
        return operation("*", self, other)

    def __rmul__(self, other: int) -> Expression:
        return operation("*", other, self)

    def __floordiv__(self, other: int) -> Expression:
        return operation("//", self, other)

    def __mod__(self, other: int) -> Expression:
        return operation("%", self, other)

    def __str__(self) -> str:
        from mechlab.distill.recurrent.expression_text import text

        return text(self)


@dataclass(frozen=True, repr=False)
class Number(Expression):
    """An integer of any size."""

    value: int


@dataclass(frozen=True, repr=False)
class Name(Expression):
    """A register or a channel of the letter that is read."""

    name: str


@dataclass(frozen=True, repr=False)
class Operation(Expression):
    """An operator of `OPERATORS` with its operands.

    Raises:
        ValueError: unknown operator, wrong number of operands, or a divisor that is no positive number.
    """

    operator: str
    operands: tuple[Expression, ...]

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS or len(self.operands) != OPERATORS[self.operator].operands:
            raise ValueError(f"operator {self.operator!r} with {len(self.operands)} operands")
        if self.operator in ("//", "%"):
            divisor = self.operands[1]
            if not isinstance(divisor, Number) or divisor.value < 1:
                raise ValueError("a divisor must be a positive number")


@dataclass(frozen=True, repr=False)
class Table(Expression):
    """values[index]; as in Python a negative index counts from the end, and any other outside is an IndexError."""

    values: tuple[int, ...]
    index: Expression


class Operator(NamedTuple):
    """An operator on integers.

    Args:
        operands: their number.
        values: maps arrays to the array of results.
        bound: maps the operands' largest absolute values to a bound of the result's.
        precedence: of its Python text; larger binds tighter. 10 for a call.
        pattern: its Python text; None for "a operator b".
        bits: True if the results are truth values (True or False in Python); None if they are where operands are.
    """

    operands: int
    values: Callable[..., np.ndarray]
    bound: Callable[..., int]
    precedence: int
    pattern: str | None = None
    bits: bool | None = False


def _total(a: int, b: int) -> int:
    return a + b


def _bit(*bounds: int) -> int:
    return 1


def _choice(condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(condition != 0, a, b)


OPERATORS = {
    "+": Operator(2, np.add, _total, 6),
    "-": Operator(2, np.subtract, _total, 6),
    "*": Operator(2, np.multiply, lambda a, b: a * b, 7),
    "//": Operator(2, np.floor_divide, lambda a, b: a, 7),
    "%": Operator(2, np.remainder, lambda a, b: b, 7),
    "min": Operator(2, np.minimum, max, 10, "min({}, {})", None),
    "max": Operator(2, np.maximum, max, 10, "max({}, {})", None),
    "abs": Operator(1, np.abs, lambda a: a, 10, "abs({})"),
    "==": Operator(2, np.equal, _bit, 4, None, True),
    "!=": Operator(2, np.not_equal, _bit, 4, None, True),
    "<": Operator(2, np.less, _bit, 4, None, True),
    "<=": Operator(2, np.less_equal, _bit, 4, None, True),
    ">": Operator(2, np.greater, _bit, 4, None, True),
    ">=": Operator(2, np.greater_equal, _bit, 4, None, True),
    "and": Operator(2, lambda a, b: np.where(a != 0, b, a), max, 2, None, None),
    "or": Operator(2, lambda a, b: np.where(a != 0, a, b), max, 1, None, None),
    "xor": Operator(2, np.bitwise_xor, lambda a, b: 2 * max(a, b) + 1, 5, "{} ^ {}", None),
    "not": Operator(1, lambda a: a == 0, _bit, 3, "not {}", True),
    "if": Operator(3, _choice, lambda c, a, b: max(a, b), 0, "{1} if {0} else {2}", None),
}


def number(value: Expression | int) -> Expression:
    """Return an integer as an expression, and an expression as it is."""
    return value if isinstance(value, Expression) else Number(int(value))


def operation(operator: str, *operands: Expression | int) -> Expression:
    """Return an operator applied to expressions or integers, such as operation("max", Name("m"), Name("x"))."""
    return Operation(operator, tuple(map(number, operands)))


def evaluate(expression: Expression, values: Mapping[str, Any]) -> np.ndarray:
    """Return the exact value of an expression.

    Args:
        values: integers or integer arrays of one shape for each name.

    Returns:
        An array of that shape: int64, or Python integers where a result may not fit.

    Raises:
        IndexError: an index is outside its table.
    """
    arrays = {name: integers(value) for name, value in values.items() if name in names(expression)}
    result = _evaluate(expression, arrays, {name: largest(value) for name, value in arrays.items()})[0]
    return np.broadcast_to(result, np.broadcast_shapes(*(np.shape(value) for value in values.values())))


def integers(values: Any) -> np.ndarray:
    """Return integers or truth values as an array of int64, or of Python integers where one does not fit."""
    array = np.asarray(values)
    if array.dtype != object:
        return array.astype(np.int64, copy=False)
    return array if largest(array) > LIMIT else array.astype(np.int64)


def largest(values: np.ndarray) -> int:
    """Return the largest absolute value of an integer array, exactly; 0 if it is empty."""
    return max(abs(int(values.max())), abs(int(values.min()))) if values.size else 0


def _evaluate(
    expression: Expression, arrays: Mapping[str, np.ndarray], bounds: Mapping[str, int]
) -> tuple[np.ndarray, int]:
    """Return values, and a bound of their absolute values."""
    match expression:
        case Number(value):
            return np.array(value, np.int64 if abs(value) <= LIMIT else object), abs(value)
        case Name(name):
            return arrays[name], bounds[name]
        case Table(entries, index):
            place = _evaluate(index, arrays, bounds)[0]
            bound = max(map(abs, entries), default=0)
            if largest(place) > LIMIT:
                raise IndexError("an index is outside its table")
            return np.take(np.array(entries, np.int64 if bound <= LIMIT else object), place.astype(np.int64)), bound
        case Operation(operator, operands):
            parts = [_evaluate(operand, arrays, bounds) for operand in operands]
            rule = OPERATORS[operator]
            bound = rule.bound(*(part[1] for part in parts))
            wide = bound > LIMIT or any(part[0].dtype == object for part in parts)
            result = rule.values(*(part[0].astype(object) if wide else part[0] for part in parts))
            if np.asarray(result).dtype == bool:
                return np.asarray(result).astype(np.int64), bound
            return np.asarray(result, object if wide else np.int64), bound
    raise TypeError(f"no expression: {expression!r}")


def names(expression: Expression) -> frozenset[str]:
    """Return the names in an expression."""
    match expression:
        case Name(name):
            return frozenset((name,))
        case Table(_, index):
            return names(index)
        case Operation(_, operands):
            return frozenset().union(*map(names, operands))
    return frozenset()


def substitute(expression: Expression, values: Mapping[str, Expression]) -> Expression:
    """Return an expression with expressions in place of names."""
    match expression:
        case Name(name):
            return values.get(name, expression)
        case Table(entries, index):
            return Table(entries, substitute(index, values))
        case Operation(operator, operands):
            return Operation(operator, tuple(substitute(operand, values) for operand in operands))
    return expression


def bits(expression: Expression) -> int:
    """Return the description length in bits: 5 for a name, 4 for an operator or table, 2 for each binary digit of a
    number and 1 more in a table, 3 more elsewhere."""
    match expression:
        case Number(value):
            return 3 + 2 * value.bit_length()
        case Name():
            return 5
        case Table(entries, index):
            return 4 + sum(1 + 2 * value.bit_length() for value in entries) + bits(index)
        case Operation(_, operands):
            return 4 + sum(map(bits, operands))
    raise TypeError(f"no expression: {expression!r}")
