"""Linear sequence rules: Markov parameters by least squares, and a minimal realization with small integers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

LARGEST = 10**6  # of a rounded Markov parameter
NEAR = 0.05  # of a Markov parameter to an integer


@dataclass(frozen=True)
class Realization:
    """An integer state space z_t = A z_{t-1} + B u_t, y_t = C z_t with z_0 = 0 and u_t = (x_t, 1).

    Args:
        transition: A (n, n).
        entry: B (n, c + 1), the last column for the constant 1.
        readout: C (k, n).
    """

    transition: np.ndarray
    entry: np.ndarray
    readout: np.ndarray


def markov_parameters(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
    """Return the integers M (T, k, c + 1) with y_t = sum_{s < t} M_s (x_{t-s}, 1), or None if there are none.

    They are fitted by least squares, rounded, and compared with every output.

    Args:
        inputs: (B, T, c) integers, B of more than T c + 1 random sequences.
        outputs: (B, T, k) integers.
    """
    count, length, channels = inputs.shape
    if count <= length * channels + 1:
        return None
    table = np.concatenate([inputs[:, ::-1].reshape(count, -1), np.ones((count, 1))], 1).astype(float)
    solution, _, rank, _ = np.linalg.lstsq(table, outputs[:, -1].astype(float), rcond=None)
    if rank < table.shape[1] or np.abs(solution).max() > LARGEST:
        return None
    weights = np.rint(solution[:-1])
    if np.abs(solution[:-1] - weights).max(initial=0) > NEAR:
        return None
    weights = weights.astype(np.int64).reshape(length, channels, -1).transpose(0, 2, 1)  # (T, k, c)
    rest = outputs.astype(np.int64).copy()
    for s in range(length):
        rest[:, s:] -= np.einsum("btc,kc->btk", inputs[:, : length - s].astype(np.int64), weights[s])
    if (rest != rest[:1]).any():
        return None
    constants = np.diff(rest[0], axis=0, prepend=0)  # (T, k): of the answer to an input that is always 1
    return np.concatenate([weights, constants[..., None]], 2)


def realization(markov: np.ndarray) -> Realization | None:
    """Return a minimal integer realization of Markov parameters (T, k, m), in the simplest basis found.

    The states are shifted answers: rows of the Hankel matrix that are linearly independent of those above them (Ho and
    Kalman 1966). By Fatou's lemma the recurrence of an integer answer is of integers; a basis change by elementary
    integer steps then shortens it.

    Returns:
        None if the parameters do not determine a realization: its order would be over half of T, or it has fractions.
    """
    length, outputs, channels = markov.shape
    if not markov.any():
        return Realization(*(np.zeros(shape, np.int64) for shape in ((0, 0), (0, channels), (outputs, 0))))
    for depth in range(1, length // 2 + 1):
        found = _states(markov, depth)
        if found is not None and _answers(found, length) == markov.tolist():
            return shortened(found)
    return None


def shortened(system: Realization) -> Realization:
    """Return the realization after elementary integer basis changes, greedily, as long as its text gets shorter."""
    best, least = system, _length(system)
    improved = True
    while improved:
        improved = False
        for step in _changes(len(system.transition)):
            inverse = np.rint(np.linalg.inv(step)).astype(np.int64)
            changed = Realization(step @ best.transition @ inverse, step @ best.entry, best.readout @ inverse)
            if _length(changed) < least:
                best, least, improved = changed, _length(changed), True
    return best


def _changes(size: int) -> list[np.ndarray]:
    """Return unimodular matrices: one row added to or subtracted from another, sign changes, and pairs of the first."""
    single = []
    for i, j in itertools.permutations(range(size), 2):
        for sign in (1, -1):
            step = np.eye(size, dtype=np.int64)
            step[i, j] = sign
            single.append(step)
    flips = [np.diag([-1 if i == j else 1 for j in range(size)]) for i in range(size)]
    pairs = [a @ b for a, b in itertools.product([*single, *flips], repeat=2)] if size <= 4 else []
    return [*single, *flips, *pairs]


def _length(system: Realization) -> int:
    """Return a length of the text: "v += x" is the shortest update, and a factor or a minus sign makes it longer."""
    parts = (system.transition, system.entry, system.readout)
    entries = sum(2 * np.count_nonzero(part) + (part < 0).sum() for part in parts)
    factors = sum(2 * np.abs(part[np.abs(part) > 1]).sum() for part in parts)
    rows = [np.column_stack([system.transition, system.entry]), system.readout]
    minus = sum(int(((part < 0).any(1) & ~(part > 0).any(1)).sum()) for part in rows)  # such as "-1 * x"
    return int(entries + factors) + 3 * minus - int((np.diag(system.transition) == 1).sum())


def _states(markov: np.ndarray, depth: int) -> Realization | None:
    """Return the realization whose states are the independent ones of `depth` shifted answers of each output."""
    length, outputs, _ = markov.shape
    width = length - depth
    rows = {(i, j): markov[i : i + width, j].reshape(-1) for i in range(depth + 1) for j in range(outputs)}
    chosen: list[tuple[int, int]] = []
    solver = _Span()
    for i, j in itertools.product(range(depth), range(outputs)):
        if solver.solve(rows[i, j]) is None:
            solver.add(rows[i, j])
            chosen.append((i, j))
    transition, readout = [], []
    for i, j in chosen:
        transition.append(solver.solve(rows[i + 1, j]))
    for j in range(outputs):
        readout.append(solver.solve(rows[0, j]))
    if any(row is None or any(value.denominator > 1 for value in row) for row in [*transition, *readout]):
        return None
    entry = [markov[i, j] for i, j in chosen]
    integers = [np.array([[int(value) for value in row] for row in rows], np.int64) for rows in (transition, readout)]
    return Realization(integers[0], np.array(entry, np.int64), integers[1].reshape(outputs, len(chosen)))


class _Span:
    """Exact coordinates of integer vectors in a growing basis."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, list[Fraction], list[Fraction]]] = []  # pivot, reduced vector, its coordinates

    def solve(self, vector: np.ndarray) -> list[Fraction] | None:
        """Return the coordinates of a vector, or None if it is outside the span."""
        rest, coordinates = self._reduced(vector)
        return None if any(rest) else [-value for value in coordinates]

    def add(self, vector: np.ndarray) -> None:
        """Add a vector outside the span to the basis."""
        rest, coordinates = self._reduced(vector)
        pivot = next(k for k, value in enumerate(rest) if value)
        self.rows = [(place, row, [*kept, Fraction(0)]) for place, row, kept in self.rows]
        self.rows.append((pivot, rest, [*coordinates, Fraction(1)]))

    def _reduced(self, vector: np.ndarray) -> tuple[list[Fraction], list[Fraction]]:
        """Return the vector less its part in the span, and the coordinates of what was added to it."""
        rest = [Fraction(int(value)) for value in vector]
        coordinates = [Fraction(0)] * len(self.rows)
        for pivot, row, kept in self.rows:
            factor = rest[pivot] / row[pivot]
            if factor:
                rest = [a - factor * b for a, b in zip(rest, row, strict=True)]
                coordinates = [a - factor * b for a, b in zip(coordinates, kept, strict=True)]
        return rest, coordinates


def _answers(system: Realization, length: int) -> list:
    """Return the Markov parameters C A^s B of a realization, as Python integers."""
    state = system.entry.astype(object)
    result = []
    for _ in range(length):
        result.append((system.readout.astype(object) @ state).tolist())
        state = system.transition.astype(object) @ state
    return result
