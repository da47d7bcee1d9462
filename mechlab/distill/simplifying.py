"""Which units of a layer are constants, copies of one earlier value, or equal to one another up to sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mechlab.distill.snapping import Snapped
from mechlab.distill.threshold_unit import VALUES


@dataclass(frozen=True)
class Affine:
    """Network units as factor * variable + constant, each (U,); a factor of 0 makes them constants."""

    variable: np.ndarray
    factor: np.ndarray
    constant: np.ndarray


@dataclass(frozen=True)
class Distinct:
    """Units that are neither constants nor copies, once each: their columns in the layer, `given` (1, -1 or 0: the sign
    that most network units have that are equal to it up to sign), and, for each unit of the layer, the number of the
    distinct unit (-1 for none) and its sign."""

    columns: np.ndarray
    given: np.ndarray
    number: np.ndarray
    sign: np.ndarray


def simplify(units: Snapped, kinds: Sequence[str]) -> tuple[Affine, Distinct]:
    """Return constants and copies, with factor 0 for all other units, and the distinct other units."""
    count = units.weights.shape[1]
    simple = Affine(np.zeros(count, int), np.zeros(count), np.zeros(count))
    number, sign = np.full(count, -1), np.ones(count, int)
    numbers: dict[tuple[bytes, Fraction], int] = {}
    columns: list[int] = []
    votes: list[int] = []
    for u, (column, bias) in enumerate(zip(units.weights.T, units.bias, strict=True)):
        used = np.flatnonzero(column)
        constant = _constant(column[used], bias, [kinds[k] for k in used])
        if constant is not None:
            simple.constant[u] = constant
        elif len(used) == 1 and kinds[used[0]] in VALUES and _line(column[used[0]], bias, kinds[used[0]]) is not None:
            simple.variable[u] = used[0]
            simple.factor[u], simple.constant[u] = _line(column[used[0]], bias, kinds[used[0]])
        else:
            sign[u] = np.sign(column[used[0]])
            key = ((column * sign[u]).tobytes(), bias * int(sign[u]))
            if key not in numbers:
                numbers[key] = len(columns)
                columns.append(u)
                votes.append(0)
            number[u] = numbers[key]
            votes[number[u]] += sign[u]
    given = np.sign(np.array(votes, int)) * sign[columns] if columns else np.zeros(0, int)
    return simple, Distinct(np.array(columns, int), given, number, sign)


def _constant(weights: np.ndarray, bias: Fraction, kinds: Sequence[str]) -> int | None:
    """Return the unit's value if it is the same for all inputs."""
    if not all(kind in VALUES for kind in kinds):
        return None
    low = sum(min(int(w) * v for v in VALUES[kind]) for w, kind in zip(weights, kinds, strict=True)) + bias
    high = sum(max(int(w) * v for v in VALUES[kind]) for w, kind in zip(weights, kinds, strict=True)) + bias
    if low > 0 or high < 0 or low == high:
        return (low > 0) - (high < 0)
    return None


def _line(weight: int, bias: Fraction, kind: str) -> tuple[float, float] | None:
    """Return the factor and the constant of the line through a unit's values for all values of its only input; None if
    they are on no line."""
    values = VALUES[kind]
    results = [float(np.sign(int(weight) * value + bias)) for value in values]
    factor = (results[-1] - results[0]) / (values[-1] - values[0])
    constant = results[0] - factor * values[0]
    if any(factor * v + constant != result for v, result in zip(values, results, strict=True)):
        return None
    return factor, constant
