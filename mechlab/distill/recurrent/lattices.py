"""Integer codes of hidden states: h = k A + b with integers k, recovered from noisy states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

RATIO = 3 / 4  # of LLL: the least decrease of lengths between successive directions
NEIGHBOURS = 12  # of a point, to which differences are taken
MOST_POINTS = 150  # of which all differences are taken
MOST_STEPS = 60  # differences that are added to a basis
CHANCE = 40  # smallest distances that are left out, as two states may be close by chance
ENOUGH = 8.0  # least ratio of the shortest distance between two states of a code to the longest within one state


@dataclass(frozen=True)
class Code:
    """An affine code h = k @ generators + offset of states, up to noise.

    Args:
        generators: (m, H), linearly independent.
        offset: (H,).
        integers: (N, m) int64, the code of each state.
        error: largest distance of a state from its code's point, over the shortest generator.
    """

    generators: np.ndarray
    offset: np.ndarray
    integers: np.ndarray
    error: float

    def read(self, states: np.ndarray) -> np.ndarray:
        """Return the integers (..., m) of states (..., H)."""
        return np.rint((states - self.offset) @ np.linalg.pinv(self.generators)).astype(np.int64)


def lattice_code(states: np.ndarray, *, most: int = 6, error: float = 0.2) -> Code | None:
    """Return the coarsest integer lattice on which noisy states lie, in a reduced basis.

    The noise is estimated from states that coincide but for it. Differences of states are reduced by LLL, with vectors
    shorter than the noise dropped (as in Pohst's modified LLL, for generators that are linearly dependent); the
    generators are then fitted to all states.

    Args:
        states: (N, H) float64, 1,000 or more, so that some differences are short.
        most: largest number of generators.
        error: largest distance of a state from the lattice, in units of the shortest generator.

    Returns:
        The code; its integers are 0 at the first state. None if the states span more than `most` dimensions, do not
        vary, or lie on no lattice.

    Source: Michaud et al. 2024 (arXiv 2402.05110), the integer autoencoder.
    """
    points, noise = distinct(states)
    if len(points) < 2:
        return None
    centre = points.mean(0)
    spread, axes = np.linalg.svd(points - centre, full_matrices=False)[1:]
    spread = spread / np.sqrt(len(points))
    size = int((spread > max(4 * noise, 1e-9 * spread[0])).sum())
    if not 0 < size <= most:
        return None
    flat = (points - centre) @ axes[:size].T
    basis = _generators(_differences(flat), noise)
    return _fit(states, states[0], basis @ axes[:size], error) if basis is not None and len(basis) == size else None


def distinct(states: np.ndarray, most: int = 3000) -> tuple[np.ndarray, float]:
    """Return the centres of states (N, H) that coincide but for noise, and the noise: the largest distance of a state
    from its centre, 1e-3 of the usual distance between states where none coincide.

    Only the first `most` states are used.
    """
    states = np.asarray(states, float)[:most]
    scale = float(np.abs(states - states.mean(0)).max()) or 1.0
    nearest = cKDTree(states).query(states, k=2)[0][:, 1]
    part = states[:500]
    rows, columns = np.triu_indices(len(part), 1)
    lengths = np.concatenate([nearest, np.linalg.norm(part[rows] - part[columns], axis=1)])
    positive = np.sort(np.maximum(lengths, 1e-9 * scale))[CHANCE:]
    if len(positive) < 2:
        return states, 1e-3 * float(np.median(nearest))
    # The widest gap between successive distances parts those within a state from those between states.
    low, high = positive[:-1], positive[1:]
    widest = int(np.argmax(np.where(low < 0.2 * scale, high / low, 0)))
    if high[widest] < ENOUGH * low[widest]:
        return states, 1e-3 * float(np.median(nearest))
    radius = float(np.sqrt(low[widest] * high[widest]))
    labels = np.full(len(states), -1)
    centres: list[np.ndarray] = []
    while (rest := np.flatnonzero(labels < 0)).size:
        near = rest[np.linalg.norm(states[rest] - states[rest[0]], axis=1) < radius]
        labels[near] = len(centres)
        centres.append(states[near].mean(0))
    points = np.array(centres)
    return points, max(float(np.linalg.norm(states - points[labels], axis=1).max()), 1e-9 * scale)


def _differences(points: np.ndarray) -> np.ndarray:
    """Return differences (D, H) between points (P, H), the shortest first: those to the nearest points after a diagonal
    scaling, and all between some of the points."""
    scale = points.std(0)
    nearest = cKDTree(points / scale).query(points / scale, k=min(NEIGHBOURS, len(points)))[1][:, 1:]
    rows, columns = np.triu_indices(min(len(points), MOST_POINTS), 1)
    some = points[rows] - points[columns]
    differences = np.concatenate([(points[:, None] - points[nearest]).reshape(-1, points.shape[1]), some])
    return differences[np.argsort(np.linalg.norm(differences / scale, axis=1), kind="stable")]


def _generators(vectors: np.ndarray, noise: float) -> np.ndarray | None:
    """Return a reduced basis (m, H) of the lattice that vectors (V, H) generate up to noise, or None.

    The first vector outside the lattice of those before it is added, until there is none. A combination of noisy
    vectors has more noise than they have: remainders up to 8 times the noise, more for large factors, count as zero.
    """
    table = vectors[:1]
    for _ in range(MOST_STEPS):
        factors = np.rint(vectors @ np.linalg.pinv(table))
        size = np.abs(factors).sum(1)
        gaps = np.linalg.norm(vectors - factors @ table, axis=1)
        inside = (gaps < noise * (4 + 2 * size)) & (size <= 8)
        if inside.any() and np.linalg.matrix_rank(factors[inside]) == len(table):  # averages the noise
            table = np.linalg.lstsq(factors[inside], vectors[inside], rcond=None)[0]
        factors = np.rint(vectors @ np.linalg.pinv(table))
        rest = vectors - factors @ table
        outside = np.linalg.norm(rest, axis=1) > noise * (8 + np.abs(factors).sum(1))
        if not outside.any():
            return table
        reduced = reduce([*table, rest[int(np.argmax(outside))]], 8 * noise)
        if reduced is None:
            return None
        table = np.array(reduced)
    return None


def reduce(vectors: list[np.ndarray], short: float) -> list[np.ndarray] | None:
    """Return an LLL-reduced basis of the lattice that vectors generate; vectors up to the length `short` count as zero.

    Returns:
        None if the reduction does not come to an end, as with vectors that generate no lattice.
    """
    basis = [vector.astype(float) for vector in vectors if np.linalg.norm(vector) > short]
    k, steps = 1, 0
    while k < len(basis):
        steps += 1
        if steps > 2000:
            return None
        for j in range(k - 1, -1, -1):
            orthogonal = _orthogonal(basis[: j + 1])[j]
            square = orthogonal @ orthogonal
            if square > short**2:
                basis[k] = basis[k] - np.rint(basis[k] @ orthogonal / square) * basis[j]
        if np.linalg.norm(basis[k]) <= short:
            del basis[k]
            k = max(k - 1, 1)
            continue
        orthogonal = _orthogonal(basis[: k + 1])
        before, here = orthogonal[k - 1], orthogonal[k]
        share = basis[k] @ before / (before @ before) if before @ before > short**2 else 0.0
        length = here @ here if here @ here > short**2 else 0.0
        if length >= (RATIO - share**2) * (before @ before):
            k += 1
        else:
            basis[k - 1], basis[k] = basis[k], basis[k - 1]
            k = max(k - 1, 1)
    return basis


def _orthogonal(basis: list[np.ndarray]) -> list[np.ndarray]:
    """Return the Gram-Schmidt orthogonal vectors of a basis."""
    result: list[np.ndarray] = []
    for vector in basis:
        rest = vector.copy()
        for earlier in result:
            square = earlier @ earlier
            if square > 1e-24:
                rest = rest - (rest @ earlier) / square * earlier
        result.append(rest)
    return result


def _fit(states: np.ndarray, origin: np.ndarray, basis: np.ndarray, error: float) -> Code | None:
    """Return the code of states near `origin` + integers @ basis, refitted as the nearest states first, then all."""
    offset = origin
    order = np.argsort(np.linalg.norm((states - origin) @ np.linalg.pinv(basis), axis=1), kind="stable")
    count = min(len(states), 200)
    while True:
        part = states[order[:count]]
        for _ in range(3):
            integers = np.rint((part - offset) @ np.linalg.pinv(basis))
            table = np.column_stack([integers, np.ones(len(part))])
            solution = np.linalg.lstsq(table, part, rcond=None)[0]
            if np.linalg.matrix_rank(table) < table.shape[1]:
                break
            basis, offset = solution[:-1], solution[-1]
        if count == len(states):
            break
        count = min(2 * count, len(states))
    integers = np.rint((states - offset) @ np.linalg.pinv(basis))
    distance = float(np.linalg.norm(states - integers @ basis - offset, axis=1).max())
    distance /= float(np.linalg.norm(basis, axis=1).min())
    if distance > error or np.linalg.matrix_rank(integers - integers[0]) < len(basis):
        return None
    offset = offset + integers[0] @ basis
    return Code(basis, offset, (integers - integers[0]).astype(np.int64), distance)
