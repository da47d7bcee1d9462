"""Distinct prefixes, against a counter of Python tuples."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata.tomita import tomita
from mechlab.automata.words.prefixes import distinct_prefixes


def padded(words: list[tuple[int, ...]], steps: int) -> np.ndarray:
    return np.array([[*word, *[-1] * (steps - len(word))] for word in words], int).reshape(len(words), steps)


@settings(max_examples=100)
@given(st.lists(st.lists(st.integers(0, 2), max_size=5).map(tuple), max_size=12))
def test_agrees_with_a_counter(words: list[tuple[int, ...]]) -> None:
    found = distinct_prefixes(padded(words, 5))
    expected = Counter(word[:length] for word in words for length in range(1, len(word) + 1))
    pairs = zip(found.row, found.length, found.count, strict=True)
    got = {tuple(found.words[row, :length].tolist()): count for row, length, count in pairs}
    assert got == expected
    assert len(found) == len(expected)
    assert (np.diff(found.length) >= 0).all()
    in_order = [tuple(word[:length]) for word in words for length in range(1, len(word) + 1)]
    names = [tuple(found.words[row, :length].tolist()) for row, length in zip(found.row, found.length, strict=True)]
    assert [names[number] for number in found.index] == in_order
    assert [name[-1] for name in names] == found.letter.tolist()
    assert [names[number] if number >= 0 else () for number in found.parent] == [name[:-1] for name in names]
    maximal = {word for word in words if word and not any(other[: len(word)] == word != other for other in words)}
    assert sorted(tuple(word[word >= 0].tolist()) for word in found.words) == sorted(maximal)


def test_order_and_repetition_of_words_change_counts_only() -> None:
    words = np.random.default_rng(0).integers(0, 2, (50, 6))
    one, other = distinct_prefixes(words), distinct_prefixes(np.vstack([words[::-1], words]))
    for name in ("words", "row", "length"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(2 * one.count, other.count)


@pytest.mark.parametrize("words", [np.zeros((2, 3)), np.zeros(3, int)])
def test_refuses_what_are_no_words(words: np.ndarray) -> None:
    with pytest.raises(ValueError, match="words must be an integer array"):
        distinct_prefixes(words)


def test_refuses_letters_after_padding() -> None:
    with pytest.raises(ValueError, match="padding"):
        distinct_prefixes(np.array([[0, -1, 1]]))


def test_reached_is_the_state_after_reading_each_prefix_alone() -> None:
    automaton, words = tomita(3), padded([(0, 1, 1, 0), (1, 0, 1), (0,), ()], 5)
    found = distinct_prefixes(words)
    for row, length, state in zip(found.row, found.length, found.automaton_states(automaton), strict=True):
        assert automaton.run(found.words[row, :length][None])[0, -1] == state
