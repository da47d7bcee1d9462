"""Bootstrap of the ambiguity over words, against copies of words."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.clustering.bootstrap import ambiguity_of_resamples, resampled_words
from mechlab.clustering.scores import ambiguity
from mechlab.statistics.bootstrap import percentile_interval


def sample(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Words of two letters with made-up clusters and labels of their prefixes."""
    rng = np.random.default_rng(seed)
    words = np.where(np.arange(7) < rng.integers(1, 8, (40, 1)), rng.integers(2, size=(40, 7)), -1)
    prefixes = distinct_prefixes(words)
    word = np.cumsum(prefixes.length[prefixes.index] == 1) - 1
    np.testing.assert_array_equal(np.bincount(word), (words >= 0).sum(1))
    return words, prefixes, word, rng.integers(3, size=len(prefixes)), rng.integers(4, size=len(prefixes))


def test_each_sample_scores_as_its_copied_words() -> None:
    words, prefixes, word, clusters, labels = sample()
    times = resampled_words(len(words), 12, np.random.default_rng(0))
    assert (times.sum(1) == len(words)).all()
    found = ambiguity_of_resamples(clusters, labels, prefixes.index, word, times)
    for b in range(len(times)):
        rows = [prefixes.index[word == w] for w in range(len(words)) for _ in range(int(times[b, w]))]
        rows = np.concatenate(rows)
        assert found[b] == pytest.approx(ambiguity(clusters[rows], labels[rows]).weighted, abs=1e-12)


def test_the_sample_itself_has_its_own_ambiguity_and_a_single_label_none() -> None:
    words, prefixes, word, clusters, labels = sample()
    once = np.ones((1, len(words)))
    whole = ambiguity_of_resamples(clusters, labels, prefixes.index, word, once)
    assert whole[0] == pytest.approx(ambiguity(clusters, labels, prefixes.count).weighted, abs=1e-12)
    assert ambiguity_of_resamples(clusters, 0 * labels, prefixes.index, word, once) == [0]


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Words that each stay in one place vary like so many draws, not like as many as they have letters."""
    rng, covered, width = np.random.default_rng(0), 0, []
    for _ in range(60):
        bad = rng.random(200) < 0.3  # words that end in a cluster of mixed labels, and stay there
        labels = np.where(bad[:, None], rng.integers(2, size=(200, 8)), np.arange(8) % 2)
        clusters = np.where(bad[:, None], 2, np.arange(8) % 2)
        index, word = np.arange(1600), np.repeat(np.arange(200), 8)
        times = resampled_words(200, 200, rng)
        low, high = percentile_interval(ambiguity_of_resamples(clusters.ravel(), labels.ravel(), index, word, times))
        covered += low <= 0.3 <= high
        width.append(high - low)
    assert covered >= 50
    assert np.mean(width) == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 200), rel=0.15)
