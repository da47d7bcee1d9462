"""Samples of words of lengths at which the words are too many to be counted."""

from __future__ import annotations

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.words.sampling import Sample


def long_words(
    automaton: Automaton, shortest: int, longest: int, n: int, rng: np.random.Generator, balanced: bool = False
) -> Sample:
    """Return n independent words of lengths uniform in shortest to longest, shorter words first.

    Args:
        balanced: each class has an equal share of the words of each length (one word more or less), uniform among the
            words of its class, instead of all words being uniform. Classes without words of a length get no share.

    Returns:
        words (n, longest) int64, padded with 0, and lengths (n,) int64.
    """
    lengths = np.sort(rng.integers(shortest, longest + 1, size=n))
    if balanced:
        return _words_of_classes(automaton, lengths, longest, rng), lengths
    words = rng.integers(len(automaton.alphabet), size=(n, longest))
    return np.where(np.arange(longest) < lengths[:, None], words, 0), lengths


def _words_of_classes(automaton: Automaton, lengths: np.ndarray, longest: int, rng: np.random.Generator) -> np.ndarray:
    """Return random words (n, longest) of alternating classes; a letter is drawn in proportion to its completions."""
    shares = _completions(automaton, longest)  # (longest + 1, classes, n)
    words, state = np.zeros((len(lengths), longest), np.int64), np.full(len(lengths), automaton.initial)
    output = np.empty_like(lengths)
    for length in np.unique(lengths):
        possible = np.flatnonzero(shares[length, :, automaton.initial])
        here = np.flatnonzero(lengths == length)
        output[here] = possible[(np.arange(len(here)) + rng.integers(len(possible))) % len(possible)]
    for t in range(longest):
        rows = np.flatnonzero(t < lengths)
        successors = automaton.transitions[state[rows]]  # (rows, m)
        until = shares[lengths[rows, None] - 1 - t, output[rows, None], successors].cumsum(1)
        letter = (rng.random((len(rows), 1)) * until[:, -1:] >= until).sum(1)
        words[rows, t], state[rows] = letter, successors[np.arange(len(rows)), letter]
    return words


def _completions(automaton: Automaton, longest: int) -> np.ndarray:
    """Return (longest + 1, classes, n): the number of words of each length that lead from each state to each class, up
    to a factor for each length and class, against overflow."""
    counts = [(automaton.outputs == np.arange(len(automaton.classes))[:, None]).astype(float)]
    for _ in range(longest):
        more = counts[-1][:, automaton.transitions].sum(2)
        counts.append(more / np.maximum(more.max(1, keepdims=True), np.finfo(float).tiny))
    return np.array(counts)
