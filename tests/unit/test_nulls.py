"""Nulls: they keep what there is to know and lose what the clusters knew."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.clustering.kmeans import kmeans
from mechlab.clustering.nulls import permuted_ambiguity, random_partition, random_partition_ambiguity
from mechlab.clustering.scores import ambiguity


def test_permuted_labels_of_balanced_clusters_are_ambiguous() -> None:
    labels = np.arange(3000) % 3
    assert permuted_ambiguity(labels, labels, np.ones(3000), np.random.default_rng(0)) > 0.99


def test_the_permuted_null_keeps_what_there_is_to_know() -> None:
    """Labels that are common by weight and rare among the distinct rows stay common: the null is near H(S) / log n."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.zeros(200, int), np.ones(1800, int)])
    weights = np.where(labels == 0, 9, 1)  # half of all rows each
    null = permuted_ambiguity(rng.integers(0, 4, 2000), labels, weights, rng)
    assert null == pytest.approx(1.0, abs=0.02)


def test_a_random_partition_has_the_cells_of_some_points() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(80, 3))
    cells = random_partition(points, 6, np.random.default_rng(1))
    drawn = points[np.random.default_rng(1).choice(80, 6, replace=False)]
    expected = [min(range(6), key=lambda c: np.linalg.norm(point - drawn[c])) for point in points]
    np.testing.assert_array_equal(cells, expected)
    assert len(np.unique(random_partition(points, 1000, rng))) == 80


def test_cells_of_far_apart_states_are_pure_and_fewer_of_them_are_worse_than_those_of_k_means() -> None:
    """The null says how much the geometry of the states settles alone: all of it where cells are many."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 6
    points = 10 * np.eye(6)[labels] + rng.normal(0, 0.1, (600, 6))
    weights = rng.integers(1, 5, 600)
    many, few = (random_partition_ambiguity(points, k, labels, weights, rng) for k in (80, 6))
    assert many < 0.01
    assert ambiguity(kmeans(points, 6, rng), labels, weights).weighted == 0 < 0.1 < few


def test_rows_are_drawn_as_often_as_they_occur() -> None:
    points = np.arange(4.0)[:, None]
    cells = [random_partition(points, 1, np.random.default_rng(seed), np.array([0, 0, 0, 1])) for seed in range(5)]
    assert (np.array(cells) == 0).all()
    weights = np.array([1, 1, 1, 10**9])
    pairs = [random_partition(points, 2, np.random.default_rng(seed), weights)[3] for seed in range(20)]
    assert all(pair in (0, 1) for pair in pairs)
