"""Injective ambiguity, against the trial of all assignments."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.clustering.injective import injective_ambiguity


def tried(table: np.ndarray) -> float:
    """The least mean over all ways to give labels different clusters, some of which may not exist."""
    clusters, labels = table.shape
    padded = np.vstack([table, np.zeros((labels, labels))])  # clusters that hold nothing
    means = []
    for chosen in permutations(range(min(len(padded), clusters + labels)), labels):
        means.append(np.mean([1 - padded[c, s] / table[:, s].sum() for s, c in enumerate(chosen)]))
    return min(means)


@settings(max_examples=40)
@given(clusters=st.integers(1, 5), labels=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_it_is_the_best_of_all_assignments(clusters: int, labels: int, seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 5, (clusters, labels)).astype(float)
    table[0] += 1
    found = injective_ambiguity(table)
    assert found.mean == pytest.approx(tried(table), abs=1e-12)
    assert found.mean - 1e-12 <= found.max <= 1


def test_extremes() -> None:
    assert injective_ambiguity(np.diag([3, 1, 2])) == (0, 0)
    assert injective_ambiguity([[1, 1, 1]]) == (pytest.approx(2 / 3), 1)  # two labels have no cluster
    assert injective_ambiguity([[1, 0], [1, 0], [0, 2]]) == (0.25, 0.5)  # a split state keeps its larger part
    assert injective_ambiguity([[5, 0, 0], [0, 2, 0]]) == (0, 0)  # a label that does not occur misses nothing


def test_many_clusters_are_no_factorial() -> None:
    table = np.random.default_rng(0).integers(1, 9, (300, 90))
    assert 0.9 < injective_ambiguity(table).mean < 1
