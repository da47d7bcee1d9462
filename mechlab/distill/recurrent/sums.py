"""Tables of integer columns with a target, and sums of the columns with integer factors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.distill.recurrent.expressions import Expression, Name, Number, operation
from mechlab.distill.recurrent.simplifying import total

MOST_COMBINATIONS = 1500


@dataclass(frozen=True, eq=False)
class Rows:
    """What is to be explained: a target as a function of columns.

    Args:
        table: (N, n) int64, the columns.
        target: (N,) int64.
        names: of the columns.
        bounded: whether each column keeps to the values that it has here; a table is only made of such columns.
    """

    table: np.ndarray
    target: np.ndarray
    names: tuple[str, ...]
    bounded: tuple[bool, ...]

    def part(self, rows: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(self.table[rows], self.target[rows], self.names, self.bounded)


def weighted(weights: Sequence[int], names: Sequence[str], constant: int = 0) -> Expression:
    """Return the sum of names with integer factors and a constant; positive summands are first."""
    return total(
        {Name(name): int(weight) for weight, name in zip(weights, names, strict=True) if weight}, int(constant)
    )


def affine(rows: Rows) -> Iterator[Expression]:
    """Yield the target as a sum with integer factors, with as few columns as possible."""
    table, target = rows.table, rows.target
    fitted = integer_fit(table, target)
    if fitted is None:
        return
    weights, constant = fitted
    kept = list(np.flatnonzero(weights))
    for column in sorted(kept, key=lambda k: abs(weights[k])):
        fewer = [k for k in kept if k != column]
        if (refitted := integer_fit(table[:, fewer], target)) is not None:
            kept = fewer
            weights = np.zeros(len(rows.names), int)
            weights[kept], constant = refitted
    yield weighted(weights, rows.names, constant)


def integer_fit(table: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Return integer factors (n,) and a constant with which columns (N, n) add up to the target exactly, or None."""
    design = np.column_stack([np.ones(len(table)), table]).astype(float)
    used = independent(design)
    solution = np.zeros(design.shape[1])
    solution[used] = np.linalg.lstsq(design[:, used], target.astype(float), rcond=None)[0]
    weights, constant = np.rint(solution[1:]).astype(np.int64), round(float(solution[0]))
    return (weights, constant) if (table @ weights + constant == target).all() else None


def independent(design: np.ndarray) -> list[int]:
    """Return the columns of a matrix (N, n) that are linearly independent of those before them."""
    scaled = design / np.maximum(np.linalg.norm(design, axis=0), 1e-300)
    diagonal = np.zeros(design.shape[1])
    triangle = np.linalg.qr(scaled, mode="r")
    diagonal[: len(triangle)] = np.abs(np.diag(triangle))
    return [int(k) for k in np.flatnonzero(diagonal > 1e-7)]


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
    early = table[few] @ factors.T
    order = np.argsort(early, axis=0, kind="stable")
    ranked, targets = np.take_along_axis(early, order, 0), target[few][order]
    unequal = ((ranked[1:] == ranked[:-1]) & (targets[1:] != targets[:-1])).any(0)
    for weights in factors[~unequal]:
        sums = table @ weights
        order = np.argsort(sums, kind="stable")
        ranked, targets = sums[order], target[order]
        if not ((ranked[1:] == ranked[:-1]) & (targets[1:] != targets[:-1])).any():
            yield weights, sums


def add_part(start: Expression, weight: int, part: Expression) -> Expression:
    """Return start + weight * part."""
    if not weight:
        return start
    scaled = part if abs(weight) == 1 else operation("*", abs(weight), part)
    if start == Number(0):
        return scaled if weight > 0 else operation("*", weight, part)
    return start + scaled if weight > 0 else start - scaled
