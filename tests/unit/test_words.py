import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata.automaton import Automaton
from mechlab.automata.tomita import tomita
from mechlab.automata.words import sampling as module
from mechlab.automata.words.sampling import (
    Pool,
    all_words,
    balanced_words,
    length_counts,
    pad,
    split_of,
    uniform_words,
    word_hash,
    words_of_class,
)


def slow_hash(word, seed):
    """The hash of one word in Python's own unlimited integers."""

    def mix(z):
        z = (z + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    state = mix(seed % 2**64)
    for letter in word:
        state = mix(state ^ (letter + 1))
    return state


def slow_counts(n, letters, longest):
    """The published rule of lengths, one length after the other."""
    total, surplus, sampled, counts = sum(range(1, longest + 1)), 0, [], {}
    for length in range(1, longest + 1):
        counts[length] = n * length // total + 1
        if counts[length] > letters**length:
            surplus += counts[length] - letters**length
            counts[length] = letters**length
        else:
            sampled.append(length)
    for length in sampled:
        counts[length] += surplus // len(sampled)
    return list(counts.values()), [length not in sampled for length in counts]


def random_automaton(seed, letters=3, states=4, classes=3):
    rng = np.random.default_rng(seed)
    return Automaton(
        alphabet=tuple("abcdef"[:letters]),
        classes=tuple("xyz"[:classes]),
        states=tuple(f"q{i}" for i in range(states)),
        initial=0,
        transitions=rng.integers(states, size=(states, letters)),
        outputs=rng.integers(classes, size=states),
    )


def last_classes(automaton, words):
    return automaton.outputs[automaton.run(words)[:, -1]]


def test_the_hash_of_the_empty_word_is_the_published_first_number_of_splitmix64():
    assert int(word_hash(np.empty((1, 0), int))[0]) == 0xE220A8397B1DCDAF


def test_the_hash_keeps_its_frozen_value():
    assert int(word_hash([[1, 0, 1, 1, 0]], seed=7)[0]) == slow_hash([1, 0, 1, 1, 0], 7) == 0xB418CD4CD1A81090


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), max_size=14), st.integers(0, 4), st.integers(-5, 2**70))
def test_the_hash_is_that_of_the_slow_twin_whatever_the_padding(word, padding, seed):
    padded = np.array([word + [3] * padding])
    assert int(word_hash(padded.astype(int), np.array([len(word)]), seed)[0]) == slow_hash(word, seed)


def test_words_and_seeds_that_differ_have_hashes_that_differ():
    words, lengths = pad([all_words(2, length).all() for length in range(1, 15)])
    hashes = np.concatenate([word_hash(words, lengths, seed) for seed in (0, 1)])
    assert len(np.unique(hashes)) == len(hashes) == 2 * (2**15 - 2)


def test_a_tenth_of_the_words_goes_to_validation_and_a_tenth_to_test():
    words, lengths = pad([all_words(2, length).all() for length in range(1, 15)])
    split = split_of(words, lengths, seed=0)
    assert not split[lengths < 5].any()
    shares = np.bincount(split[lengths >= 5]) / (lengths >= 5).sum()
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=4 * np.sqrt(0.1 * 0.9 / 32736))
    assert (split_of(words, lengths, seed=1) != split).any()


@pytest.mark.parametrize(("letters", "longest"), [(1, 5), (2, 14), (4, 14), (6, 14), (3, 9)])
@pytest.mark.parametrize("n", [1, 100, 2000, 50_000])
def test_the_rule_of_lengths_agrees_with_a_direct_loop(n, letters, longest):
    counts, complete = length_counts(n, [letters**length for length in range(1, longest + 1)])
    assert (counts.tolist(), complete.tolist()) == slow_counts(n, letters, longest)


def test_the_rule_of_lengths_by_hand():
    # Lengths 1 to 12 ask for 37,149 words and have 8190; half of the other 28,959 goes to 13 and half to 14 letters.
    counts, complete = length_counts(50_000, [2**length for length in range(1, 15)])
    assert counts.tolist() == [2**length for length in range(1, 13)] + [6191 + 14_479, 6667 + 14_479]
    assert complete.tolist() == [True] * 12 + [False] * 2


def test_where_all_words_are_taken_the_surplus_is_lost():
    counts, complete = length_counts(1000, [2, 4])
    assert counts.tolist() == [2, 4] and complete.all()


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 6))
def test_the_pools_of_the_classes_are_all_words_once(seed, letters, length):
    automaton = random_automaton(seed, letters)
    everything = np.array(list(itertools.product(range(letters), repeat=length)))
    np.testing.assert_array_equal(all_words(letters, length).all(), everything)
    for output in range(3):
        expected = everything[last_classes(automaton, everything) == output]
        pool = words_of_class(automaton, output, length)
        assert pool.size == len(expected)
        np.testing.assert_array_equal(pool.all(), expected.reshape(-1, length))


@pytest.mark.parametrize("listable", [0, 2**17])
def test_a_pool_draws_each_of_its_words_alike(monkeypatch, listable):
    monkeypatch.setattr(module, "LISTABLE", listable)  # 0: draw and reject
    pool = words_of_class(tomita(3), 1, 6, keep=lambda words: words[:, 0] == 1)
    drawn = pool.draw(20_000, np.random.default_rng(0))
    words, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(words, pool.all())
    expected = len(drawn) / len(words)
    assert ((counts - expected) ** 2 / expected).sum() < len(words) + 5 * np.sqrt(2 * len(words))  # chi-squared


def test_one_word_in_a_quintillion_is_found():
    rng = np.random.default_rng(0)
    assert words_of_class(tomita(1), 1, 60).size == 1
    assert words_of_class(tomita(1), 1, 60).draw(3, rng).all()
    assert words_of_class(tomita(1), 0, 60).size == 2**60 - 1
    assert not last_classes(tomita(1), words_of_class(tomita(1), 0, 60).draw(100, rng)).any()


def test_more_words_than_an_integer_can_count_are_refused():
    with pytest.raises(ValueError, match=r"fewer than 2\*\*63 words"):
        all_words(2, 63)
    with pytest.raises(ValueError, match=r"fewer than 2\*\*63 words"):
        words_of_class(tomita(1), 1, 63)


def test_an_empty_pool_is_listed_but_not_drawn_from():
    pool = words_of_class(tomita(2), 1, 3)
    assert pool.all().shape == (0, 3)
    with pytest.raises(ValueError, match="the pool must hold a word"):
        pool.draw(1, np.random.default_rng(0))


def test_uniform_words_follow_the_rule_and_list_short_words_in_order():
    words, lengths = uniform_words(4, 14, 3000, np.random.default_rng(0))
    counts, complete = slow_counts(3000, 4, 14)
    assert np.bincount(lengths)[1:].tolist() == counts
    assert complete == [True] * 3 + [False] * 11
    np.testing.assert_array_equal(words[lengths == 3][:, :3], list(itertools.product(range(4), repeat=3)))
    assert not words[np.arange(14) >= lengths[:, None]].any()


def test_samples_are_a_function_of_the_generator():
    for sample in (lambda rng: uniform_words(2, 14, 500, rng), lambda rng: balanced_words(tomita(5), 14, 500, rng)):
        one, two, other = (sample(np.random.default_rng(seed))[0] for seed in (0, 0, 1))
        np.testing.assert_array_equal(one, two)
        assert (one != other).any()


def test_only_words_to_keep_exist():
    def begins_with_a_one(words):
        return words[:, 0] == 1

    words, lengths = uniform_words(2, 10, 5000, np.random.default_rng(0), begins_with_a_one)
    assert begins_with_a_one(words).all()
    counts, _ = length_counts(5000, [2 ** (length - 1) for length in range(1, 11)])
    assert np.bincount(lengths)[1:].tolist() == counts.tolist()
    words, _ = balanced_words(tomita(4), 10, 5000, np.random.default_rng(0), begins_with_a_one)
    assert begins_with_a_one(words).all()


@pytest.mark.parametrize("seed", range(3))
def test_every_class_that_has_words_has_an_equal_share_of_each_length(seed):
    automaton = random_automaton(seed)
    words, lengths = balanced_words(automaton, 8, 1000, np.random.default_rng(0))
    for length in range(1, 9):
        here = words[lengths == length][:, :length]
        assert len(here) == 1000 * length // 36 + 1
        everything = np.array(list(itertools.product(range(3), repeat=length)))
        possible = np.unique(last_classes(automaton, everything))
        found, counts = np.unique(last_classes(automaton, here), return_counts=True)
        np.testing.assert_array_equal(found, possible)
        assert counts.max() - counts.min() <= 1


def test_a_length_without_words_is_left_out():
    def has_three_letters(words):
        return np.full(len(words), words.shape[1] > 2)

    words, lengths = balanced_words(tomita(1), 4, 100, np.random.default_rng(0), has_three_letters)
    assert set(lengths.tolist()) == {3, 4} and words.shape[1] == 4


def test_a_pool_may_be_made_of_any_ranking():
    pool = Pool(3, lambda ranks: ranks[:, None], keep=lambda words: words[:, 0] != 1)
    assert pool.size == 2 and pool.all().tolist() == [[0], [2]]
