"""Automata as plain data: read in every spelling, written and read back, refused in words."""

import copy
import json

import numpy as np
import pytest

from mechlab.automata.automaton import Automaton
from mechlab.automata.definition import from_definition, read_automaton, to_definition
from mechlab.automata.dot import to_dot
from mechlab.automata.library import angluin, coffee, parentheses
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita

DFA = {
    "kind": "dfa",
    "alphabet": ["b", "a"],
    "classes": ["reject", "accept"],
    "states": ["even", "odd"],
    "initial": "odd",
    "transitions": [[0, 1], [1, 0]],
    "accepting": ["even"],
}
MOORE = {
    "kind": "moore",
    "alphabet": ["x", "y"],
    "classes": ["z", "p", "n"],
    "states": ["s0", "s1", "s2"],
    "initial": 0,
    "transitions": {"s0": {"x": "s1", "y": 2}, "s1": ["s1", "s0"], "s2": {"0": "s0", "1": "s2"}},
    "state_output": {"s0": "z", "s1": 1, "s2": "n"},
}
MEALY = {
    "kind": "mealy",
    "alphabet": ["t", "r"],
    "classes": ["on", "off", "idle"],
    "states": ["up", "down"],
    "initial": "down",
    "transitions": [[1, 0], [0, 1]],
    "transition_output": [["off", "idle"], ["on", 2]],
}
PUSHDOWN = {  # a^k b^k
    "kind": "pushdown",
    "alphabet": ["b", "a"],
    "classes": ["reject", "accept"],
    "states": ["done", "start", "open"],
    "initial": "start",
    "transitions": {
        "start": {"a": [{"target": "open", "action": "push"}]},
        "open": {
            "a": [{"target": "open", "action": "push", "guard": None}],
            "b": [{"target": "done", "action": "pop", "guard": "a"}, {"target": "err", "action": "none", "guard": "$"}],
        },
        "done": [[{"target": 0, "action": "pop", "guard": ["a"]}], []],
    },
    "accepting": [True, False, False],
}
ALL = {"dfa": DFA, "moore": MOORE, "mealy": MEALY, "pushdown": PUSHDOWN}


def test_order_is_that_of_the_lists_and_never_sorted():
    found = from_definition(DFA)
    assert found == Automaton(("b", "a"), ("reject", "accept"), ("even", "odd"), 1, [[0, 1], [1, 0]], [1, 0])
    moore = from_definition(MOORE)
    assert moore.classes == ("z", "p", "n") and moore.outputs.tolist() == [0, 1, 2]
    assert moore.transitions.tolist() == [[1, 2], [1, 0], [0, 2]]
    mealy = from_definition(MEALY)
    assert mealy.classes == ("on", "off", "idle") and set(mealy.parts) == {"up", "down"}


def test_a_mealy_machine_says_what_its_transitions_say():
    mealy, words = from_definition(MEALY), np.random.default_rng(0).integers(0, 2, (50, 12))
    said = mealy.outputs[mealy.run(words)[:, 1:]]
    for word, answers, states in zip(words, said, mealy.run(words)[:, 1:], strict=True):
        state = 1
        for letter, answer, reached in zip(word, answers, states, strict=True):
            expected = MEALY["transition_output"][state][letter]
            state = MEALY["transitions"][state][letter]
            assert mealy.classes[answer] == (expected if isinstance(expected, str) else MEALY["classes"][expected])
            assert mealy.parts[reached] == MEALY["states"][state]


def test_a_pushdown_automaton_starts_in_its_first_state_and_falls_into_err():
    machine = from_definition(PUSHDOWN)
    assert machine.states == ("start", "done", "open", "err") and machine.accepting.tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert machine.outputs([[1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 0, 1]]).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0], [0] * 4]


@pytest.mark.parametrize(
    "automaton",
    [angluin(), coffee(), parentheses(3), tomita(3), from_definition(MEALY), from_definition(MOORE)]
    + [random_automaton(6, 3, np.random.default_rng(0), outputs) for outputs in (2, 4)],
)
def test_what_is_written_is_read_back(automaton):
    assert from_definition(json.loads(json.dumps(to_definition(automaton)))) == automaton


@pytest.mark.parametrize("name", [*(f"L{i}" for i in range(1, 16)), "own"])
@pytest.mark.parametrize("compat", ["none", "published"])
def test_a_written_pushdown_automaton_is_read_back(name, compat):
    machine = from_definition(PUSHDOWN) if name == "own" else grammar(name, compat)
    again = from_definition(json.loads(json.dumps(to_definition(machine))))
    assert isinstance(again, Pushdown)
    for one, other in zip(vars(machine).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ALL)
def test_every_spelling_is_the_same_automaton(kind):
    """States and letters by name or index, rows as lists or mappings, with their keys as JSON writes them."""
    plain, spelled = ALL[kind], copy.deepcopy(ALL[kind])
    m, n = len(plain["alphabet"]), len(plain["states"])
    wanted = to_definition(from_definition(plain))
    tables = [key for key in ("transitions", "transition_output", "state_output") if key in plain]
    for key in tables:
        if isinstance(spelled[key], list):
            spelled[key] = {str(i): row for i, row in enumerate(spelled[key])}
            if key != "state_output":
                spelled[key] = {q: dict(zip(plain["alphabet"], row, strict=True)) for q, row in spelled[key].items()}
    spelled["initial"] = plain["states"].index(plain["initial"]) if isinstance(plain["initial"], str) else "s0"
    if "accepting" in plain and isinstance(plain["accepting"][0], str):
        spelled["accepting"] = {name: name in plain["accepting"] for name in plain["states"]}
    elif "accepting" in plain:
        spelled["accepting"] = [i for i, accepts in enumerate(plain["accepting"]) if accepts]
    assert (m, n) == (len(spelled["alphabet"]), len(spelled["states"]))
    assert to_definition(from_definition(json.loads(json.dumps(spelled)))) == wanted


def test_numbers_may_be_names_and_are_then_no_indices():
    found = from_definition(
        DFA | {"alphabet": [7, 3], "states": [2, 1], "initial": 1, "transitions": [[2, 1], [1, 2]], "accepting": [2]}
    )
    assert found.alphabet == ("7", "3") and found.states == ("2", "1") and found.initial == 1
    assert found.transitions.tolist() == [[0, 1], [1, 0]] and found.outputs.tolist() == [1, 0]
    assert from_definition(DFA | {"classes": [True, False]}).outputs.tolist() == [0, 1]  # true comes first here


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("dfa", {"kind": "nfa"}, "kind must be one of dfa, moore, mealy, pushdown. Got 'nfa'"),
        ("dfa", {"kind": []}, "kind must be one of"),
        ("dfa", {"accepting": None}, "accepting must be a list of states"),
        ("dfa", {"accepting": ["evn"]}, r"accepting must be one of the states \(even, odd\)"),
        ("dfa", {"accepting": {"even": 1, "odd": 0}}, "true or false for each state"),
        ("dfa", {"acepting": []}, "did you mean 'accepting'"),
        ("dfa", {"classes": ["a", "b", "c"]}, "must be two"),
        ("dfa", {"alphabet": ["a", "a"]}, "alphabet must be a list of distinct names"),
        ("dfa", {"alphabet": "ab"}, "alphabet must be a list"),
        ("dfa", {"states": []}, "states must be a list"),
        ("dfa", {"initial": 2}, "initial must be one of the states"),
        ("dfa", {"initial": True}, "initial must be one of the states"),
        ("dfa", {"transitions": [[0, 1]]}, "a list of 2, one for each of even, odd. Got 1 items"),
        ("dfa", {"transitions": [[0, 1], [0]]}, r"transitions\[odd\] must be a mapping, or a list of 2"),
        ("dfa", {"transitions": [[0, 1], [0, 2]]}, r"transitions\[odd\]\[a\] must be one of the states"),
        (
            "dfa",
            {"transitions": [[0, 1], {"a": 0}]},
            r"transitions\[odd\] must have a value for all alphabet. Got none for b",
        ),
        (
            "dfa",
            {"transitions": [[0, 1], {"a": 0, "b": 0, "1": 0}]},
            r"transitions\[odd\] must have one value for each",
        ),
        ("moore", {"state_output": ["z", "p", "q"]}, r"state_output\[s2\] must be one of the classes \(z, p, n\)"),
        (
            "mealy",
            {"transition_output": [[0, 1], [2, 3]]},
            r"transition_output\[down\]\[r\] must be one of the classes",
        ),
        ("pushdown", {"alphabet": ["$", "a"], "transitions": {}}, "letters other than"),
        ("pushdown", {"says": "top"}, "says must be class or state"),
        (
            "pushdown",
            {"transitions": [[[], []], [[], [{"action": "pop"}]], [[], []]]},
            r"\[start\]\[a\] must be a list of {target",
        ),
        (
            "pushdown",
            {"transitions": [[[], []], [[], [{"target": "x"}]], [[], []]]},
            r"target in transitions\[start\]\[a\]",
        ),
        ("pushdown", {"transitions": [[[], []], [[], [{"target": 0, "action": "poop"}]], [[], []]]}, "action in"),
        ("pushdown", {"transitions": [[[], []], [[], [{"target": 0, "guard": "c"}]], [[], []]]}, "the guard in"),
        (
            "pushdown",
            {"transitions": [[[], []], [[], [{"target": 0}, {"target": 1, "guard": "a"}]], [[], []]]},
            "at most one rule",
        ),
        ("pushdown", {"transitions": [[[], []], [[], {"target": 0}], [[], []]]}, r"\[start\]\[a\] must be a list"),
        ("pushdown", {"initial": "err", "states": ["done", "err", "open"], "transitions": {}}, "state err, for"),
    ],
)
def test_what_is_wrong_is_told(kind, change, message):
    with pytest.raises(ValueError, match=message):
        from_definition(ALL[kind] | change)


@pytest.mark.parametrize("kind", ALL)
def test_what_is_missing_is_told(kind):
    for key in (key for key in ALL[kind] if key not in ("classes", "kind")):
        with pytest.raises(ValueError, match=f"Got no {key}"):
            from_definition({name: value for name, value in ALL[kind].items() if name != key})
    with pytest.raises(ValueError, match="must be a mapping"):
        from_definition([])


def test_files_are_read_by_their_endings(tmp_path):
    (tmp_path / "a.dot").write_text(to_dot(angluin()))
    (tmp_path / "a.json").write_text(json.dumps(to_definition(angluin())))
    assert read_automaton(tmp_path / "a.json") == angluin()
    assert read_automaton(str(tmp_path / "a.dot")).transitions.shape == (4, 2)
    for name, text, message in [
        ("bad.json", "{", "bad.json: "),
        ("bad2.json", '{"kind": "dfa"}', "bad2.json: a dfa must have"),
        ("a.txt", "", r"a.txt: the file of an automaton must end in .dot or .json"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            read_automaton(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_automaton(tmp_path / "none.json")


def test_what_else_a_file_tells_does_no_harm():
    assert from_definition({**DFA, "name": "parity", "source": None}) == from_definition(DFA)


def test_accepting_may_be_ones_and_zeros():
    """Where a list repeats itself it cannot list states."""
    plain = {"kind": "dfa", "alphabet": ["a"], "states": ["p", "q", "r"], "initial": 0, "transitions": [[1], [2], [0]]}
    assert from_definition({**plain, "accepting": [1, 0, 0]}).outputs.tolist() == [1, 0, 0]
    assert from_definition({**plain, "accepting": [1, 0]}).outputs.tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="each state once"):
        from_definition({**plain, "accepting": [1, 1]})


def test_states_of_a_mealy_machine_keep_their_order():
    machine = {"kind": "mealy", "alphabet": ["a"], "classes": ["x", "y"], "states": ["a", "b", "c"], "initial": "a"}
    machine |= {"transitions": [["c"], ["a"], ["b"]], "transition_output": [["x"], ["y"], ["x"]]}
    assert list(dict.fromkeys(from_definition(machine).parts)) == ["a", "b", "c"]
