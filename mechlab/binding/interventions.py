"""Interventions on the state of a recurrent network: removing a subspace, and changing named variables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

TIE = 1e-6  # relative distance of moduli that are taken for equal


def spectral_projection(matrix: np.ndarray, rank: int) -> np.ndarray:
    """Return the projection (h, h) onto the invariant subspace of the eigenvalues of largest modulus, along that of all
    others.

    It commutes with the matrix: of h' = matrix h it removes a part that stays removed, and leaves the rest as it would
    have been. The orthogonal projection onto the same subspace does neither, unless the matrix is normal.

    Args:
        matrix: (h, h) transition.
        rank: the number of eigenvalues, from 1 to h; more where equal moduli, as of a conjugate pair, would be divided.

    Raises:
        ValueError: the rank is not from 1 to h.

    >>> spectral_projection(np.array([[2.0, 1.0], [0.0, 1.0]]), rank=1).round(12).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    h = len(matrix)
    if not 1 <= rank <= h:
        raise ValueError(f"rank must be from 1 to h = {h}. Got {rank} instead.")
    moduli = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]
    smaller = moduli[moduli < moduli[rank - 1] * (1 - TIE)]
    if not len(smaller):
        return np.eye(h)
    cut = (moduli[h - len(smaller) - 1] + smaller[0]) / 2
    form, vectors, size = scipy.linalg.schur(matrix, "real", sort=lambda re, im: np.hypot(re, im) > cut)
    within, beyond = vectors[:, :size], vectors[:, size:]
    coupling = scipy.linalg.solve_sylvester(form[:size, :size], -form[size:, size:], form[:size, size:])
    return within @ (within.T + coupling @ beyond.T)


def orthogonal_projection(vectors: np.ndarray) -> np.ndarray:
    """Return the orthogonal projection (h, h) onto the space that vectors (h, r) span."""
    return vectors @ np.linalg.pinv(vectors)


def random_projection(h: int, rank: int, rng: np.random.Generator) -> np.ndarray:
    """Return the orthogonal projection (h, h) onto a uniformly random subspace of a rank."""
    basis = np.linalg.qr(rng.standard_normal((h, rank)))[0]
    return basis @ basis.T


class Coordinates(NamedTuple):
    """The values of C variables in a state, each in units of its own typical size.

    Args:
        decode: (C, h): values of a state, less the centre.
        basis: (h, C): the change of the state for a change of 1 in each value.
        centre: (h,): the state of which all values are 0.
    """

    decode: np.ndarray
    basis: np.ndarray
    centre: np.ndarray

    @classmethod
    def measured(cls, decode: np.ndarray, basis: np.ndarray, centre: np.ndarray, states: np.ndarray) -> Coordinates:
        """Return coordinates in which the mean size of each value is 1 on states (N, h); a variable that is 0 there
        keeps its own unit. In a network that saturates, the sizes of variables differ."""
        sizes = np.abs((states - centre) @ decode.T).mean(0)  # (C,)
        sizes = np.where(sizes > 0, sizes, 1.0)
        return cls(decode / sizes[:, None], basis * sizes, centre)

    def values(self, states: np.ndarray) -> np.ndarray:
        """Return the values (N, C) of states (N, h)."""
        return (states - self.centre) @ self.decode.T


def flipped(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Return values (V, N, C) in which, in copy v, variable which[v] of values (N, C) has the other sign.

    >>> flipped(np.array([[1, 2]]), np.array([0, 1])).tolist()
    [[[-1, 2]], [[1, -2]]]
    """
    return _replaced(values, which, -values[:, which])


def swapped(values: np.ndarray, which: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """Return values (V, N, C) in which, in copy v, variables which[v] and partners[v] of values (N, C) are exchanged.

    >>> swapped(np.array([[1, 2, 3]]), np.array([0]), np.array([2])).tolist()
    [[[3, 2, 1]]]
    """
    exchanged = _replaced(values, which, values[:, partners])
    exchanged[np.arange(len(which)), :, partners] = values[:, which].T
    return exchanged


def patched(values: np.ndarray, which: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Return values (V, N, C) in which, in copy v, variable which[v] of sequence n is that of sequence donors[n].

    >>> patched(np.array([[1, 2], [3, 4]]), np.array([1]), np.array([1, 0])).tolist()
    [[[1, 4], [3, 2]]]
    """
    return _replaced(values, which, values[donors][:, which])


def _replaced(values: np.ndarray, which: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return copies (V, N, C) of values (N, C), with column v of new (N, V) as variable which[v] of copy v."""
    copies = np.repeat(values[None], len(which), 0)
    copies[np.arange(len(which)), :, which] = new.T
    return copies
