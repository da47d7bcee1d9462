import itertools
from dataclasses import replace

import numpy as np
import pytest
from aalpy.automata import MooreMachine, MooreState
from aalpy.utils import bisimilar
from hypothesis import given, settings
from hypothesis import strategies as st

import mechlab.automata
from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import equivalent, minimise, reachable
from mechlab.automata.tomita import tomita


@st.composite
def automata(draw, letters=2, most=4):
    n, k = draw(st.integers(1, most)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Automaton(
        alphabet=tuple("ab"[:letters]),
        classes=tuple("xyz"[:k]),
        states=tuple(f"q{i}" for i in range(n)),
        initial=int(rng.integers(n)),
        transitions=rng.integers(n, size=(n, letters)),
        outputs=rng.integers(k, size=n),
    )


def output_of(automaton, word):
    state = automaton.initial
    for letter in word:
        state = automaton.transitions[state][letter]
    return automaton.classes[automaton.outputs[state]]


def slow_equivalent(a, b):
    """Try every word in order; automata of n and m states that differ do so within n + m - 2 letters."""
    for length in range(len(a.states) + len(b.states) - 1):
        for word in itertools.product(range(len(a.alphabet)), repeat=length):
            if output_of(a, word) != output_of(b, word):
                return word
    return None


def shuffled(automaton, seed):
    """The same automaton with its states in another order and its classes too."""
    rng = np.random.default_rng(seed)
    states, classes = rng.permutation(len(automaton.states)), rng.permutation(len(automaton.classes))
    place, new_class = np.argsort(states), np.argsort(classes)
    return Automaton(
        alphabet=automaton.alphabet,
        classes=[automaton.classes[output] for output in classes],
        states=[automaton.states[state] for state in states],
        initial=place[automaton.initial],
        transitions=place[automaton.transitions[states]],
        outputs=new_class[automaton.outputs[states]],
    )


def to_aalpy(automaton):
    classes = [automaton.classes[output] for output in automaton.outputs]
    states = list(map(MooreState, automaton.states, classes))
    for state, successors in zip(states, automaton.transitions, strict=True):
        state.transitions = {a: states[i] for a, i in zip(automaton.alphabet, successors, strict=True)}
    reached = reachable(automaton.transitions, automaton.initial)
    return MooreMachine(states[automaton.initial], [states[i] for i in reached])


@settings(max_examples=60)
@given(automata(), automata())
def test_the_counterexample_is_the_first_that_trying_all_words_finds(a, b):
    assert equivalent(a, b) == slow_equivalent(a, b)


@settings(max_examples=30)
@given(automata(most=6), automata(most=6), st.integers(0, 1000))
def test_aalpy_agrees(a, b, seed):
    """Automata that differ, and one that does not from its own reordering."""
    assert bisimilar(to_aalpy(a), to_aalpy(b)) == (equivalent(a, b) is None)
    assert equivalent(a, shuffled(a, seed)) is None


def test_a_difference_on_the_empty_word_is_found():
    other = replace(tomita(5), outputs=1 - tomita(5).outputs)
    assert equivalent(tomita(5), other) == ()


def test_long_counterexamples_are_found():
    """A cycle of 40 states differs from one of 41 only after 40 letters."""

    def cycle(n):
        return Automaton(
            alphabet=("a",),
            classes=("reject", "accept"),
            states=[f"q{i}" for i in range(n)],
            initial=0,
            transitions=(np.arange(n)[:, None] + 1) % n,
            outputs=(np.arange(n) == 0).astype(int),
        )

    assert equivalent(cycle(40), cycle(41)) == (0,) * 40
    assert len(minimise(cycle(40)).states) == 40


def test_classes_are_compared_by_name():
    swapped = replace(tomita(3), classes=("accept", "reject"), outputs=1 - tomita(3).outputs)
    assert equivalent(tomita(3), swapped) is None
    assert equivalent(tomita(3), replace(tomita(3), classes=("no", "yes"))) == ()


def test_other_letters_are_refused():
    with pytest.raises(ValueError, match=r"the same alphabet. Got \('0', '1'\) and \('1', '0'\)"):
        equivalent(tomita(1), replace(tomita(1), alphabet=("1", "0")))


@settings(max_examples=60)
@given(automata(most=6), st.integers(0, 1000))
def test_the_minimal_automaton_is_equivalent_smallest_and_canonical(automaton, seed):
    small = minimise(automaton)
    assert equivalent(automaton, small) is None
    for i, j in itertools.combinations(range(len(small.states)), 2):
        assert equivalent(replace(small, initial=i), replace(small, initial=j)) is not None
    assert reachable(small.transitions, 0).tolist() == list(range(len(small.states)))
    assert minimise(small) == small
    again = minimise(shuffled(automaton, seed))
    np.testing.assert_array_equal(again.transitions, small.transitions)
    assert [again.classes[i] for i in again.outputs] == [small.classes[i] for i in small.outputs]


@settings(max_examples=20)
@given(automata(most=6))
def test_aalpy_minimises_to_the_same_size(automaton):
    reference = to_aalpy(automaton)
    reference.minimize()
    assert len(minimise(automaton).states) == len(reference.states)


def test_states_that_no_word_leads_to_are_left_out_and_names_are_kept():
    automaton = Automaton(
        alphabet=("a",),
        classes=("reject", "accept"),
        states=("lost", "twin", "start", "end"),
        initial=2,
        transitions=[[0], [3], [3], [1]],
        outputs=[1, 0, 0, 1],
    )
    assert reachable(automaton.transitions, 2).tolist() == [2, 3, 1]
    assert minimise(automaton).states == ("start", "end")


def test_the_package_offers_both():
    assert mechlab.automata.equivalent is equivalent and mechlab.automata.minimise is minimise
