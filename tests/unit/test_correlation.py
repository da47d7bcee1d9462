"""Correlations with weights and the cluster bootstrap: against scipy, pandas and loops, and on planted relations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from mechlab.statistics.correlation import (
    RESAMPLES,
    SEED,
    cluster_interval,
    line,
    mean,
    pearson,
    ranks,
    spearman,
    whole,
)

STATISTICS = {"pearson": (pearson, scipy.stats.pearsonr), "spearman": (spearman, scipy.stats.spearmanr)}


def sample(n: int = 60, seed: int = 0, slope: float = -1.0) -> tuple[np.ndarray, np.ndarray]:
    """Pairs with ties, as exact zeros of ambiguity are."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=n).round(1)
    return x, np.maximum(slope * x + rng.normal(scale=0.3, size=n) + 0.5, 0)


@pytest.mark.parametrize("name", STATISTICS)
def test_with_whole_weights_they_are_scipys_on_copies(name: str) -> None:
    ours, theirs = STATISTICS[name]
    x, y = sample()
    weights = np.random.default_rng(1).integers(0, 4, (5, len(x)))
    expected = [theirs(np.repeat(x, w), np.repeat(y, w)).statistic for w in weights]
    np.testing.assert_allclose(ours(x, y, weights.astype(float)), expected, atol=1e-12)
    assert whole(lambda w: ours(x, y, w), len(x)) == pytest.approx(theirs(x, y).statistic, abs=1e-12)
    assert pd.Series(x).corr(pd.Series(y), method=name) == pytest.approx(ours(x, y, np.ones((1, len(x))))[0])


def test_ranks_are_pandas_on_copies() -> None:
    x, _ = sample(20)
    weights = np.random.default_rng(1).integers(1, 4, (1, 20))
    copies = pd.Series(np.repeat(x, weights[0])).rank().to_numpy()
    np.testing.assert_allclose(ranks(x, weights)[0], copies[np.cumsum(weights[0]) - 1])


def test_the_line_is_that_of_numpy() -> None:
    x, y = sample()
    assert line(x, y) == pytest.approx(tuple(np.polyfit(x, y, 1)))
    assert line(np.full(5, 0.3), np.arange(5.0)) is None


@pytest.mark.parametrize("statistic", [pearson, spearman])
def test_what_does_not_vary_has_no_correlation(statistic) -> None:
    flat, other = np.full(9, 0.1), np.arange(9.0)
    for pair in ((flat, other), (other, flat)):
        assert whole(lambda w, pair=pair: statistic(*pair, w), 9) is None
        assert cluster_interval(lambda w, pair=pair: statistic(*pair, w), range(9)) == (None, None)


def test_the_interval_is_that_of_a_loop_over_resampled_automata() -> None:
    x, y = sample(30)
    automata = np.random.default_rng(2).integers(6, size=30)
    names = list(dict.fromkeys(automata))
    draws = np.random.default_rng(SEED).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    values = []
    for draw in draws[:300]:
        rows = [
            row for name, times in zip(names, draw, strict=True) for row in [*np.flatnonzero(automata == name)] * times
        ]
        values.append(scipy.stats.spearmanr(x[rows], y[rows]).statistic)
    found = []

    def statistic(weights: np.ndarray) -> np.ndarray:
        found.extend(spearman(x, y, weights))
        return spearman(x, y, weights)

    low, high = cluster_interval(statistic, automata)
    np.testing.assert_allclose(found[:300], values, atol=1e-12)
    np.testing.assert_allclose((low, high), np.percentile(found, [2.5, 97.5]))


@pytest.mark.parametrize("statistic", [pearson, spearman])
def test_a_planted_correlation_is_found_and_a_shuffled_one_is_not(statistic) -> None:
    x, y = sample(300)
    automata = np.arange(300) % 30
    low, high = cluster_interval(lambda w: statistic(x, y, w), automata)
    assert high < -0.5 and low < statistic(x, y, np.ones((1, 300)))[0] < high
    shuffled = np.random.default_rng(3).permutation(y)
    low, high = cluster_interval(lambda w: statistic(x, shuffled, w), automata)
    assert low < 0 < high


def test_networks_of_one_automaton_are_not_taken_for_independent() -> None:
    """Ten nearly equal networks of each of eight automata tell no more than the eight: where there is no correlation,
    the interval of automata holds 0, and that of networks that were taken for independent is too narrow to."""
    missed = {"automata": 0, "networks": 0}
    for seed in range(25):
        rng = np.random.default_rng(seed)
        x, y = (np.repeat(rng.normal(size=8), 10) + rng.normal(scale=0.05, size=80) for _ in range(2))
        for kind, groups in (("automata", np.repeat(np.arange(8), 10)), ("networks", np.arange(80))):
            low, high = cluster_interval(lambda w, x=x, y=y: pearson(x, y, w), groups)
            missed[kind] += not low < 0 < high
    assert missed["automata"] <= 6 < 12 <= missed["networks"]


def test_the_mean_has_the_interval_of_the_automata() -> None:
    values = np.array([1.0, 1, 1, 1, 0, 0, 0.5])
    low, high = cluster_interval(lambda w: mean(values, w), list("aaaabbc"))
    assert low < 0.3 and high > 0.9
    assert cluster_interval(lambda w: mean(values, w), list("aaaabbb")) == (None, None)
    assert cluster_interval(lambda w: mean(values, w), list("aaaabbc")) == (low, high)
