"""Clusters of neurons by irreducible representation: what their activations contain, and what depends on it.

The activations of a neuron are a function on the n^2 pairs (a, b). Those that are a combination of the matrix elements
of rho(a), of rho(b), or of rho(a b) are three orthogonal spaces for each nontrivial irrep, and the share of the
variance in each is its fraction of variance explained. All follow from the sums of the activations over b, over a, and
over the pairs of each product, so that nothing with n^3 elements is ever made.

Source: Chughtai, Chan and Nanda, "A Toy Model of Universality", arXiv 2302.03025, and the notebook beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.groups.activations import Activations
from mechlab.groups.fourier import energies, transform
from mechlab.groups.irrep import DIVISOR, Irrep


def activation_energies(sums: Activations, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the energies (3, h, R) of the activations in the matrix elements of rho(a), rho(b) and rho(a b).

    Those of the trivial irrep are three times that of the mean.
    """
    return np.stack([energies(values, irreps).T for values in sums.sums().values()]) / len(sums.a)


@dataclass(frozen=True, eq=False)
class Recovery:
    """The matrices rho(a b) recovered from the activations of k neurons, and the unembedding in their basis.

    Args:
        basis: (k, d, d) M, the change of basis: the part of activation l that is a function of rho(a b) is
            <M_l, rho(a b)>, the sum over matrix elements.
        error: mean squared error per matrix element between rho(a b) and its best linear function of the activations;
            without any it is 1 / d.
        explained: 1 - d times the error.
        unembedding: (d, d, d, d), the logits as a bilinear form: the sum over ij and kl of
            unembedding[i, j, k, l] rho(a b)_ij rho(c^-1)_kl is what the neurons add to logit c by way of rho(a b).
        predicted: (d, d, d, d), the multiple of the character of a b c^-1 that is nearest: for a real irrep a multiple
            of the transpose permutation, 1 where i = l and j = k, else 0.
        map_error: mean squared difference of the two, over the mean square of `unembedding`.
        row_error: the same for the unembedding of the neurons one by one, whose transforms should all be the same
            multiple of `basis`.
    """

    basis: np.ndarray
    error: float
    explained: float
    unembedding: np.ndarray
    predicted: np.ndarray
    map_error: float
    row_error: float


def recover(sums: Activations, unembedding: np.ndarray, irrep: Irrep, members: np.ndarray) -> Recovery:
    """Return how well k neurons recover the matrices of an irrep.

    Args:
        sums: of all h units.
        unembedding: U (h, n).
        irrep: of dimension d.
        members: (k,) numbers of the neurons.
    """
    n, d, k = len(sums.a), irrep.dimension, len(members)
    # (k, d, d), inner products of activations and matrix elements
    transforms = transform(sums.ab[:, members], irrep).transpose(2, 0, 1)
    moments = transforms.reshape(k, -1)
    values, vectors = np.linalg.eigh(sums.gram[np.ix_(members, members)])
    used = values > 1e-10 * max(values[-1], np.finfo(float).tiny)
    explained = (((vectors[:, used].T @ moments) ** 2).sum(1) / values[used]).sum() / (n**2 * d)
    basis = irrep.weight / n * transforms
    inverse = irrep.weight * transform(unembedding[members].T, irrep).transpose(2, 1, 0)  # on rho(c^-1) = rho(c)^T
    learned = np.einsum("lij,lkm->ijkm", basis, inverse)
    identity, flat = np.eye(d), irrep.matrices.reshape(n, -1)
    swap = np.einsum("im,jk->ijkm", identity, identity)
    if DIVISOR[irrep.kind] > 1:  # the part that acts on what rho spans
        algebra = (irrep.weight * flat.T @ flat).reshape(d, d, d, d)
        swap = np.einsum("ijkm,kmpq->ijpq", swap, algebra)
    return Recovery(
        basis,
        error=float((1 - explained) / d),
        explained=float(explained),
        unembedding=learned,
        predicted=swap * _factor(learned, swap),
        map_error=_relative_error(learned, swap),
        row_error=_relative_error(inverse, basis.transpose(0, 2, 1)),
    )


def _factor(target: np.ndarray, shape: np.ndarray) -> float:
    return float((target * shape).sum() / max((shape**2).sum(), np.finfo(float).tiny))


def _relative_error(target: np.ndarray, shape: np.ndarray) -> float:
    """Return the share of the squares of a target that no multiple of a shape gives."""
    rest = ((target - _factor(target, shape) * shape) ** 2).sum()
    return float(rest / max((target**2).sum(), np.finfo(float).tiny))
