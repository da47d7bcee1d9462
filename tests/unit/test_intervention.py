"""States replaced by cluster means: an automaton does not notice, a network that hides what it uses does."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.automata.tomita import tomita
from mechlab.clustering.intervention import replace_states

AUTOMATON = tomita(5)
CODES = np.random.default_rng(0).normal(size=(4, 6))


def step(states: np.ndarray, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A network whose states are codes of the automaton's, with noise that it does not mind."""
    now = ((states[:, None] - CODES) ** 2).sum(2).argmin(1)
    after = AUTOMATON.transitions[now, letters]
    return CODES[after], AUTOMATON.outputs[after]


def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.integers(4, size=400)
    states = CODES[truth] + rng.normal(0, 0.05, (400, 6))
    return states, truth, rng.integers(400, size=300), rng.integers(2, size=(300, 7))


def test_means_of_an_automatons_states_change_nothing_and_other_means_do() -> None:
    states, truth, start, suffixes = sample()
    told = replace_states(step, states, truth, np.ones(400), start, suffixes, np.random.default_rng(0))
    np.testing.assert_array_equal(told.mean, told.own)
    now, expected = truth[start], []
    for t in range(7):
        now = AUTOMATON.transitions[now, suffixes[:, t]]
        expected.append(AUTOMATON.outputs[now])
    np.testing.assert_array_equal(told.own, np.stack(expected, 1))
    assert 0.3 < (told.other == told.own).mean() < 0.7


def test_clusters_that_mix_states_do_not_stand_for_them() -> None:
    states, truth, start, suffixes = sample()
    told = replace_states(step, states, truth // 2, np.ones(400), start, suffixes, np.random.default_rng(0))
    assert (told.mean == told.own).mean() < 0.8


def test_means_count_how_often_prefixes_occur() -> None:
    """A rare stray among many of one state leaves the mean where it was; by distinct rows it would not."""
    states, truth = CODES[[0, 0, 3, 3]], np.zeros(4, int)
    start, suffixes = np.zeros(50, int), np.random.default_rng(0).integers(2, size=(50, 5))
    kept = [
        replace_states(step, states, truth, np.array(weights), start, suffixes, np.random.default_rng(0))
        for weights in ([99, 99, 1, 1], [1, 1, 99, 99])
    ]
    assert (kept[0].mean == kept[0].own).all() and not (kept[1].mean == kept[1].own).all()


def test_another_cluster_is_never_the_own_one_and_one_cluster_has_no_other() -> None:
    """Of two clusters the other one is known."""
    states, truth, start, suffixes = sample()
    two = CODES[truth // 2 * 3]
    told = replace_states(step, two, truth // 2, np.ones(400), start, suffixes, np.random.default_rng(0))
    swapped = replace_states(
        step, CODES[3 - truth // 2 * 3], truth // 2, np.ones(400), start, suffixes, np.random.default_rng(5)
    )
    np.testing.assert_array_equal(told.other, swapped.own)
    alone = replace_states(step, states, 0 * truth, np.ones(400), start, suffixes, np.random.default_rng(0))
    assert alone.other is None and alone.mean.shape == (300, 7)


def test_precision_is_kept() -> None:
    seen = []

    def watch(states: np.ndarray, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(states.dtype)
        return states, letters

    states, truth, start, suffixes = sample()
    replace_states(watch, states.astype(np.float32), truth, np.ones(400), start, suffixes, np.random.default_rng(0))
    assert set(seen) == {np.dtype(np.float32)}


@pytest.mark.parametrize("letters", [1, 3])
def test_shapes(letters: int) -> None:
    states, truth, start, suffixes = sample()
    told = replace_states(step, states, truth, np.ones(400), start, suffixes[:, :letters], np.random.default_rng(0))
    assert {part.shape for part in told} == {(300, letters)}
