"""Automata with an output on every transition, as automata with an output in every state."""

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
        transitions: (n, m) int64, the state reached from a state by a letter.
        outputs: (n, m) int64, the class that is said on the way.
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
    """Return the Moore machine that says after each letter what a Mealy machine says on it.

    A state is split by the output on the way into it: "s" becomes "s/x" and "s/y", both parts of "s". A Mealy machine
    says nothing on the empty word. The Moore machine says there the first, by name, of the classes that are said on the
    way into the initial state (of all classes, if no word leads there), so that its states do not depend on the order
    of the classes. States come in the order of the Mealy machine's, and those that no word leads to are left out.

    Args:
        alphabet, classes, states, initial: as in `Automaton`, of the Mealy machine.
        transitions: (n, m), the state reached from a state by a letter.
        outputs: (n, m), the class that is said on the way.

    >>> automaton = moore_of_mealy(["a"], ["x", "y"], ["s"], 0, [[0]], [[1]])
    >>> automaton.states, automaton.parts
    (('s/y',), ('s',))
    """
    transitions, outputs = np.asarray(transitions), np.asarray(outputs)
    start = (initial, _empty(classes, initial, transitions, outputs))
    transitions, outputs = transitions.tolist(), outputs.tolist()
    found, queue = {start}, deque([start])
    while queue:
        state, _ = queue.popleft()
        for pair in zip(transitions[state], outputs[state], strict=True):
            if pair not in found:
                found.add(pair)
                queue.append(pair)
    split = sorted(found)
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
    """Return the Mealy machine whose Moore form an automaton is; `moore_of_mealy` is the inverse.

    Args:
        automaton: one that is `mealy`.
    """
    states = tuple(dict.fromkeys(automaton.parts))
    number = np.array([states.index(part) for part in automaton.parts])
    first = [automaton.parts.index(state) for state in states]
    reached = automaton.transitions[first]
    return Mealy(states, int(number[automaton.initial]), number[reached], automaton.outputs[reached])


def minimal_mealy(automaton: Automaton) -> Automaton:
    """Return the Moore form of the smallest Mealy machine that says the same after every word of one letter or more.

    The Mealy machine's states are q0, q1, ... in the order in which a breadth-first search meets them; the Moore form
    has its states in that order too, the initial one first.

    Args:
        automaton: a Moore machine, or the Moore form of a Mealy machine.
    """
    says, said = np.unique(automaton.outputs[automaton.transitions], axis=0, return_inverse=True)  # (K, m), (n,)
    rows = [str(row) for row in range(len(says))]
    smallest = minimise(replace(automaton, classes=rows, outputs=said.reshape(-1)))
    names = [f"q{i}" for i in range(len(smallest.states))]
    alphabet, classes = automaton.alphabet, automaton.classes
    moore = moore_of_mealy(alphabet, classes, names, 0, smallest.transitions, says[smallest.outputs])
    part = dict(zip(moore.states, moore.parts, strict=True))
    ordered = minimise(moore)  # which is minimal
    return replace(ordered, parts=[part[state] for state in ordered.states])


def _empty(classes: Sequence[str], initial: int, transitions: np.ndarray, outputs: np.ndarray) -> int:
    """Return the class on the empty word, where the Mealy machine says nothing."""
    here = reachable(transitions, initial)
    inside = np.unique(outputs[here][transitions[here] == initial]).tolist()
    return min(inside or range(len(classes)), key=lambda output: classes[output])
