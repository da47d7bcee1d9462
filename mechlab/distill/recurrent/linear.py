"""Linear sequence rules: Markov parameters by least squares, and a minimal realization with small integers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

LARGEST = 10**6  # entry of Markov parameters and of a realization
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
    if np.abs(constants).max(initial=0) > LARGEST:
        return None
    return np.concatenate([weights, constants[..., None]], 2)


def realization(markov: np.ndarray) -> Realization | None:
    """Return a minimal integer realization of Markov parameters (T, k, m), in a basis with a short text.

    The states are a basis of the integer sums of shifted answers, the rows of the Hankel matrix (Ho and Kalman 1966).
    By Fatou's lemma the recurrence of an integer answer has integer factors, so that a shift leads to such sums again.
    A basis change by elementary integer steps then shortens it.

    Returns:
        None if the parameters do not determine a realization, since its order would be over half of T, or if it has an
        entry beyond 10^6.
    """
    length, outputs, channels = markov.shape
    if not markov.any():
        return Realization(*(np.zeros(shape, np.int64) for shape in ((0, 0), (0, channels), (outputs, 0))))
    for depth in range(1, length // 2 + 1):
        result = _states(markov, depth)
        if result is not None and _answers(result, length) == markov.tolist():
            return shorter_basis(result)
    return None


def shorter_basis(system: Realization) -> Realization:
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
    """Return the realization whose states are a basis of the integer sums of `depth` shifted answers of each output."""
    length, outputs, channels = markov.shape
    width = (length - depth) * channels
    rows = [
        markov[i : length - depth + i + 1, j].reshape(-1).tolist() for i, j in np.ndindex(depth, outputs)
    ]  # with one more step than is compared, so that they can be shifted
    basis = _echelon(rows)
    here, shifted = [row[:width] for row in basis], [row[channels:] for row in basis]
    transition = [_coordinates(here, row) for row in shifted]
    readout = [_coordinates(here, row[:width]) for row in rows[:outputs]]
    if any(row is None for row in [*transition, *readout]) or any(not any(row) for row in here):
        return None
    entry = [row[:channels] for row in basis]
    if any(abs(value) > LARGEST for row in (*transition, *entry, *readout) for value in row or ()):
        return None
    size = len(basis)
    return Realization(
        np.array(transition, np.int64).reshape(size, size),
        np.array(entry, np.int64).reshape(size, channels),
        np.array(readout, np.int64).reshape(outputs, size),
    )


def _echelon(rows: list[list[int]]) -> list[list[int]]:
    """Return a basis of all integer sums of rows: each one's first entry that is not 0 is to the right of the one's
    before it."""
    left, basis = [list(row) for row in rows], []
    for column in range(len(rows[0])):
        while len(active := [row for row in left if row[column]]) > 1:
            least = min(active, key=lambda row: abs(row[column]))
            for row in active:
                if row is not least:
                    factor = row[column] // least[column]
                    row[:] = [a - factor * b for a, b in zip(row, least, strict=True)]
        if active:
            basis.append(active[0])
            left = [row for row in left if row is not active[0]]
    return basis


def _coordinates(basis: list[list[int]], vector: list[int]) -> list[int] | None:
    """Return the integer coordinates of a vector in a basis in echelon form, or None if it has none."""
    rest, coordinates = vector, []
    for row in basis:
        pivot = next((k for k, value in enumerate(row) if value), None)
        if pivot is None:
            return None
        factor, remainder = divmod(rest[pivot], row[pivot])
        if remainder:
            return None
        rest = [a - factor * b for a, b in zip(rest, row, strict=True)]
        coordinates.append(factor)
    return None if any(rest) else coordinates


def _answers(system: Realization, length: int) -> list:
    """Return the Markov parameters C A^s B of a realization, as Python integers."""
    state = system.entry.astype(object)
    result = []
    for _ in range(length):
        result.append((system.readout.astype(object) @ state).tolist())
        state = system.transition.astype(object) @ state
    return result
