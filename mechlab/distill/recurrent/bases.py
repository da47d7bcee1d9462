"""Bases of a lattice of registers in which updates are simple: unimodular changes of integer codes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from mechlab.distill.recurrent.expressions import bits
from mechlab.distill.recurrent.regression import explain
from mechlab.distill.recurrent.sums import combinations

MOST_CANDIDATES = 120
MOST_SEQUENCES = 120


def lattice_bases(values: np.ndarray, inputs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield unimodular matrices U (m, m): the registers U z of codes z may have short updates.

    The first makes the changes from step to step few and small. The second consists, where they exist, of registers
    whose update needs no other register, or only those before them.

    Args:
        values: (B, T, m) integers z.
        inputs: (B, T, c) letters.
    """
    first = small_steps(values)
    yield first
    second = separate_registers(values[:MOST_SEQUENCES] @ first.T, inputs[:MOST_SEQUENCES])
    if second is not None and not np.array_equal(second, np.eye(len(first), dtype=int)):
        yield second @ first


def small_steps(values: np.ndarray) -> np.ndarray:
    """Return a unimodular matrix U (m, m) with few and small changes of the registers U z from step to step."""
    steps = np.diff(values[:300], axis=1).reshape(-1, values.shape[2])
    change = np.eye(values.shape[2], dtype=int)

    def cost(steps: np.ndarray) -> float:
        return float((np.abs(steps) + (steps != 0) + 0.1 * (steps < 0)).sum())

    improved = True
    while improved:
        improved = False
        for i, j in itertools.product(range(len(change)), repeat=2):
            for sign in (1, -1):
                step = np.eye(len(change), dtype=int)
                step[i, j] += sign if i != j else -2  # adds a row to another, or turns a sign
                if cost(steps @ step.T) < cost(steps) - 1e-9:
                    steps, change, improved = steps @ step.T, step @ change, True
    return change


def separate_registers(values: np.ndarray, inputs: np.ndarray) -> np.ndarray | None:
    """Return a unimodular matrix (m, m) whose first registers have updates of their own, or None if there is none."""
    count = values.shape[2]
    letters = [inputs[:, 1:, k].reshape(-1) for k in range(inputs.shape[2])]
    chosen: list[np.ndarray] = []
    factors = list(combinations(count, MOST_CANDIDATES))
    while len(chosen) < count:
        known = [(values @ weights)[:, :-1].reshape(-1) for weights in chosen]
        best: tuple[int, np.ndarray] | None = None
        for weights in factors:
            if not primitive([*chosen, weights]):
                continue
            register = values @ weights
            columns = [*known, register[:, :-1].reshape(-1), *letters]
            length = _update_bits(register[:, 1:].reshape(-1), columns)
            if length is not None and (best is None or length < best[0]):
                best = (length, weights)
        if best is None:
            break
        chosen.append(best[1])
    if not chosen:
        return None
    for weights in np.eye(count, dtype=int):
        if len(chosen) < count and primitive([*chosen, weights]):
            chosen.append(weights)
    return np.array(chosen) if len(chosen) == count else None


def primitive(rows: Sequence[np.ndarray]) -> bool:
    """Return whether integer rows (k, m) are part of a basis of all integer rows: their largest minors have no common
    factor."""
    table = np.array(rows)
    minors = (
        round(float(np.linalg.det(table[:, places])))
        for places in map(list, itertools.combinations(range(table.shape[1]), len(table)))
    )
    return math.gcd(*minors) == 1


def _update_bits(target: np.ndarray, columns: Sequence[np.ndarray]) -> int | None:
    """Return the description length of a register's update, or None if it has no short expression."""
    names = [f"c{k}" for k in range(len(columns))]
    update = explain(target, columns, names, stages=2)
    return None if update is None else bits(update)
