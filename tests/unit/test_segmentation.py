"""Optimal segmentations: against all segmentations, on planted changes, and on series without one."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from mechlab.statistics.segmentation import Segmenter


def planted(changes: list[int], n: int = 150, features: int = 4, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) and features (n, F) that follow a + b t + c log t between the changes."""
    rng, times = np.random.default_rng(0), np.arange(n) + 0.5
    pieces = []
    for rows in np.split(np.arange(n), changes):
        t = times[rows][:, None] / n
        pieces.append(rng.normal(0, 2, features) + rng.normal(0, 3, features) * t + 0.3 * np.log(t))
    return times, np.concatenate(pieces) + noise * rng.normal(size=(n, features))


def squares(times: np.ndarray, series: np.ndarray) -> float:
    regressors = np.stack([np.ones(len(times)), times, np.log(times)], 1)
    return float(((series - regressors @ np.linalg.lstsq(regressors, series, rcond=None)[0]) ** 2).sum())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_segmentation_leaves_less(number: int) -> None:
    rng, n, least = np.random.default_rng(number), 16, 4
    times, series = np.arange(n) + 1.0, rng.normal(size=(n, 2)).cumsum(0)
    found = Segmenter(times, least)(series, 3)
    left = {}
    for changes in combinations(range(1, n), number):
        edges = [0, *changes, n]
        if min(np.diff(edges)) >= least:
            pieces = [slice(a, b) for a, b in pairwise(edges)]
            left[changes] = sum(squares(times[piece], series[piece]) for piece in pieces)
    total = ((series - series.mean(0)) ** 2).sum()
    assert found.unexplained[number] == pytest.approx(min(left.values()) / total)
    assert left[tuple(found.changes[number])] == pytest.approx(min(left.values()))


def test_planted_changes_are_located() -> None:
    times, series = planted([40, 100])
    segmenter = Segmenter(times, 6)
    found = segmenter(series, 6)
    assert found.number(0.02) == 2
    assert np.abs(found.changes[2] - [40, 100]).max() <= 1
    ends = segmenter.intervals(series, found.changes[2], 30, 8, np.random.default_rng(0))
    assert (ends[:, 0] <= found.changes[2]).all() and (found.changes[2] <= ends[:, 1]).all()
    assert (ends[:, 1] - ends[:, 0] <= 8).all()


@pytest.mark.parametrize("trend", [lambda t: -t / 30, lambda t: np.log(t), lambda t: 0.02 * t - np.log(t)])
def test_a_smooth_trend_is_one_piece(trend) -> None:
    """An exponential, a power law and their product, as logarithms."""
    times = np.arange(150) + 0.5
    series = np.stack([trend(times), 2 - trend(times)], 1)
    series = series / series.std(0) + 0.05 * np.random.default_rng(0).normal(size=series.shape)
    assert Segmenter(times, 6)(series, 6).number(0.1) == 0


def test_rows_in_random_order_have_no_change() -> None:
    times, series = planted([40, 100])
    shuffled = series[np.random.default_rng(1).permutation(len(series))]
    assert Segmenter(times, 6)(shuffled, 6).number(0.1) == 0


@pytest.mark.parametrize("series", [np.ones((30, 2)), np.zeros((30, 0)), np.ones((2, 1))])
def test_without_variance_or_room_there_is_no_change(series: np.ndarray) -> None:
    segmenter = Segmenter(np.arange(len(series)) + 1.0, 6)
    found = segmenter(series, 3)
    assert found.number(0.01) == 0
    assert segmenter.intervals(series, found.changes[0], 5, 2, np.random.default_rng(0)).shape == (0, 2)
