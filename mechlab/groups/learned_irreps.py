"""Statistics of the irreps that several networks learned of one group: sets up to automorphism, and orders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DIGITS = 9  # of the keys of sets, beyond which they differ by rounding


def classes_of_sets(sets: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the number of the class (N,) of each of N sets of irreps: those that automorphisms take into each other.

    Args:
        sets: (N, K) bool, true where a set has an irrep.
        images: (m, K), how automorphisms permute the irreps; see `automorphisms.irrep_images`.
    """
    weights = np.random.default_rng(0).random(sets.shape[1])  # sums over two sets are equal for equal sets alone
    keys = (sets.astype(float) @ weights[images].T).max(1).round(DIGITS)
    return np.unique(keys, return_inverse=True)[1]


def largest_share(classes: np.ndarray) -> float:
    """Return the share of the most frequent of classes (N,)."""
    return float(np.bincount(classes).max() / len(classes))


def independent_share(sets: np.ndarray, images: np.ndarray, draws: int, rng: np.random.Generator) -> float:
    """Return the mean share of the most frequent set of irreps, up to automorphism, of as many networks that learn each
    irrep independently of the others, as often as these do.

    Args:
        sets, images: as of `classes_of_sets`.
        draws: number of samples of N sets each.
        rng: the source of all randomness.
    """
    drawn = rng.random((draws, *sets.shape)) < sets.mean(0)
    classes = classes_of_sets(drawn.reshape(-1, sets.shape[1]), images).reshape(draws, -1)
    return float(np.mean([largest_share(each) for each in classes]))


def order_agreement(orders: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the share of pairs of irreps that two networks learned in the same order, for each two networks (N, N):
    among the irreps of both; NaN on the diagonal and where they share fewer than two.

    Args:
        orders: the irreps of each network in the order of learning.

    >>> order_agreement([["a", "b", "c"], ["a", "c"], ["c", "a"]])[0].tolist()
    [nan, 1.0, 0.0]
    """
    places = [{name: place for place, name in enumerate(order)} for order in orders]
    agreement = np.full((len(orders), len(orders)), np.nan)
    for i, first in enumerate(places):
        for j, second in enumerate(places[:i]):
            shared = [name for name in first if name in second]
            if len(shared) > 1:
                place = np.array([second[name] for name in shared])  # in the order of the first network
                after = np.triu(place[:, None] < place, 1).sum()
                agreement[i, j] = agreement[j, i] = after / (len(shared) * (len(shared) - 1) / 2)
    return agreement


def mean_agreement(agreement: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the means (B,) of the agreement of all pairs of networks, counted as often as both are drawn.

    Args:
        agreement: (N, N) as `order_agreement` returns it.
        weights: (B, N), how often each network is drawn; NaN results where no pair of two networks has an agreement.
    """
    known = np.isfinite(agreement)
    total = np.einsum("bi,ij,bj->b", weights, np.where(known, agreement, 0.0), weights)
    pairs = np.einsum("bi,ij,bj->b", weights, known.astype(float), weights)
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)
