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
        state, letter: where it starts and what it reads.
        guard: what may be on top of the stack, letters or "$"; None for anything.
        action: one of ACTIONS; what is pushed, once or twice, is the letter that is read.
        target: where it leads.
    """

    state: str
    letter: str
    guard: str | None
    action: str
    target: str


class Configurations(NamedTuple):
    """What a pushdown automaton goes through while it reads words (B, T); the start comes first.

    Args:
        states: (B, T+1) int64, control states.
        heights: (B, T+1) int64, heights of the stack; the bottom counts.
        tops: (B, T+1) int64, the letter on top of the stack, or m for the bottom.
    """

    states: np.ndarray
    heights: np.ndarray
    tops: np.ndarray


@dataclass(frozen=True, eq=False)
class Pushdown:
    """A deterministic pushdown automaton that accepts in an accepting state with nothing on the stack but its bottom.

    The last state, err, is where it falls when no transition fits or the stack is too low to pop; it never leaves it,
    and the stack stays as it was.

    Args:
        alphabet: the m letters in index order.
        states: names of the n states in index order, err the last.
        accepting: (n,) bool.
        successors: (n, m, m+1) int64, the state after a state, a letter, and a letter (or m, the bottom) on top.
        actions: (n, m, m+1) int64, the index in ACTIONS of what is done then.
        possible: (n, m, m+1) bool, whether there is a transition then; in err there always is.
        says: what it says after each letter: whether it accepts, or its control state.
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
        """Names of what it says, in index order."""
        return ("reject", "accept") if self.says == "class" else self.states

    @property
    def size(self) -> int:
        """Number of control states, err among them."""
        return len(self.states)

    @classmethod
    def of(
        cls, alphabet: Sequence[str], states: Iterable[str], accepting: Iterable[str], rules: Iterable[Rule]
    ) -> Pushdown:
        """Return the automaton of some states, the first of them the start, and transitions; err is added.

        Raises:
            ValueError: a rule names what there is not, or two rules fit at once.
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
                raise ValueError(f"a rule must name states, letters and an action that there are. Got {rule} instead.")
            here = states.index(rule.state), alphabet.index(rule.letter), [symbols.index(symbol) for symbol in guard]
            if possible[here].any():
                raise ValueError(f"at most one rule must fit at once. Got another besides {rule}.")
            successors[here], actions[here] = states.index(rule.target), ACTIONS.index(rule.action)
            possible[here] = True
        possible[-1] = True
        return cls(alphabet, states, np.array([state in accepting for state in states]), successors, actions, possible)

    def run(self, words: np.ndarray) -> Configurations:
        """Return what the automaton goes through while reading words (B, T) of letter indices."""
        words = np.asarray(words)
        walk = Walk(self, len(words), words.shape[1])
        seen = [walk.now()]
        for t in range(words.shape[1]):
            walk.step(words[:, t])
            seen.append(walk.now())
        return Configurations(*(np.stack(column, 1) for column in zip(*seen, strict=True)))

    def outputs(self, words: np.ndarray) -> np.ndarray:
        """Return what it says, (B, T) int64, after each letter of words (B, T): 0 reject, 1 accept, or its state."""
        found = self.run(words)
        if self.says == "state":
            return found.states[:, 1:]
        return (self.accepting[found.states] & (found.tops == len(self.alphabet)))[:, 1:].astype(np.int64)

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, T) int64 after each letter of one-hot words (B, T, m), 0 after the end of a word, and
        where there is a letter, (B, T) bool."""
        words, inside = letters_of(inputs)
        outputs = self.outputs(words) * inside
        return torch.from_numpy(outputs).to(inputs.device), torch.from_numpy(inside).to(inputs.device)

    def labels(
        self, found: Configurations, by: Literal["state", "height", "top"] = "state"
    ) -> tuple[np.ndarray, list[str]]:
        """Return labels (B, T+1) int64 of configurations, and the names of the labels.

        Args:
            by: "state" tells the control states apart; "height" also whether the stack holds nothing, one symbol, or
                more; "top" also what is on top of the stack.
        """
        if by == "state":
            return found.states, list(self.states)
        if by == "height":
            more, names = np.minimum(found.heights, 3) - 1, ["0", "1", "2+"]
        else:
            more, names = found.tops, [*self.alphabet, BOTTOM]
        return found.states * len(names) + more, [f"{state}, {name}" for state in self.states for name in names]


class Walk:
    """Configurations of B copies of a pushdown automaton that read letter after letter, at most so many."""

    def __init__(self, machine: Pushdown, copies: int, longest: int):
        self.machine, self._rows = machine, np.arange(copies)
        self.states, self.heights = np.zeros(copies, np.int64), np.ones(copies, np.int64)
        self._stacks = np.full((copies, 2 * longest + 3), len(machine.alphabet))

    def now(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return control states, heights of the stacks and their tops, each (B,)."""
        return self.states, self.heights, self._stacks[self._rows, self.heights - 1]

    def possible(self) -> np.ndarray:
        """Return which letters have a transition, (B, m) bool."""
        states, _, tops = self.now()
        return self.machine.possible[states, :, tops]

    def step(self, letters: np.ndarray) -> None:
        """Read one letter (B,) each."""
        states, heights, tops = self.now()
        targets = self.machine.successors[states, letters, tops]
        height = heights + _CHANGE[self.machine.actions[states, letters, tops]]
        error = len(self.machine.states) - 1
        self.states = np.where(height < 1, error, targets)
        self.heights = np.where(height < 1, heights, height)
        for pushed in (0, 1):
            rows = self._rows[self.heights > heights + pushed]
            self._stacks[rows, heights[rows] + pushed] = letters[rows]
