import itertools

import numpy as np
import pytest

from mechlab.automata.pushdown.accepted_words import AcceptedWords
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.pushdown.pushdown import ACTIONS, Pushdown, Rule


def random_machine(seed):
    rng = np.random.default_rng(seed)
    rules = [
        Rule(state, letter, guard, str(rng.choice(ACTIONS)), str(rng.choice(["p", "q"])))
        for state in ("p", "q")
        for letter in "ab"
        for guard in ("a", "b", "$")
    ]
    return Pushdown.of("ab", ["p", "q"], [str(rng.choice(["p", "q"]))], rules)


def tried(machine, length):
    """Try all words of a length."""
    words = np.array(list(itertools.product(range(len(machine.alphabet)), repeat=length)))
    return words[machine.outputs(words)[:, -1] == 1]


@pytest.mark.parametrize("seed", range(30))
def test_all_accepted_words_of_any_machine_are_found_and_counted(seed):
    """Machines of all actions, pops of two symbols with another below among them."""
    machine = random_machine(seed)
    accepted = AcceptedWords(machine)
    for length in range(1, 10):
        expected = tried(machine, length)
        assert accepted.count(length) == len(expected)
        np.testing.assert_array_equal(accepted.all(length), expected)


@pytest.mark.parametrize("name", ["L1", "L2", "L6", "L7", "L11", "L12", "L13", "L15"])
def test_all_words_of_a_grammar_are_found(name):
    machine = grammar(name)
    accepted = AcceptedWords(machine)
    for length in range(1, 7):
        np.testing.assert_array_equal(accepted.all(length), tried(machine, length))


def test_brackets_are_counted_by_the_numbers_of_catalan():
    catalan = [1, 1, 2, 5, 14, 42, 132, 429]
    for kinds, name in ((2, "L7"), (3, "L8"), (4, "L9")):
        accepted = AcceptedWords(grammar(name))
        assert [accepted.count(2 * k) for k in range(1, 8)] == [kinds**k * catalan[k] for k in range(1, 8)]
        assert not any(accepted.count(2 * k + 1) for k in range(8))
    assert accepted.count(0) == 0  # the empty word is in none of the languages


@pytest.mark.parametrize("case", ["L7", "L6", "L11", 7, 12, 22])
def test_each_accepted_word_is_drawn_alike(case):
    machine = grammar(case) if isinstance(case, str) else random_machine(case)
    accepted = AcceptedWords(machine)
    length = next(length for length in range(6, 11) if accepted.count(length) > 5)
    drawn = accepted.draw(length, 4000, np.random.default_rng(0))
    words, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(words, accepted.all(length))
    expected = len(drawn) / len(words)
    assert ((counts - expected) ** 2 / expected).sum() < len(words) + 5 * np.sqrt(2 * len(words))  # chi-squared


def test_long_words_are_drawn():
    for name, length in (("L9", 100), ("L5", 60), ("L10", 60)):
        machine = grammar(name)
        words = AcceptedWords(machine).draw(length, 5, np.random.default_rng(0))
        assert machine.outputs(words)[:, -1].all()


def test_where_no_word_is_accepted_none_is_drawn():
    accepted = AcceptedWords(grammar("L1"))
    assert accepted.all(3).shape == (0, 3)
    with pytest.raises(ValueError, match="some word of the length must be accepted"):
        accepted.draw(3, 1, np.random.default_rng(0))
