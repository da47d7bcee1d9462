"""A deterministic automaton with an output in every state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.automata.words.one_hot import letters_of


@dataclass(frozen=True, eq=False)
class Automaton:
    """A Moore machine; a DFA is one with the classes ("reject", "accept"), or two others (see `accepting_class`).

    Args:
        alphabet: the m letters in index order.
        classes: the output classes in index order.
        states: names of the n states in index order.
        initial: index of the initial state.
        transitions: (n, m) int64, the target of each state and letter.
        outputs: (n,) int64, the class of each state.
        parts: for each state the name of the state that it was split from, in the Moore form of a Mealy machine (whose
            states are split by outputs); the states' own names by default.

    Lists are accepted in place of tuples and arrays; the arrays are copied and made read-only. Two automata are equal
    when all their parts are.

    Raises:
        ValueError: a name occurs twice, a shape is wrong, or an entry is not an index.
    """

    alphabet: tuple[str, ...]
    classes: tuple[str, ...]
    states: tuple[str, ...]
    initial: int
    transitions: np.ndarray
    outputs: np.ndarray
    parts: tuple[str, ...] = ()

    kind = "automaton"

    def __post_init__(self) -> None:
        for name in ("alphabet", "classes", "states"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        n, m = len(self.states), len(self.alphabet)
        object.__setattr__(self, "transitions", _indices("transitions", self.transitions, (n, m), n))
        object.__setattr__(self, "outputs", _indices("outputs", self.outputs, (n,), len(self.classes)))
        object.__setattr__(self, "initial", int(_indices("initial", self.initial, (), n)))
        object.__setattr__(self, "parts", tuple(self.parts) or self.states)
        if len(self.parts) != n:
            raise ValueError(f"parts must be {n} names, one for each state. Got {self.parts!r} instead.")

    @property
    def size(self) -> int:
        """Number of states; for a Mealy machine, those before splitting by outputs."""
        return len(set(self.parts))

    @property
    def mealy(self) -> bool:
        """True if this is the Moore form of a Mealy machine, with states split by the output of incoming transitions.

        The states of the Mealy machine are then the `parts`; see `moore_of_mealy`.
        """
        split = [f"{part}/{self.classes[output]}" for part, output in zip(self.parts, self.outputs, strict=True)]
        if tuple(split) != self.states:
            return False
        rows, moves = {}, self.transitions.tolist()
        return all(rows.setdefault(part, row) == row for part, row in zip(self.parts, moves, strict=True))

    def run(self, words: np.ndarray) -> np.ndarray:
        """Return the states (B, T+1) int64 visited while reading words (B, T) of letter indices, the initial one first.

        Raises:
            ValueError: the words are not an integer array (B, T), or an entry is not a letter index.
        """
        words = np.asarray(words)
        if words.ndim != 2:
            raise ValueError(f"words must be an array (B, T). Got shape {words.shape} instead.")
        words = _indices("words", words, words.shape, len(self.alphabet))
        visited = np.empty((len(words), words.shape[1] + 1), np.int64)
        visited[:, 0] = self.initial
        for t in range(words.shape[1]):
            visited[:, t + 1] = self.transitions[visited[:, t], words[:, t]]
        return visited

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, T) int64 after each letter of one-hot words (B, T, m), 0 after the end of a word, and
        where there is a letter, (B, T) bool."""
        words, inside = letters_of(inputs)
        outputs = self.outputs[self.run(words)[:, 1:]] * inside
        return torch.from_numpy(outputs).to(inputs.device), torch.from_numpy(inside).to(inputs.device)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Automaton) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        arrays = self.transitions.tobytes(), self.outputs.tobytes()
        return self.alphabet, self.classes, self.states, self.initial, self.parts, *arrays


def accepting_class(classes: Sequence[str]) -> int:
    """Return the index of the accepting one of two classes: 1, unless the first is called accept or true.

    >>> accepting_class(("False", "True")), accepting_class(("accept", "reject"))
    (1, 0)
    """
    return 0 if classes[0].lower() in ("accept", "true") else 1


def _names(field: str, names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(names)
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"{field} must be distinct names, at least one. Got {names!r} instead.")
    return names


def _indices(field: str, values: object, shape: tuple[int, ...], below: int) -> np.ndarray:
    """Return a read-only int64 copy of indices in [0, below), or raise ValueError."""
    array = np.array(values)
    if array.shape != shape:
        raise ValueError(f"{field} must have the shape {shape}. Got {array.shape} instead.")
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{field} must be integers. Got {array.dtype} instead.")
    wrong = array[(array < 0) | (array >= below)] if array.size else array
    if wrong.size:
        raise ValueError(f"{field} must be at least 0 and below {below}. Got {wrong.flat[0]} instead.")
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array
