"""A sequence model as a classifier of words: the predicted class after every letter, for many words at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mechlab.automata.words.trie import padded

CHUNK = 2**21  # numbers in memory for the words of one batch, at most


class WordClassifier:
    """A sequence model as a machine that outputs a class after each letter.

    Args:
        model: a sequence model that reads one-hot letters, on any device.
        empty: the class on the empty word, for which a network has no prediction; usually the ground truth's.

    Attributes:
        letters: number of letters.
        queries, steps: numbers of words and letters read so far.
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
        """Return the predicted class (N, T) int64 after each letter of words (N, T).

        Args:
            words: letter indices; padding may be negative or 0.
            lengths: (N,) lengths of the words, T by default; classes past the end are meaningless.

        Raises:
            ValueError: a letter is none of the model's.
        """
        words = np.maximum(words, 0)
        if words.size and words.max() >= self.letters:
            raise ValueError(f"letters must be below {self.letters}, the model's number of inputs. Got {words.max()}.")
        lengths = np.full(len(words), words.shape[1]) if lengths is None else np.asarray(lengths)
        self.queries, self.steps = self.queries + len(words), self.steps + int(lengths.sum())
        predicted = np.zeros(words.shape, np.int64)
        width = 4 * self._start.shape[1] + self.letters + self.model.spec.outputs
        size = max(1, CHUNK // (max(words.shape[1], 1) * width))
        order = np.argsort(lengths, kind="stable")  # words of similar length together, so that little padding is read
        for rows in (order[first : first + size] for first in range(0, len(words), size)):
            longest = lengths[rows].max()
            if longest:
                letters = torch.as_tensor(words[rows, :longest], device=self._one_hot.device)
                predicted[rows, :longest] = self.model(self._one_hot[letters]).outputs.argmax(-1).cpu().numpy()
        return predicted

    def last(self, words: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the predicted class (N,) int64 after the last letter of each word."""
        lengths = np.array([len(word) for word in words], np.int64)
        predicted = self.outputs(padded(words), lengths)
        return np.where(
            lengths > 0, predicted[np.arange(len(predicted)), lengths - 1] if predicted.size else 0, self.empty
        )

    @torch.no_grad()
    def step(self, states: np.ndarray, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the next states (B, F) and predicted classes (B,) after one letter (B,) in each state (B, F)."""
        self.steps += len(states)
        outputs, after = self.model.step(self._one_hot[torch.as_tensor(letters)], self._tensor(states))
        return after.cpu().numpy(), outputs.argmax(-1).cpu().numpy()

    @torch.no_grad()
    def after(self, states: np.ndarray, word: Sequence[int]) -> np.ndarray:
        """Return the predicted class (B,) after reading a word of one letter or more in each state (B, F)."""
        self.queries, self.steps = self.queries + len(states), self.steps + len(states) * len(word)
        state = self._tensor(states)
        for letter in word:
            output, state = self.model.step(self._one_hot[letter].expand(len(state), -1), state)
        return output.argmax(-1).cpu().numpy()

    def _tensor(self, states: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(states, dtype=self._start.dtype, device=self._start.device)
