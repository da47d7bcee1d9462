"""Polynomials in one size N with rational coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Union

Number = Union[int, Fraction, "Polynomial"]


@dataclass(frozen=True)
class Polynomial:
    """sum_k coefficients[k] N^k; without trailing zeros, so that equal polynomials compare equal.

    Example:
        >>> square = Polynomial.of(1) + Polynomial((0, 0, 2))
        >>> square(3), str(square)
        (Fraction(19, 1), '2*N**2 + 1')
    """

    coefficients: tuple[Fraction, ...] = ()

    def __post_init__(self) -> None:
        values = [Fraction(value) for value in self.coefficients]
        while values and values[-1] == 0:
            values.pop()
        object.__setattr__(self, "coefficients", tuple(values))

    @classmethod
    def of(cls, value: Number) -> Polynomial:
        """Return a constant as a polynomial; a polynomial stays what it is."""
        return value if isinstance(value, Polynomial) else cls((Fraction(value),))

    @property
    def degree(self) -> int:
        """The degree; 0 for constants, 0 itself among them."""
        return max(len(self.coefficients) - 1, 0)

    @property
    def constant(self) -> Fraction:
        """The coefficient of N^0."""
        return self.coefficients[0] if self.coefficients else Fraction(0)

    def __call__(self, size: int | None = None) -> Fraction:
        """Return the value at a size, which constants do not need."""
        if size is None:
            if self.degree:
                raise ValueError(f"{self} has no value without a size")
            return self.constant
        return sum((value * size**power for power, value in enumerate(self.coefficients)), Fraction(0))

    def __bool__(self) -> bool:
        return bool(self.coefficients)

    def __add__(self, other: Number) -> Polynomial:
        a, b = self.coefficients, Polynomial.of(other).coefficients
        length = max(len(a), len(b))
        return Polynomial(tuple(x + y for x, y in zip(_padded(a, length), _padded(b, length), strict=True)))

    def __neg__(self) -> Polynomial:
        return Polynomial(tuple(-value for value in self.coefficients))

    def __sub__(self, other: Number) -> Polynomial:
        return self + -Polynomial.of(other)

    def __mul__(self, other: Number) -> Polynomial:
        a, b = self.coefficients, Polynomial.of(other).coefficients
        product = [Fraction(0)] * max(len(a) + len(b) - 1, 0)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                product[i + j] += x * y
        return Polynomial(tuple(product))

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        """Return Python text in N, such as "N - N**2" or "3/2"; positive terms first."""
        descending = [(value, power) for power, value in reversed(list(enumerate(self.coefficients))) if value]
        text = "".join(
            f" {'-' if value < 0 else '+'} {_term(abs(value), power)}"
            for value, power in sorted(descending, key=lambda pair: pair[0] < 0)
        )
        return f"-{text[3:]}" if text.startswith(" -") else text[3:] or "0"


def _padded(values: Sequence[Fraction], length: int) -> list[Fraction]:
    return [*values, *[Fraction(0)] * (length - len(values))]


def _term(value: Fraction, power: int) -> str:
    symbol = {0: "", 1: "N"}.get(power, f"N**{power}")
    number = "" if value == 1 and symbol else str(value)
    return "*".join(part for part in (number, symbol) if part)
