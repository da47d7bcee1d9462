"""Cosines of a network's logits with the characters of the products a b c^-1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from mechlab.groups.finite_group import Group
from mechlab.groups.fourier import energies
from mechlab.groups.representations import Irrep
from mechlab.groups.sums import PairSums


@dataclass(frozen=True, eq=False)
class Similarity:
    """Cosines of logits with the characters of I irreps.

    Args:
        similarity: (I,), over all pairs.
        held_out: (I,), over the pairs that were not trained on, each divided by the same norm; the same as `similarity`
            without a split.
        null: (I,), the upper limit of `held_out` under random relabelling of the outputs.
    """

    similarity: np.ndarray
    held_out: np.ndarray
    null: np.ndarray

    @property
    def beyond_null(self) -> np.ndarray:
        """Whether each (I,) held-out similarity exceeds its limit under the null hypothesis."""
        return self.held_out > self.null


def similarity(
    sums: PairSums, group: Group, irreps: Sequence[Irrep], train: np.ndarray | None, level: float
) -> Similarity:
    """Return the cosines of the logits L, centred over the classes, with the characters K = tr rho(a b c^-1), and what
    chance gives.

    A character depends on u = a b c^-1 alone, so that <L, K> is the product of the character with m(u), the sum of the
    logits over all (a, b, c) with this u: no array of n^3 numbers is needed.

    The null hypothesis permutes the classes c at random. <L, K> is then the sum of M[c, pi(c)] for a random permutation
    pi and an n by n matrix M whose rows and columns have mean 0: its mean is 0, its variance is the sum of the squares
    of M over n - 1 (Hoeffding 1951, theorem 2), which is the energy of the summed logits inside the irrep's space times
    a constant, and it is nearly normal. The pairs that were trained on are left out: a network that memorises them
    raises the similarity of every irrep there.

    Args:
        sums: of the network.
        group: of n elements.
        irreps: all of its irreps, the trivial one first.
        train: mask (n, n) of training pairs, or None.
        level: probability that any irrep exceeds its limit under the null hypothesis.

    Source: Chughtai et al., arXiv 2302.03025, section 4.1 (the cosine).
    """
    n = group.order
    characters = np.stack([irrep.character for irrep in irreps])  # (I, n)
    lengths = np.linalg.norm(characters, axis=1)
    norm = np.sqrt(sums.logit_squares) or np.nan
    whole = _products(sums.logits, group, characters) / (n * lengths * norm)
    if train is None:
        held_out, share = whole, 1.0
    else:
        share = float((~train).mean()) or np.nan
        held_out = _products(sums.held_out, group, characters) / (n * lengths * norm * share)
    weights = np.array([irrep.weight for irrep in irreps])
    variance = energies(sums.held_out, irreps).sum(1) / (weights**2 * max(n - 1, 1))
    quantile = ndtri(1 - level / max(len(irreps) - 1, 1))
    return Similarity(whole, held_out, quantile * np.sqrt(variance) / (n * lengths * norm * share))


def _products(logits: np.ndarray, group: Group, characters: np.ndarray) -> np.ndarray:
    """Return the products (I,) of logits (n, n), summed by the product p, with characters (I, n) of p c^-1."""
    n = group.order
    by_quotient = logits[np.arange(n), group.table[group.inverses]].sum(1)  # m(u), with c = u^-1 p
    return characters @ by_quotient
