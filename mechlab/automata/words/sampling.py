"""Samples of words of every length, and their split by a seeded hash.

Words are integer arrays of letter indices. A sample is a pair of arrays: words (N, T) int64, padded with 0, and their
lengths (N,) int64, short words first. Words of one length need no padding and no lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mechlab.automata.automaton import Automaton

Sample = tuple[np.ndarray, np.ndarray]
Keep = Callable[[np.ndarray], np.ndarray]  # words (n, l) of one length -> (n,) bool

LISTABLE = 2**17  # maximal number of words that are listed and filtered; more are drawn and rejected


def word_hash(words: np.ndarray, lengths: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Return a hash (N,) uint64 of each word, the same on every machine and for any padding.

    The finaliser of splitmix64 (Steele, Lea and Flood 2014) is applied to the seed and again after each letter.

    Args:
        words: (N, T) letter indices.
        lengths: (N,) lengths of the words; T by default.
        seed: any whole number; different seeds give unrelated hashes.
    """
    words = np.asarray(words)
    state = _mix(np.full(len(words), seed % 2**64, np.uint64))
    for t in range(words.shape[1]):
        after = _mix(state ^ (words[:, t].astype(np.uint64) + np.uint64(1)))
        state = after if lengths is None else np.where(t < lengths, after, state)
    return state


def split_of(words: np.ndarray, lengths: np.ndarray | None = None, seed: int = 0, shortest: int = 5) -> np.ndarray:
    """Return the split (N,) int64 that each word belongs to: 0 train, 1 validation, 2 test.

    A tenth of all words is expected in validation and another tenth in test; equal words are in the same split.

    Args:
        words, lengths, seed: as for `word_hash`.
        shortest: words with fewer letters are all training words.
    """
    bucket = (word_hash(words, lengths, seed) % np.uint64(10)).astype(np.int64)
    letters = np.shape(words)[1] if lengths is None else lengths
    return np.where((bucket < 2) & (letters >= shortest), bucket + 1, 0)


def length_counts(n: int, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of words to take of each length 1, ..., L, and True for lengths of which all words are taken.

    A request for n words means floor(n l / (1 + ... + L)) + 1 words of length l. Where fewer exist, all are taken
    once, and the shortfall is divided equally (rounded down) among the other lengths.

    Args:
        n: requested number of words; the counts add up to about n.
        sizes: (L,) number of existing words of each length.

    Returns:
        counts (L,) int64 and complete (L,) bool.

    Source: the published code of Muškardin et al., arXiv 2306.16854, where L = 14 and the sum is 105.

    >>> length_counts(20, [2, 4, 8, 16])
    (array([ 2,  4,  8, 10]), array([ True,  True, False, False]))
    """
    sizes = np.asarray(sizes, np.int64)
    counts = _requested(n, len(sizes))
    complete = counts > sizes
    surplus = int((counts - sizes)[complete].sum())
    share = surplus // max(int((~complete).sum()), 1)
    return np.where(complete, sizes, counts + share), complete


class Pool:
    """The set of words of one length. Words are computed from their rank, not stored.

    Args:
        size: number of words.
        unrank: maps ranks (n,) below size to words (n, l), one to one and in lexicographic order.
        keep: filter of the words that belong to the pool; all of them by default.

    Attributes:
        size: number of words in the pool; before the filter if more than LISTABLE were given.

    Raises:
        ValueError: there are 2**63 words or more.
    """

    def __init__(self, size: int, unrank: Callable[[np.ndarray], np.ndarray], keep: Keep | None = None):
        if size >= 2**63:
            raise ValueError(f"there must be fewer than 2**63 words of a length. Got {size} instead.")
        self.size, self._unrank, self._keep = size, unrank, keep
        if keep is not None and size <= LISTABLE:
            words = self.all()
            self.size, self._unrank, self._keep = len(words), words.__getitem__, None

    def all(self) -> np.ndarray:
        """Return every word once, (size, l), in lexicographic order."""
        return self._filtered(np.arange(self.size))

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n independent words (n, l), each uniform on the pool.

        Raises:
            ValueError: the pool is empty.
        """
        if not self.size:
            raise ValueError(f"the pool must hold a word. Got none to draw {n} from.")
        drawn = self._filtered(rng.integers(self.size, size=n))
        while len(drawn) < n:
            more = self._filtered(rng.integers(self.size, size=n))
            drawn = np.concatenate([drawn, more])
        return drawn[:n]

    def _filtered(self, ranks: np.ndarray) -> np.ndarray:
        words = self._unrank(ranks)
        return words if self._keep is None else words[self._keep(words)]


def all_words(letters: int, length: int, keep: Keep | None = None) -> Pool:
    """Return the pool of all words of a length over an alphabet of `letters` letters."""
    powers = [letters ** (length - 1 - t) for t in range(length)]

    def unrank(ranks: np.ndarray) -> np.ndarray:
        return ranks[:, None] // np.array(powers) % letters

    return Pool(letters**length, unrank, keep)


def words_of_class(automaton: Automaton, output: int, length: int, keep: Keep | None = None) -> Pool:
    """Return the pool of the words of a length after which the automaton's output is class `output`.

    Each of them is drawn with the same probability, however rare they are: a letter is chosen in proportion to the
    number of words that complete it.
    """
    paths = _path_counts(automaton, output, length)  # (length + 1, n)

    def unrank(ranks: np.ndarray) -> np.ndarray:
        words = np.empty((len(ranks), length), np.int64)
        rows, state = np.arange(len(ranks)), np.full(len(ranks), automaton.initial)
        for t in range(length):
            successors = automaton.transitions[state]  # (n, m)
            here = paths[length - 1 - t][successors]  # number of words that continue with each letter
            until = here.cumsum(1)
            letter = (ranks[:, None] >= until).sum(1)
            ranks = ranks - (until - here)[rows, letter]
            words[:, t], state = letter, successors[rows, letter]
        return words

    return Pool(int(paths[length][automaton.initial]), unrank, keep)


def uniform_words(letters: int, max_length: int, n: int, rng: np.random.Generator, keep: Keep | None = None) -> Sample:
    """Return about n words of 1 to max_length letters, by the published rule of lengths (see `length_counts`).

    The words of a length are all that exist, in lexicographic order, or independent uniform draws.

    Args:
        letters: size m of the alphabet.
        keep: filter of the words that exist; all of them by default.
    """
    pools = [all_words(letters, length, keep) for length in range(1, max_length + 1)]
    counts, complete = length_counts(n, [pool.size for pool in pools])
    return pad(
        [
            pool.all() if whole else pool.draw(count, rng)
            for pool, count, whole in zip(pools, counts, complete, strict=True)
        ]
    )


def balanced_words(
    automaton: Automaton, max_length: int, n: int, rng: np.random.Generator, keep: Keep | None = None
) -> Sample:
    """Return about n words of 1 to max_length letters such that each class has an equal share of every length.

    Of length l, floor(n l / (1 + ... + max_length)) + 1 words are drawn, independently and with replacement. Classes
    without words of that length get no share; where division leaves a remainder, the first classes get one word more.
    A length without any words is left out.

    Args:
        keep: filter of the words that exist; all of them by default.
    """
    blocks = []
    for length, count in enumerate(_requested(n, max_length), start=1):
        pools = [words_of_class(automaton, output, length, keep) for output in range(len(automaton.classes))]
        pools = [pool for pool in pools if pool.size]
        shares = [(count + i) // len(pools) for i in range(len(pools))][::-1]
        drawn = [pool.draw(share, rng) for pool, share in zip(pools, shares, strict=True)]
        blocks.append(np.concatenate(drawn) if drawn else np.empty((0, length), np.int64))
    return pad(blocks)


def pad(blocks: Sequence[np.ndarray]) -> Sample:
    """Return words (N, T) and lengths (N,) of blocks of words, block i of shape (n_i, i + 1)."""
    longest = len(blocks)
    words = [np.pad(block, ((0, 0), (0, longest - block.shape[1]))) for block in blocks]
    lengths = [np.full(len(block), block.shape[1]) for block in blocks]
    return np.concatenate(words), np.concatenate(lengths)


def _requested(n: int, max_length: int) -> np.ndarray:
    lengths = np.arange(1, max_length + 1)
    return n * lengths // lengths.sum() + 1


def _path_counts(automaton: Automaton, output: int, length: int) -> np.ndarray:
    """Return (length + 1, n): the number of words of each length that lead from each state to the class."""
    if len(automaton.alphabet) ** length >= 2**63:
        raise ValueError(f"there must be fewer than 2**63 words of a length. Got length {length} instead.")
    counts = [(automaton.outputs == output).astype(np.int64)]
    for _ in range(length):
        counts.append(counts[-1][automaton.transitions].sum(1))
    return np.array(counts)


def _mix(values: np.ndarray) -> np.ndarray:
    """Return splitmix64's bijection of 64-bit numbers (N,); products wrap around on purpose."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
