import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from aalpy.automata import MealyMachine
from aalpy.utils import load_automaton_from_file, save_automaton_to_file
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata.automaton import Automaton
from mechlab.automata.dot import from_dot, read_dot, to_dot
from mechlab.automata.equivalence import equivalent
from mechlab.automata.library import coffee, parentheses
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita

DFA = """
digraph g {
  // a comment -> not an edge
  rankdir=LR; node [fontsize=10]
  s0 [label="even"];
  s1 [shape="doublecircle" label="odd"];
  s0 -> s1 [label="a"]; s1 -> s0 [label="a"];
  s0 -> s0 [label="->"]
  s1 -> s1 [label="->"]
  __start0 [label="" shape="none"];
  __start0 -> s0;
}
"""


def told_by_aalpy(path, kind, words, alphabet):
    """Return what AALpy's automaton of a file says after each letter of each word."""
    with contextlib.redirect_stdout(io.StringIO()):
        automaton = load_automaton_from_file(path, kind)
    letters = [int(letter) if letter.isdigit() else letter for letter in alphabet]
    said = []
    for word in words:
        automaton.reset_to_initial()
        said.append([automaton.step(letters[i]) for i in word])
    return said


def test_a_hand_written_dfa_is_read():
    automaton = from_dot(DFA)
    assert automaton.alphabet == ("->", "a") and automaton.classes == ("reject", "accept")
    assert automaton.states == ("even", "odd") and automaton.initial == 0
    assert automaton.transitions.tolist() == [[0, 1], [1, 0]] and automaton.outputs.tolist() == [0, 1]


@pytest.mark.parametrize("automaton", [*map(tomita, range(1, 8)), parentheses(3)], ids=str)
def test_a_dfa_comes_back(automaton):
    assert from_dot(to_dot(automaton)) == automaton


@pytest.mark.parametrize("seed", range(3))
def test_a_moore_machine_comes_back(seed):
    automaton = random_automaton(8, 4, np.random.default_rng(seed), classes=3)
    assert from_dot(to_dot(automaton)) == automaton
    assert equivalent(from_dot(to_dot(coffee())), coffee()) is None


@settings(max_examples=60)
@given(*[st.lists(st.text('ab"\\|{}<>/[]=;,-', min_size=1), min_size=2, max_size=2, unique=True)] * 3)
def test_names_of_any_signs_come_back(letters, states, classes):
    automaton = Automaton(sorted(letters), sorted(classes), states, 1, [[0, 1], [1, 0]], [0, 1])
    assert from_dot(to_dot(automaton)) == automaton


@pytest.mark.parametrize("classes", [2, 3])
def test_aalpy_reads_what_is_written(classes, tmp_path):
    automaton = random_automaton(6, 2, np.random.default_rng(0), classes)
    path = tmp_path / "automaton.dot"
    path.write_text(to_dot(automaton))
    words = np.random.default_rng(1).integers(2, size=(20, 12))
    said = told_by_aalpy(path, "dfa" if classes == 2 else "moore", words, automaton.alphabet)
    expected = automaton.outputs[automaton.run(words)[:, 1:]]
    names = [False, True] if classes == 2 else automaton.classes
    assert said == [[names[i] for i in row] for row in expected]


@pytest.mark.parametrize(
    "classes", [("False", "True"), ("no", "yes"), ("accept", "reject"), ("true", "false"), ("0", "1")]
)
def test_a_dfa_is_read_as_one_whatever_its_classes_are_called(classes, tmp_path):
    """AALpy reads accepting states as accepting, and, if asked for a Moore machine, the names of the classes."""
    accepting = 0 if classes[0] in ("accept", "true") else 1
    automaton = replace(tomita(3), classes=classes, outputs=np.where(tomita(3).outputs, accepting, 1 - accepting))
    path = tmp_path / "automaton.dot"
    path.write_text(to_dot(automaton))
    words = np.random.default_rng(1).integers(2, size=(20, 12))
    expected = automaton.outputs[automaton.run(words)[:, 1:]]
    said = told_by_aalpy(path, "dfa", words, automaton.alphabet)
    assert said == (expected == accepting).tolist() and 0 < np.mean(said) < 1
    if set(classes) != {"accept", "reject"}:
        names = [int(name) if name.isdigit() else name for name in classes]
        assert told_by_aalpy(path, "moore", words, automaton.alphabet) == [[names[i] for i in row] for row in expected]
    assert equivalent(from_dot(path.read_text()), automaton) is None


def test_what_aalpy_writes_is_read(tmp_path):
    """A Mealy machine of three states, whose letters are numbers."""
    setup = {
        "x": {1: ("no", "y"), 10: ("yes", "x")},
        "y": {1: ("yes", "z"), 10: ("no", "x")},
        "z": {1: ("no", "z"), 10: ("maybe", "y")},
    }
    machine = MealyMachine.from_state_setup(setup)
    with contextlib.redirect_stdout(io.StringIO()):
        save_automaton_to_file(machine, tmp_path / "machine.dot")
    automaton = read_dot(tmp_path / "machine.dot")
    assert automaton.alphabet == ("1", "10") and automaton.classes == ("maybe", "no", "yes")
    words = np.random.default_rng(0).integers(2, size=(50, 10))
    said = told_by_aalpy(tmp_path / "machine.dot", "mealy", words, automaton.alphabet)
    assert said == [[automaton.classes[i] for i in row] for row in automaton.outputs[automaton.run(words)[:, 1:]]]


def test_states_whose_labels_are_alike_keep_their_names():
    automaton = from_dot(DFA.replace('"odd"', '"even"'))
    assert automaton.states == ("s0", "s1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one directed graph"),
        ("\x00\x01 binary", "one directed graph"),
        (DFA[:-20], "one directed graph"),
        ("graph g { a -- b }", "one directed graph"),
        (DFA.replace('label="odd"]', 'label="odd]'), "one directed graph"),
        (DFA.replace("__start0 -> s0", ""), "__start0 must point at a state. Got None"),
        (DFA.replace("__start0 -> s0", "__start0 -> s7"), "must point at a state. Got 's7'"),
        (DFA.replace("__start0 -> s0", "__start0 -> s0; __start0 -> s1"), "one initial state"),
        (DFA.replace('s0 -> s1 [label="a"]', ""), "Got none for 'a' from 's0'"),
        (DFA.replace('s0 -> s1 [label="a"]', 's0 -> s1 [label="->"]'), "Got two for '->' from 's0'"),
        (DFA.replace('s0 -> s1 [label="a"]', 's0 -> s9 [label="a"]'), "Got 's9', which is not"),
        (DFA.replace('s0 -> s1 [label="a"]', "s0 -> s1"), "must have a letter"),
        (DFA.replace('s0 -> s1 [label="a"]', "s0 -> [label=a]"), "a state's name must follow"),
        (DFA.replace('s0 -> s1 [label="a"]', "s0 -> s1 [label a]"), "attributes must be"),
        ("digraph g { a; __start0 -> a }", "there must be transitions"),
    ],
)
def test_what_is_no_automaton_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        from_dot(text)
    path = tmp_path / "bad.dot"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.dot: .*{message}"):
        read_dot(path)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_dot(tmp_path / "none.dot")
    (tmp_path / "bytes.dot").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"bytes\.dot"):
        read_dot(tmp_path / "bytes.dot")
