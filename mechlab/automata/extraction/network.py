"""A network asked about words, many at once: the class that it tells after every letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mechlab.automata.words.trie import padded

CHUNK = 2**21  # numbers that a network may hold for the words that it reads at once


class Network:
    """A sequence model seen as a machine that tells a class after each letter.

    Args:
        model: a sequence model that reads one-hot letters, on any device.
        empty: the class on the empty word, where a network tells nothing; the ground truth's, as a rule.

    Attributes:
        letters: number of letters.
        queries, steps: how many words and letters the network was asked to read so far.
    """

    def __init__(self, model: Any, empty: int = 0):
        self.model, self.empty = model, int(empty)
        self.letters = int(model.spec.inputs)
        self.queries = self.steps = 0
        with torch.no_grad():
            self._start = model.initial_state(1)  # (1, F)
        self._one_hot = torch.eye(self.letters, dtype=self._start.dtype, device=self._start.device)

    @property
    def start(self) -> np.ndarray:
        """The state (1, F) before the first letter."""
        return self._start.cpu().numpy()

    @torch.no_grad()
    def outputs(self, words: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Return the class (N, T) int64 that the network tells after each letter of words (N, T).

        Args:
            words: letter indices; what is negative counts as past the end, as 0 may do.
            lengths: (N,) letters that count, all T by default; classes past the end mean nothing.

        Raises:
            ValueError: a letter is none of the model's.
        """
        words = np.maximum(words, 0)
        if words.size and words.max() >= self.letters:
            raise ValueError(f"letters must be below {self.letters}, the model's number of inputs. Got {words.max()}.")
        lengths = np.full(len(words), words.shape[1]) if lengths is None else np.asarray(lengths)
        self.queries, self.steps = self.queries + len(words), self.steps + int(lengths.sum())
        told = np.zeros(words.shape, np.int64)
        width = 4 * self._start.shape[1] + self.letters + self.model.spec.outputs
        size = max(1, CHUNK // (max(words.shape[1], 1) * width))
        order = np.argsort(lengths, kind="stable")  # words of like length together, so that little is read in vain
        for rows in (order[first : first + size] for first in range(0, len(words), size)):
            longest = lengths[rows].max()
            if longest:
                letters = torch.as_tensor(words[rows, :longest], device=self._one_hot.device)
                told[rows, :longest] = self.model(self._one_hot[letters]).outputs.argmax(-1).cpu().numpy()
        return told

    def last(self, words: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the class (N,) int64 after the last letter of each word."""
        lengths = np.array([len(word) for word in words], np.int64)
        told = self.outputs(padded(words), lengths)
        return np.where(lengths > 0, told[np.arange(len(told)), lengths - 1] if told.size else 0, self.empty)

    @torch.no_grad()
    def step(self, states: np.ndarray, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read one letter (B,) in each state (B, F); return the states reached (B, F) and the classes told (B,)."""
        self.steps += len(states)
        outputs, after = self.model.step(self._one_hot[torch.as_tensor(letters)], self._tensor(states))
        return after.cpu().numpy(), outputs.argmax(-1).cpu().numpy()

    @torch.no_grad()
    def after(self, states: np.ndarray, word: Sequence[int]) -> np.ndarray:
        """Return the class (B,) told after reading a word of one letter or more in each state (B, F)."""
        self.queries, self.steps = self.queries + len(states), self.steps + len(states) * len(word)
        state = self._tensor(states)
        for letter in word:
            output, state = self.model.step(self._one_hot[letter].expand(len(state), -1), state)
        return output.argmax(-1).cpu().numpy()

    def _tensor(self, states: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(states, dtype=self._start.dtype, device=self._start.device)
