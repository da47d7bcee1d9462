"""Finite state machines of recurrent networks that read few different integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.extraction.conformance import outputs_of
from mechlab.automata.extraction.counterexamples import Difference, difference
from mechlab.automata.extraction.learning import QueryBudgetExceeded, learn
from mechlab.automata.mealy import mealy_of, minimal_mealy
from mechlab.automata.words.suites import access_words, short_words
from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.numbering import machine_program
from mechlab.distill.recurrent.observed import Observed
from mechlab.distill.recurrent.program import RecurrentProgram

MOST_LETTERS = 100
MOST_OUTPUTS = 100  # different outputs
MOST_STATES = 64  # of the Moore form
QUERIES = 4000
TOLERANCES = (0.0, 1e-3)  # shares of sequences on which machine and network may differ
SHORT = 1024  # words that `learn` reads at first


@dataclass(frozen=True, eq=False)
class Machine:
    """A Mealy machine whose letters and outputs are tuples of integers.

    Args:
        letters: (m, c) int64, the channels of each letter.
        initial: index of the initial state.
        transitions: (n, m) int64, the state after each letter in each state.
        outputs: (n, m, k) int64, what is returned then.
    """

    letters: np.ndarray
    initial: int
    transitions: np.ndarray
    outputs: np.ndarray

    @property
    def groups(self) -> np.ndarray:
        """The group of each letter (m,), counted from 0; letters of a group have the same effect in every state."""
        m = len(self.letters)
        columns = np.concatenate([self.transitions, self.outputs.transpose(0, 2, 1).reshape(-1, m)])
        return np.unique(columns.T, axis=0, return_inverse=True)[1].reshape(-1)

    def restricted(self, letters: np.ndarray) -> Machine:
        """Return the machine that reads some of the letters alone, given by their indices."""
        return Machine(self.letters[letters], self.initial, self.transitions[:, letters], self.outputs[:, letters])

    @property
    def moore(self) -> Machine:
        """The machine whose states also hold the last outputs, so that these are a function of the state reached.

        Its initial state holds the first outputs, by value, of transitions into it; any, if there are none.
        """
        rows, classes = np.unique(self.outputs.reshape(-1, self.outputs.shape[2]), axis=0, return_inverse=True)
        classes = classes.reshape(self.transitions.shape)
        into = classes[self.transitions == self.initial]
        queue = [(self.initial, int(into.min(initial=len(rows) - 1)))]
        number = {queue[0]: 0}
        for state, _ in queue:  # grows
            for pair in zip(self.transitions[state].tolist(), classes[state].tolist(), strict=True):
                if pair not in number:
                    number[pair] = len(queue)
                    queue.append(pair)
        old = np.array([state for state, _ in queue])
        pairs = zip(self.transitions[old].ravel().tolist(), classes[old].ravel().tolist(), strict=True)
        return Machine(
            self.letters, 0, np.array([number[pair] for pair in pairs]).reshape(len(old), -1), self.outputs[old]
        )


class LetterNetwork:
    """A network as a classifier of words of letter indices, in the form that `learn` reads; its classes are outputs.

    Args:
        observed: the network.

    Raises:
        DistillError: there are more than 100 letters or different outputs.
    """

    empty = 0

    def __init__(self, observed: Observed):
        if observed.letters > MOST_LETTERS:
            must = f"a state machine must read at most {MOST_LETTERS} different letters"
            raise DistillError(must, got=observed.letters, key="task")
        self.rows = np.unique(observed.outputs.reshape(-1, observed.outputs.shape[2]), axis=0)  # (classes, k)
        if len(self.rows) > MOST_OUTPUTS:
            must = f"a state machine must have at most {MOST_OUTPUTS} different outputs"
            raise DistillError(must, got=len(self.rows), key="task")
        self.letters, self._query = observed.letters, observed.query
        c, base = observed.inputs.shape[2], observed.high - observed.low + 1
        self.channels = np.stack(np.unravel_index(np.arange(self.letters), (base,) * c), 1) + observed.low  # (m, c)
        self.words = (observed.inputs - observed.low) @ base ** np.arange(c - 1, -1, -1)  # (B, T)
        self.classes = self.class_of(observed.outputs)  # (B, T)
        self._longest = max(observed.length, short_words(self.letters, SHORT)[0].shape[1])

    def class_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return the class (B, T) of outputs (B, T, k); one more than the last for outputs that were not observed."""
        equal = (outputs[..., None, :] == self.rows).all(-1)
        return np.where(equal.any(-1), equal.argmax(-1), len(self.rows))

    def outputs(self, words: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Return the class (N, T) after each letter of words (N, T).

        Raises:
            QueryBudgetExceeded: a word is longer than the sequences that the network was trained on and than the words
                that `learn` reads at first.
        """
        if words.shape[1] > self._longest:
            raise QueryBudgetExceeded
        return self.class_of(self._query(self.channels[words]).outputs)


def machine_of(observed: Observed) -> Machine:
    """Return the minimal Mealy machine that agrees with a network on all observed sequences, or else on all but one in
    a thousand, for networks with rare errors.

    It is learned from queries about words that are no longer than the training sequences, or than the shortest words,
    about a thousand, that `learn` reads at first, where those are longer.

    Raises:
        DistillError: there are too many letters, outputs or states, or no machine agrees.

    Source: Angluin (1987), "Learning regular sets from queries and counterexamples"; see `extraction.learning`.
    """
    network = LetterNetwork(observed)
    sample = network.words, np.full(len(network.words), observed.length)
    alphabet = [str(letter) for letter in range(network.letters)]
    classes = [str(row) for row in range(len(network.rows) + 1)]
    for tolerance in TOLERANCES:

        def search(automaton: Automaton, tolerance: float = tolerance) -> Difference:
            if len(automaton.states) > MOST_STATES:
                raise QueryBudgetExceeded
            result = difference(network.classes, outputs_of(automaton, network.words), sample)
            return Difference(result.share, None) if result.share <= tolerance else result

        try:
            result = learn(network, alphabet, classes, search, queries=QUERIES, smallest=minimal_mealy)
        except (QueryBudgetExceeded, ValueError):  # the first queries are too many; there is no hypothesis
            break
        automaton = result.automaton
        deepest = max(map(len, access_words(automaton)))
        if result.agreed and deepest < observed.length and automaton.outputs.max() < len(network.rows):
            mealy = mealy_of(automaton)
            return Machine(network.channels, mealy.initial, mealy.transitions, network.rows[mealy.outputs])
        if min(result.shares) > TOLERANCES[-1]:
            break
    must = (
        f"a state machine must agree with the network: at most {MOST_STATES} states, all reached within the sequences"
    )
    raise DistillError(must, got="no such machine", key="model")


def machine_programs(observed: Observed) -> Iterator[RecurrentProgram]:
    """Yield programs of the network's state machine, the shortest first; none if it has no machine."""
    try:
        machine = machine_of(observed)
    except DistillError:
        return
    yield from machine_program(machine, observed.names)
