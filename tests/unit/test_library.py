import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata import named
from mechlab.automata.definition import to_definition
from mechlab.automata.equivalence import equivalent, minimise, reachable
from mechlab.automata.library import CONTEXT_FREE, REGULAR, angluin, coffee, parentheses
from mechlab.automata.mealy import moore_of_mealy
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita


def verdicts(automaton, length):
    words = np.array(list(itertools.product(range(len(automaton.alphabet)), repeat=length)), int)
    return words, automaton.outputs[automaton.run(words.reshape(len(words), length))[:, -1]]


def test_angluin_counts_two_parities():
    for length in range(9):
        words, found = verdicts(angluin(), length)
        np.testing.assert_array_equal(found, ((words == 0).sum(1) % 2 == 0) & ((words == 1).sum(1) % 2 == 0))
    assert len(minimise(angluin()).states) == 4


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_parentheses_are_balanced_and_not_too_deep(depth):
    automaton = parentheses(depth)
    assert len(automaton.states) == len(minimise(automaton).states) == depth + 2
    for length in range(11):
        words, found = verdicts(automaton, length)
        height = np.cumsum(1 - 2 * words, 1).reshape(len(words), length)
        balanced = (height >= 0).all(1) & (height <= depth).all(1) & (height[:, -1:] == 0).all(1)
        np.testing.assert_array_equal(found, balanced)


def test_parentheses_of_no_depth_are_refused():
    with pytest.raises(ValueError, match="depth must be at least 1"):
        parentheses(0)


def make_coffee(word):
    """The machine in words: what it says to each letter."""
    said, pod, water, cup, broken = [], False, False, False, False
    for letter in word:
        if not broken and letter == "clean":
            pod = water = cup = False
            said.append("check")
        elif broken or cup or (letter == "button" and not (pod and water)):
            broken = True
            said.append("star")
        elif letter == "button":
            cup = True
            said.append("coffee")
        else:
            pod, water = pod or letter == "pod", water or letter == "water"
            said.append("check")
    return said


def test_the_coffee_machine_says_what_it_should():
    automaton = coffee()
    for word in itertools.product(range(4), repeat=6):
        said = [automaton.classes[i] for i in automaton.outputs[automaton.run([word])[0, 1:]]]
        assert said == make_coffee([automaton.alphabet[letter] for letter in word])


def test_the_coffee_machine_has_a_state_too_many():
    assert [name.split("/")[0] for name in coffee().states] == ["a", "b", "c", "d", "dp", "e", "f"]
    assert len(minimise(coffee()).states) == 6


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 10_000))
def test_a_moore_machine_says_what_the_mealy_machine_says(n, m, k, seed):
    rng = np.random.default_rng(seed)
    transitions, outputs = rng.integers(n, size=(n, m)), rng.integers(k, size=(n, m))
    automaton = moore_of_mealy(
        "abc"[:m], "xyz"[:k], [f"s{i}" for i in range(n)], initial := int(rng.integers(n)), transitions, outputs
    )
    assert len(automaton.states) <= n * k + 1 and automaton.mealy and automaton.size <= n
    turned = moore_of_mealy(  # the order of the classes changes nothing
        "abc"[:m], "xyz"[:k][::-1], [f"s{i}" for i in range(n)], initial, transitions, k - 1 - outputs
    )
    assert set(turned.states) == set(automaton.states) and equivalent(turned, automaton) is None
    assert turned.states[turned.initial] == automaton.states[automaton.initial]
    for word in itertools.product(range(m), repeat=5):
        state, visited = initial, automaton.run([word])[0]
        assert automaton.parts[visited[0]] == f"s{initial}"
        for letter, reached in zip(word, visited[1:], strict=True):
            assert automaton.outputs[reached] == outputs[state, letter]
            state = transitions[state, letter]
            assert automaton.parts[reached] == f"s{state}"


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("m", [2, 4, 6])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_random_automaton_is_minimal_and_has_the_numbers_asked_for(n, m, classes):
    if classes > n:
        return
    automaton = random_automaton(n, m, np.random.default_rng(n * m * classes), classes)
    assert automaton.transitions.shape == (n, m) and len(automaton.classes) == classes
    assert set(automaton.outputs.tolist()) == set(range(classes))
    assert minimise(automaton) == automaton


def test_published_sizes_have_the_published_share_of_accepting_states():
    for n, accepting in ((5, 2), (10, 4)):
        for seed in range(5):
            automaton = random_automaton(n, 2, np.random.default_rng(seed))
            assert automaton.classes == ("reject", "accept") and automaton.outputs.sum() == accepting
    assert random_automaton(6, 2, np.random.default_rng(0), accepting=5).outputs.sum() == 5


def test_a_random_automaton_is_a_function_of_the_generator():
    one, two, other = (random_automaton(8, 2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == two and equivalent(one, other) is not None


def test_every_automaton_that_fits_is_as_likely():
    """Two states, two letters, one accepting: all tables are listed, and each canonical form is drawn as often."""
    fitting = set()
    for table in itertools.product(range(2), repeat=4):
        transitions = np.array(table).reshape(2, 2)
        if len(reachable(transitions, 0)) == 2:
            fitting |= {(table, accepting) for accepting in (0, 1)}
    rng, draws = np.random.default_rng(0), 4800
    drawn = [random_automaton(2, 2, rng) for _ in range(draws)]
    keys = [(tuple(one.transitions.ravel().tolist()), int(one.outputs.argmax())) for one in drawn]
    counts = np.array([keys.count(key) for key in fitting])
    assert counts.sum() == draws and len(fitting) == 24
    assert ((counts - draws / 24) ** 2 / (draws / 24)).sum() < 24 + 5 * np.sqrt(48)  # chi-squared


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((1, 2), "states must be at least 2. Got 1"),
        ((5, 1), "letters must be at least 2. Got 1"),
        ((5, 27), "letters must be at most 26. Got 27"),
        ((3, 2, 4), "no more classes than states. Got 4 for 3"),
        ((3, 2, 2, 3), "at least 1 and below the 3 states of a DFA. Got 3 with 2 classes"),
        ((3, 2, 3, 1), "Got 1 with 3 classes"),
    ],
)
def test_numbers_that_nothing_fits_are_refused(sizes, message):
    states, letters, *rest = sizes
    with pytest.raises(ValueError, match=message):
        random_automaton(states, letters, np.random.default_rng(0), *rest)


def test_automata_by_name():
    """Sizes are those of the tables in the source: states, letters."""
    sizes = {"angluin": (4, 2), "coffee": (7, 4), "parentheses": (5, 2)}
    sizes |= {f"tomita{i + 1}": (n, 2) for i, n in enumerate((2, 4, 5, 4, 4, 3, 5))}
    assert {name: (named(name).size, len(named(name).alphabet)) for name in REGULAR} == sizes
    assert [named(f"tomita{i}") for i in range(1, 8)] == [tomita(i) for i in range(1, 8)]
    assert named("parentheses", depth=2) == parentheses(2) != named("parentheses")
    counts = [4, 4, 10, 7, 10, 7, 3, 3, 3, 11, 5, 4, 3, 3, 5]  # with err
    assert [len(named(name).states) for name in CONTEXT_FREE] == counts
    assert to_definition(named("L3")) == to_definition(grammar("L3"))


@pytest.mark.parametrize("name", ["cofee", "tomita8", "L16", "mqtt", ""])
def test_a_name_that_no_automaton_has(name):
    with pytest.raises(ValueError, match=f"no automaton named '{name}'.*angluin, coffee, .*tomita7, L1, .*L15$"):
        named(name)
    with pytest.raises(ValueError, match="did you mean 'coffee'"):
        named("cofee")
