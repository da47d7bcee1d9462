"""The logits that irreps explain, as tables of the product and the class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.groups.finite_group import Group
from mechlab.groups.fourier import projection
from mechlab.groups.network import PairNetwork
from mechlab.groups.representations import Irrep
from mechlab.groups.sums import PairSums


def of_hidden(sums: PairSums, network: PairNetwork, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return P U (n, n): the mean hidden units at each product p, projected on the matrix elements of irreps, through the
    unembedding. The projection of all pairs' hidden units on functions of a b is that of these means."""
    mean = sums.by_product / network.order
    return projection(mean, irreps) @ network.unembedding.double().numpy()


def of_logits(sums: PairSums, network: PairNetwork, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the mean logits (n, n) at each product p, centred over the classes and projected on irreps."""
    return projection(sums.logits / network.order, irreps)


def of_character(irrep: Irrep, group: Group, similarity: float, sums: PairSums) -> np.ndarray:
    """Return the projection (n, n) of the logits on the character of p c^-1, by their cosine with it."""
    character = irrep.character
    size = similarity * np.sqrt(sums.logit_squares) / (group.order * np.linalg.norm(character))
    return size * character[group.table[:, group.inverses]]
