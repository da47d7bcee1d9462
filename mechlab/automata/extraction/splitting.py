"""Clusters of a network's states, split by the class that the network predicts after further words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.automata.extraction.cluster_automaton import Assign
from mechlab.automata.extraction.word_classifier import WordClassifier

Word = tuple[int, ...]


class Splitting:
    """A forest whose leaves are clusters. Its roots are the initial clusters; an inner node has a word, and a child for
    each class that the network predicts after it.

    Args:
        network: classifies the words.
        roots: (P,) int64 below R, the initial clusters.
        assign: maps states to initial clusters.
    """

    def __init__(self, network: WordClassifier, roots: np.ndarray, assign: Assign):
        self._network, self._assign = network, assign
        self._words: list[Word | None] = [None] * (int(roots.max(initial=-1)) + 1)  # of each node; None for a leaf
        self._parts: list[dict[int, int]] = [{} for _ in self._words]

    def assign(self, states: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Return the leaf (B,) int64 of states (B, F) with predicted classes (B,); leaves may be new."""
        node = np.asarray(self._assign(states, predicted), np.int64).copy()
        while True:
            inner = [number for number in np.unique(node).tolist() if self._words[number] is not None]
            if not inner:
                return node
            for number in inner:
                rows = np.flatnonzero(node == number)
                node[rows] = self._sorted_into(number, self.answers(states[rows], predicted[rows], self._words[number]))

    def answers(self, states: np.ndarray, predicted: np.ndarray, word: Word) -> np.ndarray:
        """Return the predicted class (B,) after a word read in states (B, F); `predicted` for the empty word."""
        return self._network.after(states, word) if word else predicted

    def split(self, leaves: np.ndarray, leaf: int, word: Word, answers: Sequence[int]) -> np.ndarray:
        """Split a leaf by the classes `answers` (B,) after a word in its members, the rows where `leaves` is the leaf.

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
