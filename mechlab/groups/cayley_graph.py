"""The Cayley graph of a finite group as an automaton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.groups.finite_group import Group


@dataclass(frozen=True, eq=False)
class CayleyGraph(Automaton):
    """The automaton that multiplies in a group: state and output after a word are the product of its letters; see
    `cayley_graph`.

    Args:
        group: the group; its elements are the states, in the same order.
        (others): as of `Automaton`.
    """

    group: Group | None = None
    special: ClassVar[tuple[str, ...]] = ("Cayley graph",)


def cayley_graph(group: Group, letters: Sequence[int]) -> CayleyGraph:
    """Return the Cayley graph of a group, in which the letter g leads from x to x g, and the identity is initial.

    Args:
        group: of n elements.
        letters: numbers of the elements that are letters; all n states are reached if they generate the group.
    """
    labels = group.labels
    alphabet = tuple(labels[g] for g in letters)
    moves, outputs = group.table[:, list(letters)], np.arange(group.order)
    return CayleyGraph(alphabet, labels, labels, group.identity, moves, outputs, group=group)
