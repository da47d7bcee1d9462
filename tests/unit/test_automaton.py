import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata.automaton import Automaton

PARTS = {
    "alphabet": ("a", "b", "c"),
    "classes": ("low", "high"),
    "states": ("s", "t"),
    "initial": 1,
    "transitions": [[0, 1, 1], [1, 0, 1]],
    "outputs": [0, 1],
}


@st.composite
def automata_and_words(draw):
    n, m, k = draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    automaton = Automaton(
        alphabet=tuple("abcd"[:m]),
        classes=tuple("xyz"[:k]),
        states=tuple(f"q{i}" for i in range(n)),
        initial=int(rng.integers(n)),
        transitions=rng.integers(n, size=(n, m)),
        outputs=rng.integers(k, size=n),
    )
    return automaton, rng.integers(m, size=(draw(st.integers(0, 5)), draw(st.integers(0, 8))))


@settings(max_examples=30)
@given(automata_and_words())
def test_run_follows_the_transitions_letter_by_letter(case):
    automaton, words = case
    states = automaton.run(words)
    assert states.shape == (len(words), words.shape[1] + 1)
    for word, visited in zip(words, states, strict=True):
        state = automaton.initial
        assert visited[0] == state
        for letter, reached in zip(word, visited[1:], strict=True):
            state = automaton.transitions[state][letter]
            assert reached == state


def test_equal_parts_make_equal_automata():
    one, two = Automaton(**PARTS), Automaton(**PARTS)
    other = Automaton(**{**PARTS, "outputs": [1, 1]})
    assert one == two == copy.deepcopy(one) and hash(one) == hash(two)
    assert one != other and one != "an automaton"
    assert len({one, two, other}) == 2


def test_an_automaton_cannot_be_changed():
    transitions = np.array(PARTS["transitions"])
    automaton = Automaton(**{**PARTS, "transitions": transitions})
    transitions[0, 0] = 1
    assert automaton.transitions[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        automaton.transitions[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphabet": ()}, "alphabet must be distinct names, at least one"),
        ({"alphabet": ("a", "a", "b")}, "alphabet must be distinct names"),
        ({"classes": (0, 1)}, "classes must be distinct names"),
        ({"states": ("s",)}, r"transitions must have the shape \(1, 3\)"),
        ({"transitions": [[0, 1], [1, 0]]}, r"transitions must have the shape \(2, 3\). Got \(2, 2\)"),
        ({"transitions": [[0, 1, 2], [1, 0, 1]]}, "transitions must be at least 0 and below 2. Got 2"),
        ({"transitions": [[0, 1, -1], [1, 0, 1]]}, "transitions must be at least 0 and below 2. Got -1"),
        ({"transitions": [[0, 1, 0.5], [1, 0, 1]]}, "transitions must be integers"),
        ({"outputs": [0, 2]}, "outputs must be at least 0 and below 2. Got 2"),
        ({"outputs": [0]}, r"outputs must have the shape \(2,\)"),
        ({"outputs": [True, False]}, "outputs must be integers"),
        ({"initial": 2}, "initial must be at least 0 and below 2. Got 2"),
        ({"initial": 0.0}, "initial must be integers"),
    ],
)
def test_wrong_parts_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Automaton(**{**PARTS, **change})


@pytest.mark.parametrize(
    ("words", "message"),
    [([0, 1], r"array \(B, T\). Got shape \(2,\)"), ([[0, 3]], "below 3. Got 3"), ([[0.0, 1.0]], "must be integers")],
)
def test_what_is_no_word_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        Automaton(**PARTS).run(words)
