import itertools

import numpy as np
import pytest

from mechlab.automata.library import parentheses
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita
from mechlab.automata.words.long_words import long_words


def last_classes(automaton, words, lengths):
    visited = automaton.run(words)
    return automaton.outputs[visited[np.arange(len(words)), lengths]]


@pytest.mark.parametrize("balanced", [False, True])
def test_words_have_all_lengths_asked_for_and_padding(balanced):
    words, lengths = long_words(tomita(3), 16, 64, 3000, np.random.default_rng(0), balanced)
    assert words.shape == (3000, 64) and words.dtype == lengths.dtype == np.int64
    assert set(lengths.tolist()) == set(range(16, 65)) and (np.diff(lengths) >= 0).all()
    assert not words[np.arange(64) >= lengths[:, None]].any()
    assert words.max() == 1


@pytest.mark.parametrize(
    ("automaton", "every"), [(tomita(1), 1), (tomita(2), 2), (parentheses(2), 2)], ids=["ones", "pairs", "parentheses"]
)
def test_rare_classes_have_their_share_of_every_length_that_has_them(automaton, every):
    """Of the words of 64 letters a single one is in 1*; words of an odd length are in neither of the other two."""
    words, lengths = long_words(automaton, 16, 64, 2000, np.random.default_rng(0), balanced=True)
    accepted = last_classes(automaton, words, lengths)
    for length in range(16, 65):
        here = accepted[lengths == length]
        assert abs(here.sum() - (0 if length % every else len(here) / 2)) <= 0.5


def test_words_of_a_class_are_uniform():
    automaton = random_automaton(5, 3, np.random.default_rng(0), classes=3)
    everything = np.array(list(itertools.product(range(3), repeat=4)))
    classes = last_classes(automaton, everything, np.full(81, 4))
    words, lengths = long_words(automaton, 4, 4, 30_000, np.random.default_rng(1), balanced=True)
    drawn = last_classes(automaton, words, lengths)
    for output in np.unique(classes):
        found, counts = np.unique(words[drawn == output], axis=0, return_counts=True)
        np.testing.assert_array_equal(found, everything[classes == output])
        expected = counts.mean()
        assert ((counts - expected) ** 2 / expected).sum() < len(found) + 5 * np.sqrt(2 * len(found))


def test_words_of_a_thousand_letters_are_drawn():
    words, lengths = long_words(tomita(1), 1000, 1000, 10, np.random.default_rng(0), balanced=True)
    assert last_classes(tomita(1), words, lengths).sum() == 5
