import random

import numpy as np
import pytest

from mechlab.automata.pushdown.accepted_words import AcceptedWords
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.pushdown.pushdown import ACTIONS
from mechlab.automata.pushdown.words import balanced_words, near_misses, walk_words, walks
from mechlab.automata.words.sampling import length_counts


def everything(words):
    return np.ones(len(words), bool)


def test_walks_take_possible_letters_as_often_as_published():
    """By hand for a^k b^k: at the start a is possible only, after a run of a both are."""
    machine = grammar("L1")
    words = walks(machine, 2, 40_000, np.random.default_rng(0))
    begins = (words[:, 0] == 0).mean()
    assert begins == pytest.approx(0.75 + 0.25 / 2, abs=0.01)
    assert words[words[:, 0] == 0, 1].mean() == pytest.approx(0.5, abs=0.01)
    assert words[words[:, 0] == 1, 1].mean() == pytest.approx(0.5, abs=0.01)  # in err


def test_in_the_published_file_both_first_letters_are_possible():
    words = walks(grammar("L1", "published"), 1, 20_000, np.random.default_rng(0))
    assert words.mean() == pytest.approx(0.5, abs=0.015)


def slow_walk(machine, length, rng):
    """Walk letter by letter; return the last control state, and whether the word is accepted."""
    m, state, stack = len(machine.alphabet), 0, [len(machine.alphabet)]
    for _ in range(length):
        possible = [letter for letter in range(m) if machine.possible[state, letter, stack[-1]]]
        letter = rng.choice(possible) if possible and rng.random() <= 0.75 else rng.randrange(m)
        target = int(machine.successors[state, letter, stack[-1]])
        action = ACTIONS[machine.actions[state, letter, stack[-1]]]
        pops = {"pop": 1, "pop2": 2}.get(action, 0)
        if len(stack) <= pops:
            state = len(machine.states) - 1
        else:
            state, stack = target, stack[: len(stack) - pops]
            stack += {"push": [letter], "push2": [letter] * 2}.get(action, [])
    return state, machine.accepting[state] and stack == [m]


@pytest.mark.parametrize("name", ["L1", "L6", "L7", "L13"])
def test_walks_end_where_those_of_a_loop_over_letters_do(name):
    machine, slow_rng, n = grammar(name, "published"), random.Random(0), 2000
    states, accepted = zip(*(slow_walk(machine, 6, slow_rng) for _ in range(n)), strict=True)
    words = walks(machine, 6, 20_000, np.random.default_rng(0))
    size = len(machine.states)
    found = np.bincount(machine.run(words).states[:, -1], minlength=size) / 20_000
    np.testing.assert_allclose(found, np.bincount(states, minlength=size) / n, atol=4 * 0.5 / n**0.5)
    assert machine.outputs(words)[:, -1].mean() == pytest.approx(np.mean(accepted), abs=4 * 0.5 / n**0.5)


REJECTED = {  # measured on the published automata: share of uniform words of 5 to 13 letters with no accepted prefix
    "L1": 0.645, "L2": 0.671, "L3": 1, "L4": 0.998, "L5": 1, "L6": 0.965, "L7": 0.869, "L8": 0.931, "L9": 0.934,
    "L10": 1, "L11": 0.967, "L12": 0.865, "L13": 0.255, "L14": 0.492, "L15": 0.781,
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
def test_a_constant_guess_is_as_good_on_uniform_words_as_measured_before(name):
    machine, rng = grammar(name, "published"), np.random.default_rng(0)
    words = [rng.integers(len(machine.alphabet), size=(1000, length)) for length in range(5, 14)]
    rejected = np.concatenate([~machine.outputs(block).any(1) for block in words])
    assert rejected.mean() == pytest.approx(REJECTED[name], abs=0.04)


def test_walk_words_follow_the_rule_of_lengths():
    words, lengths = walk_words(grammar("L7"), 14, 3000, np.random.default_rng(0))
    counts, complete = length_counts(3000, [4**length for length in range(1, 15)])
    assert np.bincount(lengths)[1:].tolist() == counts.tolist() and complete[:3].all()
    assert not words[np.arange(14) >= lengths[:, None]].any()


@pytest.mark.parametrize("options", [{"stack_limit": 3}, {"break_on_impossible": True}])
def test_words_end_where_they_should(options):
    machine = grammar("L8")
    words, lengths = walk_words(machine, 12, 3000, np.random.default_rng(0), **options)
    found, inside = machine.run(words), np.arange(12) < lengths[:, None]
    assert lengths.min() >= 1
    if "stack_limit" in options:
        high = (found.heights[:, 1:] > 3) & inside
        assert (high.sum(1) <= 1).all() and high[np.arange(len(words)), lengths - 1].sum() == high.sum() > 0
    else:
        assert not ((found.states[:, 1:] == 2) & inside).any()  # no word falls into err


def test_only_words_to_keep_exist():
    def keep(words, lengths):
        return words.sum(1) % 2 == 0

    words, lengths = walk_words(grammar("L2"), 10, 2000, np.random.default_rng(0), keep)
    assert (words.sum(1) % 2 == 0).all() and len(words) > 1900 and lengths.max() == 10


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("name", ["L1", "L3", "L6", "L9", "L10", "L13"])
def test_half_of_each_length_is_accepted(name, near):
    machine = grammar(name)
    accepted, rng = AcceptedWords(machine), np.random.default_rng(0)
    words, lengths = balanced_words(machine, accepted, range(1, 13), 600, rng, everything, everything, near)
    verdicts = machine.outputs(words)[np.arange(len(words)), lengths - 1]
    assert set(lengths.tolist()) == {
        length for length in range(1, 13) if 0 < accepted.count(length) < len(machine.alphabet) ** length
    }
    for length in set(lengths.tolist()):
        assert verdicts[lengths == length].mean() == 0.5
    assert 600 <= len(words) <= 600 + 2 * 12


def test_a_near_miss_is_one_letter_or_one_swap_away():
    words = np.random.default_rng(0).integers(5, size=(500, 7))
    other = near_misses(words, 5, 1, np.random.default_rng(1))
    changed = words != other
    assert set(changed.sum(1)) == {0, 1, 2}  # 0: equal neighbours were swapped
    for word, miss, places in zip(words, other, changed, strict=True):
        if places.sum() == 2:
            i, j = np.flatnonzero(places)
            assert (j - i in (1, 6)) and (word[i], word[j]) == (miss[j], miss[i])
    assert (changed.sum(1) == 1).mean() == pytest.approx(0.5, abs=0.1)


def test_rejected_words_near_accepted_ones_hold_few_changes():
    """Of brackets of one length all rejected words but few have an accepted word one change away."""
    machine = grammar("L7")
    accepted = AcceptedWords(machine)
    words, _ = balanced_words(machine, accepted, [6], 200, np.random.default_rng(0), everything, everything, True)
    rejected = words[machine.outputs(words)[:, -1] == 0]
    distance = (rejected[:, None] != accepted.all(6)[None]).sum(2).min(1)
    assert distance.max() <= 2
