"""Polynomials of lowest degree through values, or intervals, at several sizes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from mechlab.distill.polynomial import Polynomial

DENOMINATORS = (1, 2, 3, 4)
MOST_TRIED = 200

Interval = tuple[Fraction, Fraction]


def interpolate(values: Mapping[int, Fraction | int]) -> Polynomial:
    """Return the polynomial of lowest degree with values[N] at each size N, by Newton's divided differences.

    Its degree is less than the number of sizes; only where it is less by two or more does a size confirm it.
    """
    sizes = sorted(values)
    column = [Fraction(values[size]) for size in sizes]
    result, product = Polynomial(), Polynomial.of(1)
    for k in range(len(sizes)):
        result = result + product * column[0]
        product = product * Polynomial((Fraction(-sizes[k]), Fraction(1)))
        column = [(b - a) / (sizes[m + k + 1] - sizes[m]) for m, (a, b) in enumerate(itertools.pairwise(column))]
    return result


def within(values: Mapping[int, Fraction], intervals: Mapping[int, Interval | None]) -> Polynomial | None:
    """Return a polynomial of lowest degree that is inside the open interval of each size, or equals the value at sizes
    without one.

    Of the same degree, it is the one through the values if there is one, else one with the smallest denominators (1 to
    4), then the smallest coefficients, the highest power first.

    Args:
        values: at each size; inside the interval there.
        intervals: open; None where only the value will do.
    """
    through = interpolate(values)
    for degree in range(through.degree):
        for polynomial in _inside(degree, values, {size: intervals.get(size) for size in values}):
            return polynomial
    return through


def _inside(
    degree: int, values: Mapping[int, Fraction], intervals: Mapping[int, Interval | None]
) -> Iterator[Polynomial]:
    """Yield polynomials of the degree, or less, inside the intervals."""
    low = {size: values[size] if part is None else part[0] for size, part in intervals.items()}
    high = {size: values[size] if part is None else part[1] for size, part in intervals.items()}
    if degree == 0:
        for constant in _simple(max(low.values()), min(high.values())):
            if all(_holds(constant, values[size], intervals[size]) for size in values):
                yield Polynomial.of(constant)
                return
        return
    sizes = sorted(values)
    powers = np.vander(sizes, degree + 1).astype(float)
    table = np.concatenate([powers, -powers])
    bounds = np.array([float(high[size]) for size in sizes] + [-float(low[size]) for size in sizes])
    ends = []
    for sign in (1, -1):
        objective = np.zeros(degree + 1)
        objective[0] = sign
        solution = linprog(objective, table, bounds + 1e-9, bounds=(None, None))
        if solution.x is None:
            return
        ends.append(Fraction(solution.x[0]).limit_denominator(10**6))
    for leading in _simple(ends[0] - Fraction(1, 10**6), ends[1] + Fraction(1, 10**6)):
        top = Polynomial((*[Fraction(0)] * degree, leading))
        rest = {size: values[size] - top(size) for size in values}
        moved = {
            size: None if part is None else (part[0] - top(size), part[1] - top(size))
            for size, part in intervals.items()
        }
        for lower in _inside(degree - 1, rest, moved):
            yield lower + top
            return


def _holds(value: Fraction, exact: Fraction, interval: Interval | None) -> bool:
    return value == exact if interval is None else interval[0] < value < interval[1]


def _simple(low: Fraction, high: Fraction) -> Iterator[Fraction]:
    """Yield fractions in the closed interval by denominator, those closest to 0 first."""
    for denominator in DENOMINATORS:
        first, last = math.ceil(low * denominator), math.floor(high * denominator)
        if last - first < MOST_TRIED:
            for numerator in sorted(range(first, last + 1), key=abs):
                if math.gcd(numerator, denominator) == 1:
                    yield Fraction(numerator, denominator)
