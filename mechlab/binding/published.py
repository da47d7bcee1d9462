"""The spectral error and the basis of variable memories as published, defects included, for comparison."""

from __future__ import annotations

import numpy as np

from mechlab.binding.companion import on_cycles
from mechlab.binding.spectrum import eigenvalues_of

CUT = 1e-15  # of singular values, relative to the largest


def published_spectral_error(A: np.ndarray, B: np.ndarray, threshold: float = 0.9) -> float:
    """Return the mean angle, in radians, between the persistent eigenvalues of A and those of B, as published: each of
    A in order takes the nearest that is left of B.

    The result depends on the order; it is NaN where the numbers of persistent eigenvalues differ, and where rounding
    makes a cosine exceed 1, which happens for most matrices compared with themselves. See `spectral_distance` for a
    metric without these defects.

    Args:
        A, B: square matrices, or spectra (S,).
        threshold: modulus above which an eigenvalue is persistent.

    Source: the published code of Karuvally et al., arXiv 2310.02430.
    """
    spectra = [values[np.abs(values) > threshold] for values in map(eigenvalues_of, (A, B))]
    longest = max(map(len, spectra))
    padded = [np.concatenate([values, np.zeros(longest - len(values))]) for values in spectra]
    with np.errstate(invalid="ignore", divide="ignore"):
        points = [np.stack([values.real, values.imag], 1) / np.abs(values)[:, None] for values in padded]
        left, angles = list(points[1]), []
        for point in points[0]:
            distances = np.arccos(np.array(left) @ point)
            nearest = int(np.argmin(distances))  # a NaN, if there is one
            angles.append(distances[nearest])
            left.pop(nearest)
    return float(np.mean(angles)) if angles else float("nan")


def published_basis(W_hh: np.ndarray, W_hy: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variable memories Psi (h, s d) and their dual basis Psi* (s d, h) as published.

    Block k of Psi, k = 1 .. s, is W_hh^(s-k) W_hy^+ with columns of length 1 (or 0); the columns of cells that are on
    no cycle of Phi are 0, and so are the rows of Psi*, which is the pseudo-inverse.

    Args:
        W_hh: (h, h) recurrent matrix.
        W_hy: (d, h) read-out.
        phi: (s d, s d) companion matrix.

    Source: the published code of Karuvally et al., arXiv 2310.02430.
    """
    d = len(W_hy)
    entry = np.linalg.pinv(W_hy, CUT)  # (h, d)
    blocks = [entry]
    for _ in range(len(phi) // d - 1):
        blocks.insert(0, W_hh @ blocks[0])
    psi = np.concatenate(blocks, 1)
    lengths = np.linalg.norm(psi, axis=0)
    psi = psi / np.where(lengths > 0, lengths, 1)
    active = on_cycles(phi)
    psi[:, ~active] = 0
    dual = np.zeros(psi.T.shape)
    dual[active] = np.linalg.pinv(psi[:, active], CUT)
    return psi, dual


def published_picture() -> np.ndarray:
    """Return the picture (8, 8) of -1 and +1 that was published as an input for d = s = 8, a row for each step."""
    picture = -np.ones((8, 8))
    for row, columns in {0: (2, 4, 6), 1: range(2, 7), 3: range(2, 7), 5: (2, 3, 4, 6), 6: (2, 4, 5, 6)}.items():
        picture[row, list(columns)] = 1
    return picture
