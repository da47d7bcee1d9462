"""Scores of shared information are scikit-learn's, also where rows are given by their weights."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    adjusted_mutual_info_score,
    completeness_score,
    homogeneity_score,
    normalized_mutual_info_score,
)

from mechlab.clustering.information import adjusted_mutual_information, homogeneity, normalised_mutual_information
from mechlab.clustering.scores import all_scores, contingency, table_ambiguity

few = settings(max_examples=40)


@few
@given(clusters=st.integers(1, 6), labels=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_scores_are_scikit_learns_on_copied_rows(clusters: int, labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cluster, label = rng.integers(clusters, size=25), rng.integers(labels, size=25)
    weights = rng.integers(1, 30, size=25)
    table = contingency(cluster, label, weights)
    rows = np.repeat(label, weights), np.repeat(cluster, weights)
    assert homogeneity(table) == pytest.approx(homogeneity_score(*rows), abs=1e-10)
    assert homogeneity(table.T) == pytest.approx(completeness_score(*rows), abs=1e-10)
    assert normalised_mutual_information(table) == pytest.approx(normalized_mutual_info_score(*rows), abs=1e-10)
    assert adjusted_mutual_information(table) == pytest.approx(adjusted_mutual_info_score(*rows), abs=1e-9)
    named = all_scores(table)
    assert named["nmi"] == normalised_mutual_information(table) and named["weighted"] == table_ambiguity(table).weighted


def test_labels_that_do_not_occur_are_no_classes() -> None:
    table = np.array([[3, 0, 1], [0, 0, 4], [2, 0, 0]])
    assert adjusted_mutual_information(table) == adjusted_mutual_information(table[:, [0, 2]])


@pytest.mark.parametrize("table,score", [([[7]], 1), ([[3], [4]], 0), ([[3, 4]], 0), (np.diag([2, 3, 4]), 1)])
def test_extremes(table: list, score: float) -> None:
    assert adjusted_mutual_information(table) == pytest.approx(score)
    assert normalised_mutual_information(table) == pytest.approx(score)


def test_chance_scores_nothing_however_many_the_clusters() -> None:
    rng = np.random.default_rng(0)
    scores = [contingency(rng.integers(200, size=2000), rng.integers(4, size=2000)) for _ in range(5)]
    assert abs(np.mean([adjusted_mutual_information(table) for table in scores])) < 0.01
    assert np.mean([normalised_mutual_information(table) for table in scores]) > 0.05


def test_a_million_rows_are_no_arrays_of_a_million() -> None:
    table = np.random.default_rng(0).integers(1, 10**4, (40, 5))  # a million rows: copies would take 16 MB
    tracemalloc.start()
    score = adjusted_mutual_information(table)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 14e6
    assert score == pytest.approx(normalised_mutual_information(table), abs=1e-3)
