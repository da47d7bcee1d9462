"""Similarities of related pairs, against loops over pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mechlab.kernels.related_pairs import RelatedPairs, classical_scaling, correlation_of_pairs

X = 14


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def symmetric(rng, digits=1):
    """Return random similarities with many ties."""
    values = rng.normal(size=(X, X)).round(digits)
    return np.triu(values, 1) + np.triu(values, 1).T + np.eye(X)


def area(similarity, related, counts=None):
    """Return the share of comparisons that a related pair wins, by a loop over pairs of pairs."""
    counts = np.ones(len(similarity)) if counts is None else counts
    pairs = [(i, j) for i, j in combinations(range(len(similarity)), 2) if np.isfinite(similarity[i, j])]
    won = total = 0.0
    for i, j in (pair for pair in pairs if related[pair]):
        for k, l in (pair for pair in pairs if not related[pair]):
            weight = counts[i] * counts[j] * counts[k] * counts[l]
            difference = similarity[i, j] - similarity[k, l]
            won, total = won + weight * ((difference > 0) + 0.5 * (difference == 0)), total + weight
    return won / total


def test_the_area_is_that_of_a_loop_over_pairs_of_pairs(rng):
    similarity, labels = symmetric(rng), rng.integers(3, size=X)
    similarity[5] = similarity[:, 5] = np.nan
    related = labels[:, None] == labels
    pairs = RelatedPairs(similarity, related)
    assert pairs.auc == pytest.approx(area(similarity, related))
    assert sum(pairs.sizes) == (X - 1) * (X - 2) // 2
    counts = rng.multinomial(X, np.full(X, 1 / X), size=3)
    np.testing.assert_allclose(pairs.resampled(counts), [area(similarity, related, count) for count in counts])
    orders = np.stack([rng.permutation(X) for _ in range(3)])
    expected = [area(similarity, related[order][:, order]) for order in orders]
    np.testing.assert_allclose(pairs.permuted(orders), expected)


def test_examples_that_are_similar_by_label_have_area_one_and_permuted_labels_about_a_half(rng):
    labels = np.repeat(np.arange(5), 8)
    vectors = np.eye(5)[labels] + 0.1 * rng.normal(size=(40, 5))
    pairs = RelatedPairs(vectors @ vectors.T, labels[:, None] == labels)
    assert pairs.auc == 1
    chance = pairs.permuted(np.stack([rng.permutation(40) for _ in range(50)]))
    assert abs(chance.mean() - 0.5) < 0.05 and chance.max() < 0.8


def test_no_area_exists_without_both_kinds_of_pairs(rng):
    similarity = symmetric(rng)
    assert np.isnan(RelatedPairs(similarity, np.ones((X, X), bool)).auc)
    assert np.isnan(RelatedPairs(np.full((X, X), np.nan), np.eye(X, dtype=bool)).auc)


def test_distances_in_the_plane_are_those_of_vectors_in_a_plane(rng):
    """Three unit vectors lie in a plane after centring, so that classical scaling is exact."""
    vectors = rng.normal(size=(3, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.full((4, 4), np.nan)
    cosines[:3, :3] = vectors @ vectors.T
    points, shares = classical_scaling(cosines)
    distances = np.linalg.norm(points[:3, None] - points[:3], axis=-1)
    np.testing.assert_allclose(distances, np.linalg.norm(vectors[:, None] - vectors, axis=-1), atol=1e-9)
    assert np.isnan(points[3]).all() and shares.sum() == pytest.approx(1)


def test_equal_matrices_correlate_and_a_constant_one_has_no_correlation(rng):
    left, right = symmetric(rng, 3), symmetric(rng, 3)
    assert correlation_of_pairs(left, 2 * left + 1) == pytest.approx(1)
    places = np.triu_indices(X, 1)
    assert correlation_of_pairs(left, right) == pytest.approx(np.corrcoef(left[places], right[places])[0, 1])
    assert np.isnan(correlation_of_pairs(left, np.ones((X, X))))
