"""Deterministic pushdown automata."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mechlab.automata.words.one_hot import letters_of

ACTIONS = ("none", "push", "push2", "pop", "pop2")
ERROR = "err"
BOTTOM = "$"
_CHANGE = np.array([0, 1, 2, -1, -2])  # of the stack's height by each action


class Rule(NamedTuple):
    """A transition.

    Args:
        state, letter: its source and the letter that it reads.
        guard: symbols allowed on top of the stack, letters or "$"; None for any.
        action: one of ACTIONS; a push, once or twice, is of the letter that is read.
        target: the state that it leads to.
    """

    state: str
    letter: str
    guard: str | None
    action: str
    target: str


class Configurations(NamedTuple):
    """Configurations of a pushdown automaton while it reads words (B, T), the initial one first.

    Args:
        states: (B, T+1) int64, control states.
        heights: (B, T+1) int64, heights of the stack, bottom included.
        tops: (B, T+1) int64, the letter on top of the stack, or m for the bottom.
    """

    states: np.ndarray
    heights: np.ndarray
    tops: np.ndarray


@dataclass(frozen=True, eq=False)
class Pushdown:
    """A deterministic pushdown automaton; it accepts in an accepting state with only the bottom on the stack.

    The last state, err, is the target when no transition fits or the stack is too low to pop; it is absorbing, and the
    stack no longer changes.

    Args:
        alphabet: the m letters in index order.
        states: names of the n states in index order, err the last.
        accepting: (n,) bool.
        successors: (n, m, m+1) int64, the target of a state and a letter with a letter (or m, the bottom) on top.
        actions: (n, m, m+1) int64, the index in ACTIONS of its action.
        possible: (n, m, m+1) bool, True if there is such a transition; in err always.
        says: the output after each letter: the class (accept or reject), or the control state.
    """

    alphabet: tuple[str, ...]
    states: tuple[str, ...]
    accepting: np.ndarray
    successors: np.ndarray
    actions: np.ndarray
    possible: np.ndarray
    says: Literal["class", "state"] = "class"

    kind = "pushdown"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, in index order."""
        return ("reject", "accept") if self.says == "class" else self.states

    @property
    def size(self) -> int:
        """Number of control states, err among them."""
        return len(self.states)

    @classmethod
    def of(
        cls, alphabet: Sequence[str], states: Iterable[str], accepting: Iterable[str], rules: Iterable[Rule]
    ) -> Pushdown:
        """Return the automaton of states, the first of them initial, and rules; err is added.

        Raises:
            ValueError: a rule has an unknown name, or two rules fit at once.
        """
        alphabet, states = tuple(alphabet), (*states, ERROR)
        n, m, accepting = len(states), len(alphabet), set(accepting)
        successors, actions = np.full((n, m, m + 1), n - 1), np.zeros((n, m, m + 1), np.int64)
        possible = np.zeros((n, m, m + 1), bool)
        symbols = (*alphabet, BOTTOM)
        for rule in rules:
            guard = symbols if rule.guard is None else rule.guard
            known = (rule.state in states[:-1], rule.letter in alphabet, set(guard) <= set(symbols))
            if not all((*known, rule.action in ACTIONS, rule.target in states)):
                raise ValueError(f"a rule must name existing states, letters and an action. Got {rule} instead.")
            here = states.index(rule.state), alphabet.index(rule.letter), [symbols.index(symbol) for symbol in guard]
            if possible[here].any():
                raise ValueError(f"at most one rule must fit at once. Got another besides {rule}.")
            successors[here], actions[here] = states.index(rule.target), ACTIONS.index(rule.action)
            possible[here] = True
        possible[-1] = True
        return cls(alphabet, states, np.array([state in accepting for state in states]), successors, actions, possible)

    def run(self, words: np.ndarray) -> Configurations:
        """Return the configurations of the automaton while it reads words (B, T) of letter indices."""
        words = np.asarray(words)
        walk = Walk(self, len(words), words.shape[1])
        visited = [walk.current()]
        for t in range(words.shape[1]):
            walk.step(words[:, t])
            visited.append(walk.current())
        return Configurations(*(np.stack(column, 1) for column in zip(*visited, strict=True)))

    def outputs(self, words: np.ndarray) -> np.ndarray:
        """Return the output (B, T) int64 after each letter of words (B, T): 0 reject, 1 accept, or control state."""
        configurations = self.run(words)
        if self.says == "state":
            return configurations.states[:, 1:]
        accepted = self.accepting[configurations.states] & (configurations.tops == len(self.alphabet))
        return accepted[:, 1:].astype(np.int64)

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, T) int64 after each letter of one-hot words (B, T, m), 0 after the end of a word, and
        where there is a letter, (B, T) bool."""
        words, inside = letters_of(inputs)
        outputs = self.outputs(words) * inside
        return torch.from_numpy(outputs).to(inputs.device), torch.from_numpy(inside).to(inputs.device)

    def labels(
        self, configurations: Configurations, by: Literal["state", "height", "top"] = "state"
    ) -> tuple[np.ndarray, list[str]]:
        """Return labels (B, T+1) int64 of configurations, and the names of the labels.

        Args:
            by: "state" for the control state; "height" for it and the number of symbols on the stack (none, one, more);
                "top" for it and the symbol on top of the stack.
        """
        if by == "state":
            return configurations.states, list(self.states)
        if by == "height":
            more, names = np.minimum(configurations.heights, 3) - 1, ["0", "1", "2+"]
        else:
            more, names = configurations.tops, [*self.alphabet, BOTTOM]
        return configurations.states * len(names) + more, [
            f"{state}, {name}" for state in self.states for name in names
        ]


class Walk:
    """Current configurations of B copies of a pushdown automaton that read at most `longest` letters, step by step."""

    def __init__(self, machine: Pushdown, copies: int, longest: int):
        self.machine, self._rows = machine, np.arange(copies)
        self.states, self.heights = np.zeros(copies, np.int64), np.ones(copies, np.int64)
        self._stacks = np.full((copies, 2 * longest + 3), len(machine.alphabet))

    def current(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return control states, heights of the stacks and their tops, each (B,)."""
        return self.states, self.heights, self._stacks[self._rows, self.heights - 1]

    def possible(self) -> np.ndarray:
        """Return (B, m) bool, True for letters that have a transition."""
        states, _, tops = self.current()
        return self.machine.possible[states, :, tops]

    def step(self, letters: np.ndarray) -> None:
        """Advance each copy by one letter (B,)."""
        states, heights, tops = self.current()
        targets = self.machine.successors[states, letters, tops]
        height = heights + _CHANGE[self.machine.actions[states, letters, tops]]
        error = len(self.machine.states) - 1
        self.states = np.where(height < 1, error, targets)
        self.heights = np.where(height < 1, heights, height)
        for pushed in (0, 1):
            rows = self._rows[self.heights > heights + pushed]
            self._stacks[rows, heights[rows] + pushed] = letters[rows]
