"""Automata with an output on every transition, as automata with an output in every state."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from mechlab.automata.automaton import Automaton


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
    says nothing on the empty word, where the Moore machine says the first class; equivalent Mealy machines thus become
    equivalent. States come in the order of the Mealy machine's, and those that no word leads to are left out.

    Args:
        alphabet, classes, states, initial: as in `Automaton`, of the Mealy machine.
        transitions: (n, m), the state reached from a state by a letter.
        outputs: (n, m), the class that is said on the way.

    >>> automaton = moore_of_mealy(["a"], ["x", "y"], ["s"], 0, [[0]], [[1]])
    >>> automaton.states, automaton.parts
    (('s/x', 's/y'), ('s', 's'))
    """
    transitions, outputs = np.asarray(transitions).tolist(), np.asarray(outputs).tolist()
    start = (initial, 0)
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
