"""Samples of words for pushdown automata, which accept almost none of all words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mechlab.automata.pushdown.accepted_words import AcceptedWords
from mechlab.automata.pushdown.pushdown import Pushdown, Walk
from mechlab.automata.words.sampling import Keep, Sample, all_words, length_counts

POSSIBLE = 0.75  # probability that a walk takes a possible letter
LISTABLE = 2000  # maximal number of accepted words of a length that are listed
ROUNDS = 200  # of drawing words to filter
DISTINCT = 20  # number of distinct rejected words of a length below which they get more edits


def walks(machine: Pushdown, length: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n random words (n, length): each letter is, with probability 3/4, uniform among those with a transition in
    the current configuration, else (or if there are none) uniform among all."""
    words, walk, m = np.empty((n, length), np.int64), Walk(machine, n, length), len(machine.alphabet)
    for t in range(length):
        possible = walk.possible()
        possible |= ((rng.random(n) > POSSIBLE) | ~possible.any(1))[:, None]
        words[:, t] = np.where(possible, rng.random((n, m)), -1).argmax(1)
        walk.step(words[:, t])
    return words


def walk_words(
    machine: Pushdown,
    max_length: int,
    n: int,
    rng: np.random.Generator,
    keep: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    stack_limit: int | None = None,
    break_on_impossible: bool = False,
) -> Sample:
    """Return about n words of 1 to max_length letters, by the published rule of lengths (see `length_counts`).

    The words of a length are all that exist or, where these are too many, walks.

    Args:
        keep: words (n, T) and lengths (n,) -> (n,) bool, a filter of the words; all by default. Where few walks pass,
            fewer words than requested may be returned.
        stack_limit: a word ends when the stack, bottom included, is higher than this.
        break_on_impossible: a word ends before a letter that has no transition.

    Source: the published code of Muškardin et al., arXiv 2306.16854.
    """
    m, samples = len(machine.alphabet), []
    exist = [all_words(m, length) for length in range(1, max_length + 1)]

    def filtered(words: np.ndarray) -> Sample:
        lengths = _ends(machine, words, stack_limit, break_on_impossible)
        words = np.pad(words, ((0, 0), (0, max_length - words.shape[1])))
        words = np.where(np.arange(max_length) < lengths[:, None], words, 0)
        rows = (lengths > 0) & (True if keep is None else keep(words, lengths))
        return words[rows], lengths[rows]

    counts, complete = length_counts(n, [pool.size for pool in exist])
    for pool, length, count, whole in zip(exist, range(1, max_length + 1), counts, complete, strict=True):
        if whole:
            samples.append(filtered(pool.all()))
            continue
        missing = int(count)
        for _ in range(ROUNDS):
            words, lengths = filtered(walks(machine, length, max(int(count), 200), rng))
            samples.append((words[:missing], lengths[:missing]))
            missing -= len(samples[-1][0])
            if missing <= 0:
                break
    return tuple(np.concatenate(column) for column in zip(*samples, strict=True))


def balanced_words(
    machine: Pushdown,
    accepted: AcceptedWords,
    lengths: Sequence[int],
    n: int,
    rng: np.random.Generator,
    keep_accepted: Keep,
    keep_rejected: Keep,
    near: bool,
    every_length: bool = False,
) -> Sample:
    """Return about n words such that half of each length is accepted and half rejected, with replacement.

    Longer words are more frequent, in proportion to their length. Lengths without words of both kinds are left out.

    Args:
        accepted: the accepted words of the machine.
        lengths: allowed lengths of words.
        keep_accepted, keep_rejected: filters of the words.
        near: True for rejected words that are accepted ones with a letter replaced or two neighbours swapped (more than
            one edit only where too few words pass the filter), False for walks.
        every_length: also take rejected words of the lengths whose accepted words are all left out, and as many
            accepted words of the other lengths. Half of all words are then accepted, but not half of each length.
    """
    samples, longest = [], max(lengths)
    pools = {length: _accepted_pool(accepted, length, keep_accepted) for length in lengths if accepted.count(length)}
    usable = [length for length, draw in pools.items() if draw is not None]
    total = sum(pools if every_length else usable)
    for length in pools if every_length and usable else usable:
        half = n * length // total // 2 + 1
        rejected = _rejected(machine, accepted, length, half, rng, keep_rejected, near)
        if not len(rejected):
            continue
        others = [length] * half if length in usable else rng.choice(usable, half, p=np.array(usable) / sum(usable))
        shares = zip(*np.unique(others, return_counts=True), strict=True)
        blocks = [pools[other](int(share), rng) for other, share in shares]
        for block in (*blocks, rejected[np.arange(half) % len(rejected)]):
            size = block.shape[1]
            samples.append((np.pad(block, ((0, 0), (0, longest - size))), np.full(len(block), size)))
    if not samples:
        return np.empty((0, longest), np.int64), np.empty(0, np.int64)
    return tuple(np.concatenate(column) for column in zip(*samples, strict=True))


def near_misses(words: np.ndarray, letters: int, edits: int, rng: np.random.Generator) -> np.ndarray:
    """Return words (n, T) after `edits` random edits, which may leave a word unchanged: a letter is
    replaced, or swapped with the next one (the last with the first)."""
    words, rows, length = words.copy(), np.arange(len(words)), words.shape[1]
    for _ in range(edits):
        at, swap = rng.integers(length, size=len(words)), rng.random(len(words)) < (0.5 if length > 1 else 0)
        after = (at + 1) % length
        other = (words[rows, at] + rng.integers(1, letters, size=len(words))) % letters
        left, right = words[rows, at].copy(), words[rows, after].copy()
        words[rows, at] = np.where(swap, right, other)
        words[rows[swap], after[swap]] = left[swap]
    return words


def _ends(machine: Pushdown, words: np.ndarray, stack_limit: int | None, break_on_impossible: bool) -> np.ndarray:
    """Return the length (n,) at which each word ends."""
    length = words.shape[1]
    ends = np.full(len(words), length)
    if stack_limit is None and not break_on_impossible:
        return ends
    path = machine.run(words)
    if stack_limit is not None:
        high = path.heights[:, 1:] > stack_limit
        ends = np.where(high.any(1), high.argmax(1) + 1, ends)
    if break_on_impossible:
        impossible = ~machine.possible[path.states[:, :-1], words, path.tops[:, :-1]]
        ends = np.where(impossible.any(1), np.minimum(impossible.argmax(1), ends), ends)
    return ends


def _accepted_pool(accepted: AcceptedWords, length: int, keep: Keep) -> Callable[..., np.ndarray] | None:
    """Return a function (n, rng) that draws accepted words of a length that pass the filter, None if there are none."""
    count = accepted.count(length)
    if count <= LISTABLE:
        words = accepted.all(length)
        words = words[keep(words)]
        return (lambda n, rng: words[rng.integers(len(words), size=n)]) if len(words) else None

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        words = np.empty((0, length), np.int64)
        while len(words) < n:
            more = accepted.draw(length, n, rng)
            words = np.concatenate([words, more[keep(more)]])
        return words[:n]

    return draw


def _rejected(
    machine: Pushdown, accepted: AcceptedWords, length: int, n: int, rng: np.random.Generator, keep: Keep, near: bool
) -> np.ndarray:
    """Return at most n rejected words (n, length) that pass the filter."""
    words, edits = np.empty((0, length), np.int64), 1
    originals = accepted.draw(length, n, rng) if near else None
    for i in range(1, ROUNDS + 1):
        more = near_misses(originals, len(machine.alphabet), edits, rng) if near else walks(machine, length, n, rng)
        more = more[machine.outputs(more)[:, -1] == 0]
        words = np.concatenate([words, more[keep(more)]])
        if len(words) >= n:
            distinct = np.unique(words[:n], axis=0)
            if len(distinct) >= min(n, DISTINCT) or edits >= length:
                break
            words, edits = distinct, edits + 1
        elif i % 20 == 0:
            edits += 1
    return words[:n]
