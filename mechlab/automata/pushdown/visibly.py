"""Single-entry visibly pushdown automata: the letter alone decides whether the stack grows or shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mechlab.automata.pushdown.pushdown import ACTIONS, Pushdown

Word = tuple[int, ...]


class VisibleAlphabet(NamedTuple):
    """A visibly pushdown alphabet: indices of letters that push one symbol, that pop one, and that do neither."""

    calls: tuple[int, ...]
    returns: tuple[int, ...]
    internal: tuple[int, ...]


def visible_alphabet(machine: Pushdown) -> VisibleAlphabet:
    """Return the visibly pushdown alphabet of a pushdown automaton.

    Raises:
        ValueError: a letter has several stack actions, or more than one push or pop.
    """
    error = len(machine.states) - 1
    reads = machine.possible & (machine.successors != error)
    reads[error] = False
    letters: dict[str, list[int]] = {"push": [], "pop": [], "none": []}
    for letter, name in enumerate(machine.alphabet):
        actions = {ACTIONS[action] for action in np.unique(machine.actions[:, letter][reads[:, letter]])} or {"none"}
        if len(actions) > 1 or not actions <= set(letters):
            does = " or ".join(sorted(actions))
            raise ValueError(f"a letter must always push one, always pop one, or do neither. {name!r} does {does}.")
        letters[actions.pop()].append(letter)
    return VisibleAlphabet(*map(tuple, letters.values()))


def depths(words: np.ndarray, kinds: VisibleAlphabet) -> np.ndarray:
    """Return the stack height (N, T) int64, the number of open calls, after each letter of words (N, T).

    It is -1 from the first return without a call on.
    """
    change = np.isin(words, kinds.calls).astype(np.int64) - np.isin(words, kinds.returns)
    height = change.cumsum(1)
    return np.where(np.minimum.accumulate(height, 1) < 0, -1, height)


@dataclass(frozen=True, eq=False)
class SingleEntryVPA:
    """A single-entry visibly pushdown automaton (1-SEVPA); it accepts in accepting states when no call is open.

    A call pushes the state and its letter, and leads to the initial state; the target of a return depends on the state,
    its letter and the popped pair. Without a transition the word and all its extensions are rejected.

    Args:
        alphabet: the m letters in index order.
        kinds: calls, returns and internal letters.
        accepting: (n,) bool; state 0 is the initial one.
        internal: (n, m) int64, targets of internal letters, -1 for no transition.
        returns: (n, m, n, m) int64, target of a state and a return that pops a state and a call, -1 for none.

    Source: Alur, Kumar, Madhusudan and Viswanathan (2005), "Congruences for visibly pushdown languages".
    """

    alphabet: tuple[str, ...]
    kinds: VisibleAlphabet
    accepting: np.ndarray
    internal: np.ndarray
    returns: np.ndarray

    kind = "pushdown"
    classes = ("reject", "accept")

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states."""
        return tuple(f"q{i}" for i in range(len(self.accepting)))

    @property
    def size(self) -> int:
        """Number of states."""
        return len(self.accepting)

    def outputs(self, words: np.ndarray) -> np.ndarray:
        """Return the class (N, T) int64 after each letter of words (N, T): 0 reject, 1 accept."""
        n, longest = words.shape
        rows, state, height = np.arange(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
        pushed = np.zeros((2, n, longest + 1), np.int64)  # states and calls
        classes = np.zeros(words.shape, np.int64)
        call, back = (np.isin(words, letters) for letters in (self.kinds.calls, self.kinds.returns))
        for t in range(longest):
            letter, alive = words[:, t], state >= 0
            below = np.maximum(height - 1, 0)
            target = np.where(
                back[:, t],
                np.where(height > 0, self.returns[state, letter, pushed[0, rows, below], pushed[1, rows, below]], -1),
                np.where(call[:, t], 0, self.internal[state, letter]),
            )
            opening = rows[call[:, t] & alive]
            pushed[:, opening, height[opening]] = state[opening], letter[opening]
            state = np.where(alive, target, -1)
            height += np.where(call[:, t], 1, np.where(back[:, t], -1, 0)) * (state >= 0)
            classes[:, t] = (state >= 0) & self.accepting[state] & (height == 0)
        return classes

    def table(self) -> list[dict[str, str]]:
        """Return the transitions, one row each: state, letter, popped state and call, target."""
        q, a = self.states, self.alphabet
        rows = [
            {"state": q[i], "letter": a[j], "pops": "", "to": q[to]}
            for (i, j), to in np.ndenumerate(self.internal)
            if to >= 0
        ]
        return rows + [
            {"state": q[i], "letter": a[j], "pops": f"{q[k]} {a[c]}", "to": q[to]}
            for (i, j, k, c), to in np.ndenumerate(self.returns)
            if to >= 0
        ]

    def to_dot(self) -> str:
        """Return the automaton in the DOT language; calls are not drawn, as they all lead to the initial state."""
        lines = ["digraph automaton {"]
        for name, accepts in zip(self.states, self.accepting, strict=True):
            lines.append(f'{name} [label="{name}", shape={"doublecircle" if accepts else "circle"}];')
        for row in self.table():
            label = row["letter"] + (f" / {row['pops']}" if row["pops"] else "")
            escaped = label.replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{row["state"]} -> {row["to"]} [label="{escaped}"];')
        return "\n".join([*lines, '__start0 [shape=none, label=""];', '__start0 -> q0 [label=""];', "}", ""])


def from_sevpa(machine: Any, alphabet: Sequence[str], kinds: VisibleAlphabet) -> SingleEntryVPA:
    """Return AALpy's 1-SEVPA over the letters 0, 1, ... as an automaton."""
    states = [machine.initial_state, *(state for state in machine.states if state is not machine.initial_state)]
    number = {state.state_id: i for i, state in enumerate(states)}
    n, m = len(states), len(alphabet)
    internal, returns = np.full((n, m), -1), np.full((n, m, n, m), -1)
    for i, state in enumerate(states):
        for letter, steps in state.transitions.items():
            for step in reversed(steps):  # AALpy takes the first that fits
                target = number.get(step.target_state.state_id, -1)
                if step.action == "pop":
                    guard, call = step.stack_guard
                    if guard in number:
                        returns[i, letter, number[guard], call] = target
                else:
                    internal[i, letter] = target
    accepting = np.array([bool(state.is_accepting) for state in states])
    return SingleEntryVPA(tuple(alphabet), kinds, accepting, internal, returns)
