"""Mealy machines: their own states are counted, compared and written, whatever the order of the classes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from aalpy.automata import MealyMachine
from aalpy.utils import bisimilar
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dot import told_by_aalpy
from test_extraction import FEW, analyse

from mechlab.automata.automaton import Automaton
from mechlab.automata.definition import from_definition, to_definition
from mechlab.automata.dot import from_dot, to_dot
from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.mealy import mealy_of, minimal_mealy, moore_of_mealy
from mechlab.models.constructed import Constructed
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.automaton import AutomatonWords

CLASSES = ("CONNACK", "CONCLOSED", "SUBACK", "PUBACK", "UNSUBACK", "PUBACK__PUBLISH")
BROKER = {  # a message broker: before a connection, connected, and subscribed
    "kind": "mealy",
    "alphabet": ["connect", "disconnect", "subscribe", "publish", "unsubscribe", "invalid"],
    "states": ["s0", "s1", "s2"],
    "initial": "s0",
    "transitions": [[1, 0, 0, 0, 0, 0], [0, 0, 2, 1, 1, 0], [0, 0, 2, 2, 1, 0]],
    "transition_output": [
        ["CONNACK", *["CONCLOSED"] * 5],
        ["CONCLOSED", "CONCLOSED", "SUBACK", "PUBACK", "UNSUBACK", "CONCLOSED"],
        ["CONCLOSED", "CONCLOSED", "SUBACK", "PUBACK__PUBLISH", "UNSUBACK", "CONCLOSED"],
    ],
}
ORDERS = [CLASSES, CLASSES[::-1], sorted(CLASSES), ("SUBACK", "PUBACK", "CONNACK", "CONCLOSED", *CLASSES[4:])]


def broker(classes: tuple[str, ...] = CLASSES) -> dict:
    return {**BROKER, "classes": list(classes)}


def random_mealy(n: int, m: int, k: int, seed: int) -> Automaton:
    rng = np.random.default_rng(seed)
    moves, outputs = rng.integers(n, size=(n, m)), rng.integers(k, size=(n, m))
    return moore_of_mealy("abc"[:m], "zyx"[:k], [f"s{i}" for i in range(n)], int(rng.integers(n)), moves, outputs)


def to_aalpy(automaton: Automaton) -> MealyMachine:
    machine = mealy_of(automaton)
    rows = zip(machine.states, machine.transitions, machine.outputs, strict=True)
    setup = {
        state: {
            letter: (automaton.classes[output], machine.states[target])
            for letter, target, output in zip(automaton.alphabet, targets, outputs, strict=True)
        }
        for state, targets, outputs in rows
    }
    first = machine.states[machine.initial]  # AALpy begins in the state that is told first
    return MealyMachine.from_state_setup({first: setup[first], **setup})


machines = st.builds(random_mealy, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 10_000))
few = settings(max_examples=40)


@few
@given(machines)
def test_a_mealy_machine_comes_back(automaton: Automaton) -> None:
    assert from_definition(to_definition(automaton)) == automaton
    assert to_definition(automaton)["kind"] == "mealy"
    again = from_dot(to_dot(automaton))
    assert again.mealy and again.size == automaton.size and equivalent(again, automaton) is None


@few
@given(machines)
def test_the_smallest_mealy_machine_is_aalpys(automaton: Automaton) -> None:
    small, reference = minimal_mealy(automaton), to_aalpy(automaton)
    reference.minimize()
    assert small.mealy and small.size == len(reference.states) <= automaton.size
    assert equivalent(small, automaton) is None and bisimilar(to_aalpy(small), reference)
    assert small.initial == 0 and minimal_mealy(small) == small
    assert minimise(small).states == small.states  # breadth first, and none too many


@few
@given(machines, machines)
def test_mealy_machines_are_compared_on_words_of_a_letter_or_more(a: Automaton, b: Automaton) -> None:
    if a.alphabet != b.alphabet:
        return
    words = [word for length in range(1, 5) for word in itertools.product(range(len(a.alphabet)), repeat=length)]
    said = [[one.classes[one.outputs[one.run([word])[0, -1]]] for word in words] for one in (a, b)]
    first = next((word for word, x, y in zip(words, *said, strict=True) if x != y), None)
    found = equivalent(a, b)
    assert found == first if first is not None else found is None or len(found) > 4


@pytest.mark.parametrize("classes", ORDERS)
def test_other_tools_read_what_is_written(classes: tuple[str, ...], tmp_path: Path) -> None:
    automaton = from_definition(broker(classes))
    (tmp_path / "broker.dot").write_text(to_dot(automaton))
    words = np.random.default_rng(0).integers(6, size=(30, 8))
    said = told_by_aalpy(tmp_path / "broker.dot", "mealy", words, automaton.alphabet)
    assert said == [[automaton.classes[i] for i in row] for row in automaton.outputs[automaton.run(words)[:, 1:]]]


@pytest.mark.parametrize("method", ["clusters", "lstar", "kv"])
@pytest.mark.parametrize("classes", ORDERS[:2])
def test_a_mealy_machine_is_extracted(classes: tuple[str, ...], method: str, tmp_path: Path) -> None:
    """The states are those of the Mealy machine, by every method and in every order of the classes."""
    task = AutomatonWords("file", definition=broker(classes), **FEW, max_length=10)
    options = {"words": 100, "tests": 100, "agreement_words": 100, "extra": 0, "nulls": False}
    finding = analyse(task, Constructed(task.blueprint(), "relu2").eval(), tmp_path, method=method, **options)
    assert finding.scalars["states"] == finding.scalars["true_states"] == 3
    assert finding.claims["equivalent"].holds and "of 3 states" in finding.claims["equivalent"].statement
    found = from_definition(json.loads((tmp_path / "automaton.json").read_text()))
    assert found.size == 3 and equivalent(found, task.ground_truth()) is None
    assert json.loads((tmp_path / "automaton.json").read_text())["kind"] == "mealy"
    rounds, table = Artifacts(tmp_path).table("rounds"), Artifacts(tmp_path).table("automaton")
    assert rounds["states"].iloc[-1] == len(table) == 3 and table["connect"][0].endswith("/CONNACK")


@pytest.mark.parametrize("classes", ORDERS)
def test_the_ground_truth_has_the_states_of_the_mealy_machine(classes: tuple[str, ...]) -> None:
    truth = AutomatonWords("file", definition=broker(classes), **FEW, max_length=10).ground_truth()
    assert truth.mealy and truth.size == 3 and len(truth.states) == 6
    by_state = AutomatonWords("file", definition=broker(classes), target="state", **FEW, max_length=10).ground_truth()
    assert by_state.states == by_state.classes == ("s0", "s1", "s2") and not by_state.mealy
    words = np.random.default_rng(0).integers(6, size=(30, 8))
    parts = [[truth.parts[i] for i in row] for row in truth.run(words)]
    assert parts == [[by_state.states[i] for i in row] for row in by_state.run(words)]
