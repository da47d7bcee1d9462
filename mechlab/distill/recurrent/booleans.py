"""Boolean codes of hidden states: every subset sum of a few vectors, recovered from noisy states."""

from __future__ import annotations

import numpy as np

from mechlab.distill.recurrent.lattices import Code, distinct


def boolean_code(states: np.ndarray, *, most: int = 6, error: float = 0.2) -> Code | None:
    """Return the bits of states that cluster into 2^m points h = b @ generators + offset, b in {0, 1}^m.

    Each generator is a translation that maps one half of the points on the other. A bit is 0 at the first state.

    Args:
        states: (N, H) float64, in which every point occurs.
        most: largest number of bits.
        error: largest distance of a state from its point, in units of the shortest generator.

    Returns:
        The code, longest generators first; None if the points have no such structure.
    """
    points, noise = distinct(states)
    size = len(points).bit_length() - 1
    if len(points) != 1 << size or not 0 < size <= most:
        return None
    generators, rest = [], np.arange(len(points))
    while len(rest) > 1:
        step = _translation(points[rest], 8 * noise)
        if step is None:
            return None
        pairs, vector = step
        generators.append(vector)
        rest = rest[pairs]
    basis = np.array(generators)[np.argsort(-np.linalg.norm(generators, axis=1), kind="stable")]
    if np.linalg.matrix_rank(basis, tol=8 * noise) < size:
        return None
    bits = np.rint((states - points[rest[0]]) @ np.linalg.pinv(basis))
    flip = bits[0] > 0
    bits, basis = np.where(flip, 1 - bits, bits), np.where(flip[:, None], -basis, basis)
    if not np.isin(bits, (0, 1)).all():
        return None
    fitted = np.linalg.lstsq(np.column_stack([bits, np.ones(len(states))]), states, rcond=None)[0]
    basis, offset = fitted[:-1], fitted[-1]
    distance = float(np.linalg.norm(states - bits @ basis - offset, axis=1).max())
    distance /= float(np.linalg.norm(basis, axis=1).min())
    return Code(basis, offset, bits.astype(np.int64), distance) if distance <= error else None


def _translation(points: np.ndarray, near: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the indices (P/2,) of points of one half and the vector from them to the other half, the longest such."""
    vectors = points[1:] - points[0]
    for vector in vectors[np.argsort(-np.linalg.norm(vectors, axis=1), kind="stable")]:
        gaps = np.linalg.norm(points[:, None] + vector - points[None], axis=-1)
        mapped = np.flatnonzero(gaps.min(1) < near)
        images = gaps[mapped].argmin(1)
        if 2 * len(mapped) == len(points) and not np.intersect1d(mapped, images).size:
            exact = points[images] - points[mapped]
            return mapped, exact.mean(0)
    return None
