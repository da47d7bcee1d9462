"""Ambiguity by length of words: of a network that forgets, and of one that ends in one state."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.clustering.by_length import ambiguity_by_length
from mechlab.clustering.centres import centres_of, nearest

CENTRES = np.eye(2)


def forgetful(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States tell the parity of the ones in words of up to four letters, and nothing after longer ones."""
    parity = words.sum(1) % 2
    told = parity if words.shape[1] <= 4 else np.zeros_like(parity)
    return np.eye(2)[told], parity


def absorbing(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most words end in a sink; states 0 and 1, for the first letter of words without another one, look alike."""
    labels = np.where((words == words[:, :1]).all(1), words[:, 0], 2)
    return np.eye(2)[(labels == 2).astype(int)], labels


def test_it_tells_where_a_network_forgets() -> None:
    lines = ambiguity_by_length(forgetful, CENTRES, 2, range(1, 8), 400, np.random.default_rng(0))
    assert [line["length"] for line in lines] == list(range(1, 8))
    assert [line["weighted"] == 0 for line in lines] == [True] * 4 + [False] * 3
    assert lines[-1]["weighted"] > 0.99 and lines[-1]["balanced"] > 0.99


def test_states_that_few_words_reach_count_as_much_when_balanced() -> None:
    rng = np.random.default_rng(0)
    line = ambiguity_by_length(absorbing, CENTRES, 2, [6], 4000, rng)[0]
    assert line["labels"] == 3 and line["weighted"] < 0.05
    assert line["balanced"] == pytest.approx(2 / 3 * np.log(2) / np.log(3))


def test_centres_are_means_and_points_go_to_the_nearest() -> None:
    rng = np.random.default_rng(0)
    points, clusters, weights = rng.normal(size=(50, 3)), rng.integers(4, size=50) * 3, rng.integers(1, 6, 50)
    centres = centres_of(points, clusters, weights)
    for centre, c in zip(centres, np.unique(clusters), strict=True):
        np.testing.assert_allclose(centre, np.average(points[clusters == c], 0, weights[clusters == c]))
    expected = [min(range(4), key=lambda c: np.linalg.norm(point - centres[c])) for point in points]
    np.testing.assert_array_equal(nearest(points, centres), expected)
