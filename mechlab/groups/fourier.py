"""The Fourier transform of functions on a finite group.

For real orthogonal irreps rho, the transform of a function F at rho is sum_x F(x) rho(x), and the matrix elements of
rho span a space V of functions on the group. The spaces of all irreps are orthogonal, and together contain every
function (Peter-Weyl theorem). The weight of an irrep, which depends on its kind, makes the formulas below hold for all
kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.groups.representations import Irrep


def transform(values: np.ndarray, irrep: Irrep) -> np.ndarray:
    """Return the Fourier transforms (d, d, K) at an irrep of K functions on the group, the columns of values (n, K).

    Source: Diaconis, "Group representations in probability and statistics", chapter 2C.
    """
    d = irrep.dimension
    return (irrep.matrices.reshape(-1, d * d).T @ values).reshape(d, d, -1)


def energies(values: np.ndarray, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the squared norms (I, K) of the projections of K functions, the columns of values (n, K), on the spaces of
    I irreps. Over all irreps of the group they add up to the squared norms of the functions."""
    return np.stack([irrep.weight * np.square(transform(values, irrep)).sum((0, 1)) for irrep in irreps])


def fractions(values: np.ndarray, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the fractions (I,) of the squared norm of values (n, K) inside the spaces of I irreps, which over all
    irreps of the group add up to 1; NaN for values that are all 0."""
    total = np.square(values).sum()
    return energies(values, irreps).sum(1) / (total if total > 0 else np.nan)


def projection(values: np.ndarray, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the projections (n, K) of K functions, the columns of values (n, K), on the sum of irreps' spaces."""
    result = np.zeros_like(values)
    for irrep in irreps:
        basis = irrep.matrices.reshape(len(values), -1)
        result += irrep.weight * (basis @ (basis.T @ values))
    return result
