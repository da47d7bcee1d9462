"""Scores of attribution: against scipy on samples that are written out, on planted truth, and on shuffled scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from mechlab.kernels import lds as L
from mechlab.statistics.bootstrap import percentile_interval


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rank_correlations_are_those_of_scipy_with_ties_and_in_samples(rng):
    """A sample that holds a subset twice is the list that has it twice."""
    predicted, actual = rng.integers(6, size=(40, 3)).astype(float), rng.integers(9, size=(40, 3)).astype(float)
    times = L.resampled(40, 5, rng)
    assert (times.sum(1) == 40).all()
    expected = [spearmanr(predicted[:, q], actual[:, q]).statistic for q in range(3)]
    np.testing.assert_allclose(L.rank_correlations(predicted, actual), expected, atol=1e-12)
    assert L.lds(predicted, actual) == pytest.approx(np.mean(expected))
    found = L.rank_correlations(predicted, actual, times)
    for row, sample in zip(found, times.astype(int), strict=True):
        rows = np.repeat(np.arange(40), sample)
        slow = [spearmanr(predicted[rows, q], actual[rows, q]).statistic for q in range(3)]
        np.testing.assert_allclose(row, slow, atol=1e-12)
    np.testing.assert_allclose(L.lds(predicted, actual, times), found.mean(1))
    linear = [pearsonr(predicted[:, q], actual[:, q]).statistic for q in range(3)]
    np.testing.assert_allclose(L.linear_correlations(predicted, actual), linear, atol=1e-12)


def test_a_constant_side_has_no_correlation():
    assert L.rank_correlations(np.ones((5, 1)), np.arange(5.0)[:, None]) == [0.0]


def test_removed_sets_have_their_sizes(rng):
    assert (L.random_removals(60, 0.05, 50, rng).sum(1) == 3).all()
    assert (L.random_removals(3, 0.01, 5, rng).sum(1) == 1).all() and (
        L.random_removals(3, 1, 5, rng).sum(1) == 2
    ).all()
    np.testing.assert_array_equal(L.single_removals([2, 0], 3), [[False, False, True], [True, False, False]])
    np.testing.assert_array_equal(L.helpful_removals(np.array([[1.0, 3, 2]]), 2), [[False, True, True]])


def test_scores_that_add_up_have_score_one_and_shuffled_ones_none(rng):
    """Outputs that are sums over the kept examples are predicted by the summands; permuted summands predict nothing."""
    scores = rng.normal(size=(4, 50))
    removed = L.random_removals(50, 0.3, 200, rng)
    actual = (~removed).astype(float) @ scores.T
    assert L.lds(L.predicted_changes(scores, removed), actual) == pytest.approx(1)
    assert L.lds(L.predicted_changes(-scores, removed), actual) == pytest.approx(-1)
    times = L.resampled(200, 300, rng)
    shuffled = L.predicted_changes(rng.permuted(scores, axis=1), removed)
    low, high = percentile_interval(L.lds(shuffled, actual, times))
    assert low < 0 < high and high - low < 0.5


def test_intervals_hold_the_truth_about_as_often_as_they_say(rng):
    """With noise as large as the signal, the correlation of many subsets lies in most intervals of few."""
    scores, held = rng.normal(size=(1, 40)), []
    draw = lambda m: (removed := L.random_removals(40, 0.5, m, rng), L.predicted_changes(scores, removed))[1]  # noqa: E731
    noise = draw(500).std()
    many = draw(5000)
    truth = L.lds(many, many + noise * rng.normal(size=many.shape))
    for _ in range(60):
        few = draw(80)
        actual = few + noise * rng.normal(size=few.shape)
        low, high = percentile_interval(L.lds(few, actual, L.resampled(80, 200, rng)))
        held.append(low <= truth <= high)
    assert np.mean(held) >= 0.8


def test_over_runs_the_mean_of_drawn_runs_is_taken(rng):
    values = np.array([[0.0] * 2000, [1.0] * 2000, [2.0] * 2000])
    drawn = L.over_runs(values, rng.integers(3, size=(3, 2000)))
    assert drawn.mean() == pytest.approx(1, abs=0.05) and drawn.std() == pytest.approx(np.sqrt(2 / 9), abs=0.02)
    np.testing.assert_array_equal(L.over_runs(values), values[1])


def test_removal_is_measured_in_spreads_of_random_removal(rng):
    random = rng.normal(2, 3, size=(10_000, 1))
    assert L.removal_effects(np.array([-4.0]), random) == pytest.approx([2], abs=0.05)
    assert L.removal_effects(np.array([1.0]), np.ones((5, 1))) == [0.0]


def test_wrong_labels_differ_and_occur(rng):
    labels = rng.choice([2, 5, 7], 100)
    changed, which = L.wrong_labels(labels, 30, rng)
    assert which.sum() == 30
    assert (changed[which] != labels[which]).all() and (changed[~which] == labels[~which]).all()
    assert set(changed) == {2, 5, 7}


def test_area_under_curve_counts_pairs(rng):
    values, positive = rng.integers(5, size=40).astype(float), rng.random(40) < 0.3
    pairs = values[positive][:, None] - values[~positive]
    assert L.area_under_curve(values, positive) == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    with pytest.raises(ValueError, match="positive examples and others"):
        L.area_under_curve(values, np.ones(40, bool))


def test_removals_of_the_same_label_take_other_examples_when_it_runs_out():
    labels = np.array([0, 1, 0, 2, 1, 0, 2, 2, 2])
    for seed in range(5):
        removed = L.same_label_removals(np.array([0, 1]), labels, 3, np.random.default_rng(seed))
        assert (removed.sum(1) == 3).all()
        assert removed[0, labels == 0].all() and removed[1, labels == 1].all()
    one = [L.same_label_removals(np.array([2]), labels, 1, np.random.default_rng(s)).argmax() for s in range(40)]
    assert set(one) == {3, 6, 7, 8}
