"""Threshold units sign(weights @ v + bias) over a finite set of inputs: their smallest integer weights, their bias with
the largest margin, and their Boolean formula."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from scipy.optimize import LinearConstraint, milp

Kind = Literal["bits", "signs", "ternary"]
VALUES: dict[str, tuple[int, ...]] = {"bits": (0, 1), "signs": (-1, 1), "ternary": (-1, 0, 1)}
MOST_INPUTS = 10  # 2^10 or 3^10 inputs are enumerated
OPTIONS = {
    "presolve": False
}  # of milp: the presolver of HiGHS 1.12 declares some of these problems infeasible, or crashes


@dataclass(frozen=True)
class Unit:
    """A threshold unit with integer weights.

    Args:
        weights: one for each input.
        bias: exact where the sum can be zero; otherwise in the middle of `equal_biases`.
        equal_biases: open interval of the biases that give the same signs; None where the sum can be zero.
    """

    weights: tuple[int, ...]
    bias: Fraction
    equal_biases: tuple[Fraction, Fraction] | None


def smallest(weights: Sequence[float], bias: float, kinds: Kind | Sequence[Kind], error: float = 1e-12) -> Unit | None:
    """Return the unit of least sum |weight| that has the same sign (-1, 0 or 1) on every input.

    Inputs that are interchangeable have equal weights in it, and of several such units it has the least weights of the
    most influential inputs (in the order of |Chow parameter|), so that it follows permutations of the inputs.

    Args:
        weights, bias: of the given unit; at most 10 weights that are not 0.
        kinds: values of the inputs: "bits" (0, 1), "signs" (-1, 1) or "ternary" (-1, 0, 1); one for all or one each.
        error: sums of at most this times (sum |weight| + |bias|) count as 0.

    Returns:
        The unit, or None if none exists: zeros that no linear function has, or over 10 inputs.
    """
    given = np.asarray(weights, float)
    every = _kinds(kinds, len(given))
    used = np.flatnonzero(given)
    if len(used) > MOST_INPUTS:
        return None
    points = _points(tuple(every[k] for k in used))
    sums = points @ given[used] + bias
    signs = np.where(np.abs(sums) <= error * (np.abs(given).sum() + abs(bias)), 0, np.sign(sums)).astype(np.int8)
    directions = np.sign(given[used]).astype(int)
    part = _smallest(signs.tobytes(), tuple(every[k] for k in used), tuple(directions))
    if part is None:
        return None
    full = np.zeros(len(given), int)
    full[used] = part.weights
    return Unit(tuple(map(int, full)), part.bias, part.equal_biases)


def canonical_bias(
    weights: Sequence[int], bias: float | Fraction, kinds: Kind | Sequence[Kind], error: float = 0.0
) -> tuple[Fraction, tuple[Fraction, Fraction] | None]:
    """Return the bias of largest margin among those with the same signs, and the open interval of those.

    Where a reachable sum of the weights is within `error` of -bias, the bias is exactly its negative, so that a sum of
    zero stays zero, and the interval is None.

    Args:
        weights: integers, of any number.
        bias: in the unit of the weights.
        kinds: values of the inputs, one for all or one each; each input is free to take any of them.
        error: of the bias and the sums.
    """
    threshold = -Fraction(bias)
    sums = reachable(weights, kinds)
    after = int(np.searchsorted(sums, float(threshold)))
    near = sums[max(after - 1, 0) : after + 1]
    closest = int(min(near, key=lambda value: abs(value - threshold)))
    if abs(closest - threshold) <= Fraction(error):
        return Fraction(-closest), None
    below = int(sums[after - 1]) if after else int(sums[0]) - 1
    above = int(sums[after]) if after < len(sums) else int(sums[-1]) + 1
    return -Fraction(below + above, 2), (Fraction(-above), Fraction(-below))


def reachable(weights: Sequence[int], kinds: Kind | Sequence[Kind]) -> np.ndarray:
    """Return all values of sum_k weights[k] v_k in rising order (int64), each v_k free to take any of its values."""
    weights = [int(weight) for weight in weights]
    every = _kinds(kinds, len(weights))
    lowest, bits = 0, 1  # bit m of `bits` is set if lowest + m is a sum
    for weight, kind in zip(weights, every, strict=True):
        steps = sorted(weight * value for value in VALUES[kind])
        lowest += steps[0]
        before, bits = bits, 0
        for step in steps:
            bits |= before << step - steps[0]
    size = bits.bit_length()
    flags = np.unpackbits(np.frombuffer(bits.to_bytes(size // 8 + 1, "little"), np.uint8), bitorder="little")
    return lowest + np.flatnonzero(flags)


def signs_of(weights: Sequence[float], bias: float | Fraction, kinds: Kind | Sequence[Kind]) -> np.ndarray:
    """Return the unit's signs (int8) on every input, the last input's values changing fastest."""
    sums = _points(_kinds(kinds, len(weights))) @ np.asarray(weights, float) + float(bias)
    return np.sign(sums).astype(np.int8)


def implicants(weights: Sequence[int], bias: Fraction, kind: Kind) -> list[tuple[int, ...]]:
    """Return the prime implicants of "the sum is positive": tuples of 1 (input is its larger value), -1 (its smaller
    one) and 0 (either).

    A threshold function is unate, so that its prime implicants are the smallest sets of inputs with which the sum is
    positive whatever the others are, and all of them together are its only irredundant sum of products.

    Args:
        weights, bias: of the unit, at most 10 weights that are not 0.
        kind: "bits" or "signs".
    """
    low, high = VALUES[kind][0], VALUES[kind][-1]
    least = sum((min(low * weight, high * weight) for weight in weights), Fraction(bias))
    used = sorted((k for k, weight in enumerate(weights) if weight), key=lambda k: -abs(weights[k]))
    if len(used) > MOST_INPUTS:
        raise ValueError(f"at most {MOST_INPUTS} inputs, got {len(used)}")
    chosen: list[frozenset[int]] = []
    for count in range(len(used) + 1):
        for subset in map(frozenset, itertools.combinations(used, count)):
            if any(smaller <= subset for smaller in chosen):
                continue
            if least + sum((high - low) * abs(weights[k]) for k in subset) > 0:
                chosen.append(subset)
    literal = [1 if weight > 0 else -1 for weight in weights]
    return [tuple(literal[k] if k in subset else 0 for k in range(len(weights))) for subset in chosen]


def boolean_formula(
    weights: Sequence[int], bias: Fraction, names: Sequence[str], kind: Kind = "bits", most_terms: int = 8
) -> str | None:
    """Return "the sum is positive" as a minimal sum of products, such as "a and b or not c".

    Returns:
        The formula; None where it would have more than `most_terms` products or 10 inputs, or where the sum can be 0 in
        a unit of signs, whose values are then not two.
    """
    if np.count_nonzero(weights) > MOST_INPUTS or not signs_of(weights, bias, kind).all():
        return None
    products = implicants(weights, bias, kind)
    if len(products) > most_terms:
        return None
    if not products:
        return "False"
    texts = [
        " and ".join(names[k] if literal > 0 else f"not {names[k]}" for k, literal in enumerate(product) if literal)
        for product in products
    ]
    return " or ".join(texts) or "True"


@functools.lru_cache(maxsize=4096)
def _smallest(table: bytes, kinds: tuple[Kind, ...], directions: tuple[int, ...]) -> Unit | None:
    """Return the smallest unit with these signs on every input; `directions` are the signs of its weights."""
    signs = np.frombuffer(table, np.int8)
    points = _points(kinds) * np.array(directions, int)  # rises with every input
    classes = _interchangeable(points, signs, kinds, directions)
    chosen = _least(points @ classes, signs, classes.sum(0))
    if chosen is None:
        return None
    weights = (classes @ chosen) * np.array(directions, int)
    sums = _points(kinds) @ weights
    positive, zero, negative = sums[signs > 0], sums[signs == 0], sums[signs < 0]
    if len(zero):
        exact = Fraction(-int(zero[0]))
        unit = Unit(tuple(map(int, weights)), exact, None)
    else:
        above = int(positive.min()) if len(positive) else int(sums.max()) + 1
        below = int(negative.max()) if len(negative) else int(sums.min()) - 1
        middle, equal = -Fraction(above + below, 2), (Fraction(-above), Fraction(-below))
        unit = Unit(tuple(map(int, weights)), middle, equal)
    return unit if np.array_equal(np.sign(sums + float(unit.bias)), signs) else None


def _interchangeable(
    points: np.ndarray, signs: np.ndarray, kinds: tuple[Kind, ...], directions: tuple[int, ...]
) -> np.ndarray:
    """Return the classes (n, C) of inputs whose exchange changes no sign, by falling influence; inputs without any
    influence are in no class."""
    count = len(kinds)
    shape = [len(VALUES[kind]) for kind in kinds]
    rising = signs.reshape(shape)
    for k, direction in enumerate(directions):
        rising = np.flip(rising, k) if direction < 0 else rising
    centred = points - points.mean(0)
    chow = np.rint(centred.T @ signs.astype(float) * 2 * 3**count).astype(object)
    classes: list[list[int]] = []
    for k in sorted(range(count), key=lambda k: (-chow[k], kinds[k])):
        if all(np.array_equal(rising.take(0, k), rising.take(m, k)) for m in range(1, shape[k])):
            continue
        for members in classes:
            m = members[0]
            if kinds[m] == kinds[k] and np.array_equal(rising, rising.swapaxes(k, m)):
                members.append(k)
                break
        else:
            classes.append([k])
    matrix = np.zeros((count, len(classes)), int)
    for c, members in enumerate(classes):
        matrix[members, c] = 1
    return matrix


def _least(points: np.ndarray, signs: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """Return positive integers (C,) of least sum weighted by `counts`, then least in lexicographic order, such that
    points @ weights + some bias has the given signs; None if there are none."""
    if not len(counts):
        return np.zeros(0, int)
    rows, first = np.unique(points, axis=0, return_index=True)
    signs = signs[first]
    table = np.column_stack([rows, np.ones(len(rows))])
    low = np.select([signs > 0, signs == 0], [0.5, 0.0], -np.inf)
    high = np.select([signs < 0, signs == 0], [-0.5, 0.0], np.inf)
    conditions = [LinearConstraint(table, low, high)]
    whole = np.array([1] * len(counts) + [0])
    bounds = (np.array([1.0] * len(counts) + [-np.inf]), np.inf)
    objectives = [np.append(counts, 0), *np.eye(len(counts) + 1)[: len(counts) - 1]]
    for objective in objectives:
        result = milp(objective, integrality=whole, bounds=bounds, constraints=conditions, options=OPTIONS)
        if result.x is None:
            return None
        best = round(float(objective @ result.x))
        conditions.append(LinearConstraint(objective[None], best, best))
    return np.rint(result.x[:-1]).astype(int)


@functools.lru_cache(maxsize=64)
def _points(kinds: tuple[Kind, ...]) -> np.ndarray:
    """Return every input (P, n), the last one changing fastest."""
    axes = [VALUES[kind] for kind in kinds]
    return np.array(list(itertools.product(*axes)), int).reshape(math.prod(map(len, axes)), len(kinds))


def _kinds(kinds: Kind | Sequence[Kind], count: int) -> tuple[Kind, ...]:
    return (kinds,) * count if isinstance(kinds, str) else tuple(kinds)
