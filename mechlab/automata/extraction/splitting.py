"""Clusters of a network's states that are split by what the network tells after further words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.automata.extraction.cluster_automaton import Assign
from mechlab.automata.extraction.network import Network

Word = tuple[int, ...]


class Splitting:
    """A forest whose leaves are clusters. Its roots are the clusters to begin with; a cluster that is split has a word,
    and a part for each class that the network tells after it.

    Args:
        network: what is asked.
        roots: (P,) int64 below R, the clusters to begin with.
        assign: tells in which of these a state is.
    """

    def __init__(self, network: Network, roots: np.ndarray, assign: Assign):
        self._network, self._assign = network, assign
        self._words: list[Word | None] = [None] * (int(roots.max(initial=-1)) + 1)  # of each node, None of a leaf
        self._parts: list[dict[int, int]] = [{} for _ in self._words]

    def assign(self, states: np.ndarray, told: np.ndarray) -> np.ndarray:
        """Return the leaf (B,) int64 of states (B, F) in which the network told classes (B,); there may be new ones."""
        node = np.asarray(self._assign(states, told), np.int64).copy()
        while True:
            inner = [number for number in np.unique(node).tolist() if self._words[number] is not None]
            if not inner:
                return node
            for number in inner:
                rows = np.flatnonzero(node == number)
                node[rows] = self._sorted_into(number, self.answers(states[rows], told[rows], self._words[number]))

    def answers(self, states: np.ndarray, told: np.ndarray, word: Word) -> np.ndarray:
        """Return the class (B,) that the network tells after a word read in states (B, F); in these it told `told`."""
        return self._network.after(states, word) if word else told

    def split(self, leaves: np.ndarray, leaf: int, word: Word, answers: Sequence[int]) -> np.ndarray:
        """Split a leaf by the answers (B,) to a word in its members, the rows where `leaves` (P,) is this leaf.

        Returns:
            The leaf (P,) of each row.
        """
        self._words[leaf] = word
        leaves = leaves.copy()
        leaves[leaves == leaf] = self._sorted_into(leaf, np.asarray(answers))
        return leaves

    def _sorted_into(self, number: int, answers: np.ndarray) -> np.ndarray:
        parts = self._parts[number]
        for answer in np.unique(answers).tolist():
            if answer not in parts:
                parts[answer] = len(self._words)
                self._words.append(None)
                self._parts.append({})
        return np.array([parts[answer] for answer in answers.tolist()], np.int64)
