"""Factors of automata: the known ones are found and named, and given ones are checked."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.automata.automaton import Automaton
from mechlab.automata.factors import closed_factors, named_factors, part_numbers
from mechlab.automata.library import angluin, coffee
from mechlab.automata.mealy import moore_of_mealy
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita


def test_tomita_5_has_two_parities_of_letters_and_that_of_the_length() -> None:
    words = np.random.default_rng(0).integers(2, size=(200, 9))
    reached = tomita(5).run(words)[:, 1:]
    zeros, ones = (words == 0).cumsum(1) % 2, (words == 1).cumsum(1) % 2
    expected = {"0_mod_2": zeros, "1_mod_2": ones, "length_mod_2": (zeros + ones) % 2}
    factors = {factor.name: factor.blocks for factor in closed_factors(tomita(5))}
    assert set(factors) == set(expected)
    for name, parity in expected.items():
        blocks = factors[name][reached]
        assert (blocks == parity).all() or (blocks == 1 - parity).all()
    assert {factor.name for factor in closed_factors(angluin())} == {"a_mod_2", "b_mod_2", "length_mod_2"}


def test_a_counter_modulo_a_prime_has_no_factors_and_one_modulo_six_has_two() -> None:
    assert closed_factors(tomita(6)) == ()
    six = Automaton(("a", "b"), ("x", "y"), tuple("012345"), 0, [[(i + 1) % 6, i] for i in range(6)], [0, 1] * 3)
    assert [factor.name for factor in closed_factors(six)] == ["a_mod_2", "a_mod_3"]
    assert [factor.groups(six.states) for factor in closed_factors(six)] == ["0, 2, 4 | 1, 3, 5", "0, 3 | 1, 4 | 2, 5"]


def test_states_that_say_the_same_ever_after_are_a_factor() -> None:
    (factor,) = closed_factors(coffee())
    assert "d, dp" in factor.groups(part_numbers(coffee())[1])


def test_a_mealy_machine_is_divided_by_its_own_states() -> None:
    """The output on the way says how often a was read, modulo two; the states themselves count modulo four."""
    machine = moore_of_mealy(["a"], ["x", "y"], list("pqrs"), 0, [[1], [2], [3], [0]], [[0], [1], [0], [1]])
    number, names = part_numbers(machine)
    assert names == ("p", "q", "r", "s") and len(number) == len(machine.states)
    assert [factor.groups(names) for factor in closed_factors(machine)] == ["p, r | q, s"]


def test_states_that_no_word_reaches_are_blocks_of_their_own() -> None:
    moves = [[1, 1], [0, 0], [2, 0], [3, 3], [0, 1]]
    automaton = Automaton(("a", "b"), ("x", "y"), tuple("stuvw"), 0, moves, [0] * 5)
    assert closed_factors(automaton) == ()
    larger = random_automaton(65, 2, np.random.default_rng(0))
    assert closed_factors(larger) == ()  # which is not searched


def test_factors_are_given_by_blocks_or_by_groups() -> None:
    states = ("s", "t", "sink")
    blocks, groups = named_factors({"one": [5, 5, 2], "other": [["sink"], ["t", "s"]]}, states)
    np.testing.assert_array_equal(blocks.blocks, groups.blocks)
    assert groups.groups(states) == "s, t | sink"


@pytest.mark.parametrize(
    "wrong,message",
    [
        ({"two words": [0, 0, 1]}, "letters, digits and underscores"),
        ({"short": [0, 1]}, "a block for each of 3 states. Got 2"),
        ({"mixed": [0, ["t", "sink"]]}, "numbers of blocks, or groups"),
        ({"missing": [["s"], ["t"]]}, "each of s, t, sink once"),
        ({"twice": [["s", "t"], ["t", "sink"]]}, "each of s, t, sink once"),
        ({"unknown": [["s", "u"], ["t", "sink"]]}, "each of s, t, sink once"),
    ],
)
def test_what_is_no_partition_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named_factors(wrong, ("s", "t", "sink"))
