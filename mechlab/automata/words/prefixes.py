"""The distinct prefixes of many words with their counts: a prefix tree in arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechlab.automata.automaton import Automaton

PADDING = -1


@dataclass(frozen=True, eq=False)
class Prefixes:
    """The P distinct non-empty prefixes of a list of words, shortest first.

    Prefix p is the first `length[p]` letters of `words[row[p]]`. The words are the maximal ones: none is a prefix of
    another, and every prefix is a prefix of one of them.

    Args:
        words: (W, T) int64, letter indices, then -1 past the end.
        row: (P,) int64, a word that begins with the prefix.
        length: (P,) int64, the number of letters.
        count: (P,) int64, number of the given words (repeated ones included) that begin with the prefix.
        parent: (P,) int64, the prefix without its last letter, -1 for prefixes of one letter.
        index: (R,) int64, the prefix at each letter of the given words, word after word in the order given.
    """

    words: np.ndarray
    row: np.ndarray
    length: np.ndarray
    count: np.ndarray
    parent: np.ndarray
    index: np.ndarray

    @property
    def letter(self) -> np.ndarray:
        """The last letter (P,) of each prefix."""
        return self.words[self.row, self.length - 1]

    @property
    def distinct_words(self) -> int:
        """Number of distinct non-empty words among the given ones."""
        ends = np.append(self.length[self.index][1:] == 1, True)[: len(self.index)]
        return len(np.unique(self.index[ends]))

    def __len__(self) -> int:
        return len(self.row)

    def automaton_states(self, automaton: Automaton) -> np.ndarray:
        """Return the state (P,) int64 of the automaton after each prefix."""
        return automaton.run(np.maximum(self.words, 0))[self.row, self.length]


def distinct_prefixes(words: np.ndarray) -> Prefixes:
    """Return the distinct non-empty prefixes of words (B, T) of letter indices, padded with -1 past the end.

    In sorted order the words with a given prefix are contiguous, and a word that is a prefix of another stands right
    before its extensions; so comparing neighbours suffices.

    Raises:
        ValueError: the words are not an integer array (B, T), or a letter follows a padding.

    >>> prefixes = distinct_prefixes(np.array([[0, 1], [0, -1], [0, 1]]))
    >>> [prefixes.words[row, :length].tolist() for row, length in zip(prefixes.row, prefixes.length)]
    [[0], [0, 1]]
    >>> prefixes.count.tolist()
    [3, 2]
    """
    words = np.asarray(words)
    if words.ndim != 2 or words.dtype.kind not in "iu":
        raise ValueError(f"words must be an integer array (B, T). Got {words.dtype} of shape {words.shape} instead.")
    if ((words[:, 1:] >= 0) & (words[:, :-1] < 0)).any():
        raise ValueError("padding (-1) must stand at the ends of words. Got a letter after it.")
    words = np.where(words < 0, PADDING, words).astype(np.int64)
    order = np.lexsort(words.T[::-1]) if words.size else np.arange(len(words))
    words = words[order]
    inside = words != PADDING  # (B, T): column t stands for the prefix of t+1 letters
    shared = np.logical_and.accumulate(words[1:] == words[:-1], axis=1)  # with the word before, up to this letter

    new = inside.copy()
    new[1:] &= ~shared
    number = np.cumsum(new.T.reshape(-1)).reshape(new.T.shape).T - 1  # shortest first; equal for equal prefixes
    length, first = (axis + offset for axis, offset in zip(np.nonzero(new.T), (1, 0), strict=True))

    parent = np.full(len(length), -1)
    parent[length > 1] = number[first, length - 2][length > 1]
    given = np.argsort(order)

    extended = np.append(~(inside[:-1] & ~shared).any(1), False)[: len(words)]  # the next word begins with this one
    maximal = np.flatnonzero(~extended & inside.any(1))
    return Prefixes(
        words=words[maximal],
        row=np.searchsorted(maximal, first),
        length=length,
        count=np.bincount(number[inside], minlength=len(length)),
        parent=parent,
        index=number[given][inside[given]],
    )
