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
    equivalent. States come in the order in which a breadth-first search meets them, and those that no word leads to are
    left out.

    Args:
        alphabet, classes, states, initial: as in `Automaton`, of the Mealy machine.
        transitions: (n, m), the state reached from a state by a letter.
        outputs: (n, m), the class that is said on the way.

    >>> automaton = moore_of_mealy(["a"], ["x", "y"], ["s"], 0, [[0]], [[1]])
    >>> automaton.states, automaton.parts
    (('s/x', 's/y'), ('s', 's'))
    """
    transitions, outputs = np.asarray(transitions).tolist(), np.asarray(outputs).tolist()
    number = {(initial, 0): 0}
    queue, rows = deque(number), []
    while queue:
        state, _ = queue.popleft()
        reached = list(zip(transitions[state], outputs[state], strict=True))
        for pair in reached:
            if pair not in number:
                number[pair] = len(number)
                queue.append(pair)
        rows.append([number[pair] for pair in reached])
    return Automaton(
        alphabet=alphabet,
        classes=classes,
        states=[f"{states[state]}/{classes[output]}" for state, output in number],
        initial=0,
        transitions=rows,
        outputs=[output for _, output in number],
        parts=[states[state] for state, _ in number],
    )
