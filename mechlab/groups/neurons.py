"""The Fourier transform of every neuron of a network that multiplies in a group, and the circuit it should be part of.

A neuron l of a perceptron with effective embeddings A and B and an unembedding U is a function A_l(x) of the left
factor, one B_l(y) of the right factor, and one U_l(z) of the answer. If it is part of a circuit of one irrep rho,

    A_l(x) = <a, rho(x) b>,    B_l(y) = <b', rho(y) c>,    U_l(z) = <a', rho(z) c'>,

up to a constant, with b' = b, a' = a and c' = c up to a scalar: rho(x) b meets b^T rho(y), so that the product
A_l(x) B_l(y), summed over the set of vectors b, becomes <a, rho(x y) c>. The Fourier transform of such a function is
sum_x A_l(x) rho(x) = (n / d) a b^T: a matrix of rank one, whose singular vectors are those of the circuit. In full, the
transform of U_l is then a positive multiple of the product of the transforms of A_l and B_l.

Matrices of a complex (quaternionic) irrep have each singular value twice (four times), and one such group is of rank
one over the complex numbers (the quaternions); vectors are compared up to such a scalar. A rotation by 2 pi k x / n has
rank one always, and all information is in the phase, which the product of the transforms compares.

Source: Wu, Jaburi, Drori and Gross, "Unifying and verifying mechanistic interpretations", arXiv 2410.07476.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.groups.fourier import energies, transform
from mechlab.groups.irrep import DIVISOR, Irrep
from mechlab.groups.lines import Lines

PARTS = ("a", "b", "u")  # of a neuron: effective embeddings of the left and the right factor, and unembedding


@dataclass(frozen=True, eq=False)
class NeuronTransforms:
    """The transforms of h neurons compared with circuits of single irreps. Values of dead neurons are NaN.

    Args:
        irreps: all R irreps of the group, the trivial one first.
        energy: (3, h, R) the share of each irrep in the energy sum_x F(x)^2 of A_l, B_l and U_l, which adds up to 1;
            of the trivial irrep it is the share of the mean.
        irrep: (h,) int, the nontrivial irrep with the largest share of the rest, averaged over the three parts; -1 for
            a dead neuron.
        purity: (3, h) that irrep's share of the energy without the mean.
        rank_one: (3, h) sigma_1^2 / sum_i sigma_i^2 of the transforms in that irrep; over the complex numbers or the
            quaternions for irreps of these kinds.
        cosines: (3, h) |cos(a, a')|, |cos(b, b')| and |cos(c, c')|.
        circuit: (h,) from -1 to 1, the cosine of the transform of U_l with the product of those of A_l and B_l,
            relative to the largest possible norm of the product: 1 if and only if all ranks are one, all vectors agree,
            and the sign (the phase) is that of a circuit.
        vectors: by irrep number, the lines of a, b, b', c, a' and c' of its neurons, in the order of their numbers.
    """

    irreps: Sequence[Irrep]
    energy: np.ndarray
    irrep: np.ndarray
    purity: np.ndarray
    rank_one: np.ndarray
    cosines: np.ndarray
    circuit: np.ndarray
    vectors: dict[int, dict[str, Lines]]

    @property
    def mean_purity(self) -> np.ndarray:
        """The purity (h,) averaged over A, B and U."""
        return self.purity.mean(0)

    @property
    def dead(self) -> np.ndarray:
        """Which neurons (h,) are dead."""
        return self.irrep < 0

    def of(self, number: int) -> np.ndarray:
        """Return the numbers of the neurons of an irrep."""
        return np.flatnonzero(self.irrep == number)


def transform_neurons(
    a: np.ndarray, b: np.ndarray, u: np.ndarray, irreps: Sequence[Irrep], dead: np.ndarray | None = None
) -> NeuronTransforms:
    """Return the Fourier transforms of neurons, compared with circuits of single irreps.

    Args:
        a: (n, h) functions of the left factor.
        b: (n, h) functions of the right factor.
        u: (h, n) functions of the answer.
        irreps: all irreps of the group, the trivial one first.
        dead: (h,) bool, neurons to leave out; those without nontrivial energy in A, B or U always are.
    """
    parts = [np.asarray(part, np.float64) for part in (a, b, np.asarray(u).T)]
    energy = np.stack([energies(part, irreps).T for part in parts])
    rest = energy[:, :, 1:].sum(2)
    dead = (rest <= 1e-12 * energy.sum(2)).any(0) | (False if dead is None else dead)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares, energy = energy[:, :, 1:] / rest[:, :, None], energy / energy.sum(2, keepdims=True)
    h = len(dead)
    irrep = np.where(dead, -1, np.nan_to_num(shares.mean(0)).argmax(1) + 1)
    purity, rank_one, cosines = (np.full((3, h), np.nan) for _ in range(3))
    result = NeuronTransforms(irreps, energy, irrep, purity, rank_one, cosines, np.full(h, np.nan), {})
    for number in np.unique(irrep[irrep > 0]).tolist():
        members = result.of(number)
        result.purity[:, members] = shares[:, members, number - 1]
        transforms = [transform(part[:, members], irreps[number]).transpose(2, 0, 1) for part in parts]
        _compare(result, number, members, transforms)
    return result


def _compare(result: NeuronTransforms, number: int, members: np.ndarray, transforms: Sequence[np.ndarray]) -> None:
    """Write what the transforms (k, d, d) of A, B and U of an irrep's neurons show."""
    irrep = result.irreps[number]
    divisor = DIVISOR[irrep.kind]
    lines: dict[str, Lines] = {}
    for row, (name, other) in enumerate((("a", "b"), ("b'", "c"), ("a'", "c'"))):
        left, values, right = np.linalg.svd(transforms[row])
        result.rank_one[row, members] = (values[:, :divisor] ** 2).sum(1) / (values**2).sum(1)
        lines[name] = Lines(irrep, left[:, :, :divisor])
        lines[other] = Lines(irrep, right.transpose(0, 2, 1)[:, :, :divisor])
    for row, name in enumerate("abc"):
        result.cosines[row, members] = lines[name].cosines_along(lines[f"{name}'"])
    left, right, answer = transforms
    norms = np.prod([np.linalg.norm(matrices, axis=(1, 2)) for matrices in transforms], 0)
    result.circuit[members] = divisor**0.5 * ((left @ right) * answer).sum((1, 2)) / norms
    result.vectors[number] = lines
