"""An automaton to draw: its edges, and their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mechlab.plotting.style import TEXT, wrapped

LABEL = 1.5  # width of a line of a label, in inches


@dataclass(frozen=True)
class Machine:
    """A DFA, Moore or Mealy machine to draw; the arguments are those of `automaton_figure`."""

    names: tuple[str, ...]
    outputs: tuple[str, ...]
    letters: tuple[str, ...]
    transitions: np.ndarray
    initial: int
    accepting: tuple[bool, ...] | None
    edge_outputs: np.ndarray | None

    @cached_property
    def letters_of(self) -> dict[tuple[int, int], list[int]]:
        """For each pair of states with transitions between them, their letters."""
        read: dict[tuple[int, int], list[int]] = {}
        for source, row in enumerate(self.transitions.tolist()):
            for letter, target in enumerate(row):
                read.setdefault((source, target), []).append(letter)
        return read

    @cached_property
    def sinks(self) -> set[int]:
        """States that are never left, with a constant output, that do not accept; without the initial one."""
        loops = (self.transitions == np.arange(len(self.names))[:, None]).all(1)
        if self.edge_outputs is not None:
            loops &= (self.edge_outputs == self.edge_outputs[:, :1]).all(1)
        return {i for i in np.flatnonzero(loops).tolist() if i != self.initial and not (self.accepting or loops * 0)[i]}

    @cached_property
    def omitted(self) -> int | None:
        """The sink whose incoming edges are left out, because many states have one."""
        sources = {sink: sum(pair[1] == sink for pair in self.letters_of) for sink in sorted(self.sinks)}
        most = max(sources, key=sources.__getitem__, default=None)
        return most if most is not None and sources[most] > max(8, len(self.names) / 3) else None

    @cached_property
    def edges(self) -> list[tuple[int, int]]:
        """Pairs of states between which an edge is drawn."""
        return [pair for pair in self.letters_of if pair[1] != self.omitted or pair[0] == pair[1]]

    def label(self, pair: tuple[int, int]) -> str:
        """Return the text at an edge: its letters, and for a Mealy machine their outputs."""
        read = self.letters_of[pair]
        if self.edge_outputs is None:
            groups = {"": read}
        else:
            groups = {}
            for letter in read:
                groups.setdefault(f" / {self.edge_outputs[pair[0]][letter]}", []).append(letter)
        every = len(self.letters) > 3
        texts = [
            ("any" if len(some) == len(self.letters) and every else ", ".join(self.letters[i] for i in some)) + after
            for after, some in groups.items()
        ]
        return "\n".join(wrapped(text, 72 * LABEL, self.font) for text in texts)

    def letter(self, pair: tuple[int, int]) -> int | None:
        """Return the letter of an edge that has one and no output, or None."""
        read = self.letters_of[pair]
        return read[0] if len(read) == 1 and self.edge_outputs is None else None

    @property
    def font(self) -> float:
        """Size of the letters in points."""
        return TEXT - 0.5 if len(self.names) <= 25 else TEXT - 2

    def abbreviated(self) -> tuple[Machine, str]:
        """Return the machine with short names of letters and of outputs of transitions, and their meanings."""
        letters = abbreviations(self.letters)
        outputs = {} if self.edge_outputs is None else abbreviations(np.unique(self.edge_outputs).tolist())
        meanings = [f"{short} = {name}" for name, short in [*letters.items(), *outputs.items()] if short != name]
        given = None
        if self.edge_outputs is not None:
            given = np.array([[outputs[name] for name in row] for row in self.edge_outputs])
        machine = replace(self, letters=tuple(letters[name] for name in self.letters), edge_outputs=given)
        return machine, ", ".join(meanings)


def abbreviations(names: Sequence[str]) -> dict[str, str]:
    """Return for each name its shortest beginning that is the beginning of no other name, or the whole name.

    >>> abbreviations(["subscribe", "publish", "put"])
    {'subscribe': 's', 'publish': 'pub', 'put': 'put'}
    """
    beginnings = {name: [name[:length] for length in range(1, len(name))] for name in names}
    return {
        name: next((b for b in some if not any(o.startswith(b) for o in names if o != name)), name)
        for name, some in beginnings.items()
    }
