"""Mealy machines (an output on every transition) as Moore machines (an output in every state)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import minimise, reachable


class Mealy(NamedTuple):
    """A Mealy machine.

    Args:
        states: names of the n states in index order.
        initial: index of the initial state.
        transitions: (n, m) int64, the target of each state and letter.
        outputs: (n, m) int64, the class of each transition.
    """

    states: tuple[str, ...]
    initial: int
    transitions: np.ndarray
    outputs: np.ndarray


def moore_of_mealy(
    alphabet: Sequence[str],
    classes: Sequence[str],
    states: Sequence[str],
    initial: int,
    transitions: np.ndarray,
    outputs: np.ndarray,
) -> Automaton:
    """Return the Moore machine whose output after each letter is that of a Mealy machine on it.

    A state is split by the output of the incoming transition: "s" becomes "s/x" and "s/y", both parts of "s". A Mealy
    machine has no output on the empty word; that of the Moore machine is the first, by name, of the classes on
    transitions into the initial state (of all classes, if there are none), so that its states do not depend on the
    order of the classes. States are in the order of the Mealy machine's; unreachable ones are left out.

    Args:
        alphabet, classes, states, initial: as in `Automaton`, of the Mealy machine.
        transitions: (n, m), the target of each state and letter.
        outputs: (n, m), the class of each transition.

    >>> automaton = moore_of_mealy(["a"], ["x", "y"], ["s"], 0, [[0]], [[1]])
    >>> automaton.states, automaton.parts
    (('s/y',), ('s',))
    """
    transitions, outputs = np.asarray(transitions), np.asarray(outputs)
    start = (initial, _empty(classes, initial, transitions, outputs))
    transitions, outputs = transitions.tolist(), outputs.tolist()
    visited, queue = {start}, deque([start])
    while queue:
        state, _ = queue.popleft()
        for pair in zip(transitions[state], outputs[state], strict=True):
            if pair not in visited:
                visited.add(pair)
                queue.append(pair)
    split = sorted(visited)
    number = {pair: i for i, pair in enumerate(split)}
    return Automaton(
        alphabet=alphabet,
        classes=classes,
        states=[f"{states[state]}/{classes[output]}" for state, output in split],
        initial=number[start],
        transitions=[
            [number[pair] for pair in zip(transitions[state], outputs[state], strict=True)] for state, _ in split
        ],
        outputs=[output for _, output in split],
        parts=[states[state] for state, _ in split],
    )


def mealy_of(automaton: Automaton) -> Mealy:
    """Return the Mealy machine with a given Moore form; `moore_of_mealy` is the inverse.

    Args:
        automaton: an automaton with `mealy` True.
    """
    states = tuple(dict.fromkeys(automaton.parts))
    number = np.array([states.index(part) for part in automaton.parts])
    first = [automaton.parts.index(state) for state in states]
    targets = automaton.transitions[first]
    return Mealy(states, int(number[automaton.initial]), number[targets], automaton.outputs[targets])


def minimal_mealy(automaton: Automaton) -> Automaton:
    """Return the Moore form of the minimal Mealy machine with the same output after every word of one letter or more.

    The Mealy machine's states are q0, q1, ... in the order of a breadth-first search; the states of the Moore form are
    in that order too, the initial one first.

    Args:
        automaton: a Moore machine, or the Moore form of a Mealy machine.
    """
    row_outputs, row_of_state = np.unique(
        automaton.outputs[automaton.transitions], axis=0, return_inverse=True
    )  # (K, m), (n,)
    rows = [str(row) for row in range(len(row_outputs))]
    smallest = minimise(replace(automaton, classes=rows, outputs=row_of_state.reshape(-1)))
    names = [f"q{i}" for i in range(len(smallest.states))]
    alphabet, classes = automaton.alphabet, automaton.classes
    moore = moore_of_mealy(alphabet, classes, names, 0, smallest.transitions, row_outputs[smallest.outputs])
    part = dict(zip(moore.states, moore.parts, strict=True))
    ordered = minimise(moore)  # which is minimal
    return replace(ordered, parts=[part[state] for state in ordered.states])


def _empty(classes: Sequence[str], initial: int, transitions: np.ndarray, outputs: np.ndarray) -> int:
    """Return the Moore form's class on the empty word, for which the Mealy machine has no output."""
    here = reachable(transitions, initial)
    inside = np.unique(outputs[here][transitions[here] == initial]).tolist()
    return min(inside or range(len(classes)), key=lambda output: classes[output])
