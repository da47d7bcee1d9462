"""Samples of words for pushdown automata, which accept next to none of all words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mechlab.automata.pushdown.accepted import Accepted
from mechlab.automata.pushdown.pushdown import Pushdown, Walk
from mechlab.automata.words.sampling import Keep, Sample, all_words, length_counts

POSSIBLE = 0.75  # how often a walk takes a possible letter
LISTABLE = 2000  # up to so many accepted words of a length are listed
ROUNDS = 200  # of looking for words to keep
DISTINCT = 20  # rejected words of a length have more changes if these make so many of them distinct


def walks(machine: Pushdown, length: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n words (n, length): each letter is, with probability 3/4, uniform among those that have a transition in the
    present configuration, else (or if none has) uniform among all."""
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
    """Draw about n words of 1 to max_length letters by the published rule of lengths (see `length_counts`).

    The words of a length are all that exist or, where these are too many, walks.

    Args:
        keep: words (n, T) and lengths (n,) -> (n,) bool; leaves only some words in existence, all by default. Where few
            walks are to be kept, fewer words than asked for may come.
        stack_limit: a word ends when the stack, bottom included, is higher than this.
        break_on_impossible: a word ends before a letter that has no transition.

    Source: the published code of Muskardin et al., arXiv 2306.16854.
    """
    m, found = len(machine.alphabet), []
    exist = [all_words(m, length) for length in range(1, max_length + 1)]

    def kept(words: np.ndarray) -> Sample:
        lengths = _ends(machine, words, stack_limit, break_on_impossible)
        words = np.pad(words, ((0, 0), (0, max_length - words.shape[1])))
        words = np.where(np.arange(max_length) < lengths[:, None], words, 0)
        rows = (lengths > 0) & (True if keep is None else keep(words, lengths))
        return words[rows], lengths[rows]

    counts, complete = length_counts(n, [pool.size for pool in exist])
    for pool, length, count, whole in zip(exist, range(1, max_length + 1), counts, complete, strict=True):
        if whole:
            found.append(kept(pool.all()))
            continue
        missing = int(count)
        for _ in range(ROUNDS):
            words, lengths = kept(walks(machine, length, max(int(count), 200), rng))
            found.append((words[:missing], lengths[:missing]))
            missing -= len(found[-1][0])
            if missing <= 0:
                break
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def balanced_words(
    machine: Pushdown,
    accepted: Accepted,
    lengths: Sequence[int],
    n: int,
    rng: np.random.Generator,
    keep_accepted: Keep,
    keep_rejected: Keep,
    near: bool,
    every_length: bool = False,
) -> Sample:
    """Draw about n words such that half of each length is accepted and half rejected, with replacement.

    Longer words are more frequent, in proportion to their length. Lengths without words of both kinds are left out.

    Args:
        accepted: the accepted words of the machine.
        lengths: lengths that words may have.
        keep_accepted, keep_rejected: leave only some words in existence.
        near: whether rejected words are accepted ones in which a letter is replaced or two neighbours are swapped (more
            than once only where this gives too few words to keep) rather than walks.
        every_length: also take rejected words of the lengths whose accepted words are all left out, and as many
            accepted words of the other lengths. Half of all words are then accepted, but not half of each length.
    """
    found, longest = [], max(lengths)
    pools = {length: _accepted_pool(accepted, length, keep_accepted) for length in lengths if accepted.count(length)}
    kept = [length for length, draw in pools.items() if draw is not None]
    total = sum(pools if every_length else kept)
    for length in pools if every_length and kept else kept:
        half = n * length // total // 2 + 1
        rejected = _rejected(machine, accepted, length, half, rng, keep_rejected, near)
        if not len(rejected):
            continue
        others = [length] * half if length in kept else rng.choice(kept, half, p=np.array(kept) / sum(kept))
        shares = zip(*np.unique(others, return_counts=True), strict=True)
        blocks = [pools[other](int(share), rng) for other, share in shares]
        for block in (*blocks, rejected[np.arange(half) % len(rejected)]):
            size = block.shape[1]
            found.append((np.pad(block, ((0, 0), (0, longest - size))), np.full(len(block), size)))
    if not found:
        return np.empty((0, longest), np.int64), np.empty(0, np.int64)
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def near_misses(words: np.ndarray, letters: int, edits: int, rng: np.random.Generator) -> np.ndarray:
    """Return words (n, T) after so many edits: a letter becomes another one, or two neighbours change places."""
    words, rows, length = words.copy(), np.arange(len(words)), words.shape[1]
    for _ in range(edits):
        at, swap = rng.integers(length, size=len(words)), rng.random(len(words)) < (0.5 if length > 1 else 0)
        after = (at + 1) % length
        other = (words[rows, at] + rng.integers(1, letters, size=len(words))) % letters
        one, two = words[rows, at].copy(), words[rows, after].copy()
        words[rows, at] = np.where(swap, two, other)
        words[rows[swap], after[swap]] = one[swap]
    return words


def _ends(machine: Pushdown, words: np.ndarray, stack_limit: int | None, break_on_impossible: bool) -> np.ndarray:
    """Return how many letters (n,) of each word come before its end."""
    length = words.shape[1]
    ends = np.full(len(words), length)
    if stack_limit is None and not break_on_impossible:
        return ends
    found = machine.run(words)
    if stack_limit is not None:
        high = found.heights[:, 1:] > stack_limit
        ends = np.where(high.any(1), high.argmax(1) + 1, ends)
    if break_on_impossible:
        impossible = ~machine.possible[found.states[:, :-1], words, found.tops[:, :-1]]
        ends = np.where(impossible.any(1), np.minimum(impossible.argmax(1), ends), ends)
    return ends


def _accepted_pool(accepted: Accepted, length: int, keep: Keep) -> Callable[..., np.ndarray] | None:
    """Return what draws (n, rng) accepted words of a length that are to be kept, or None if there are none."""
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
    machine: Pushdown, accepted: Accepted, length: int, n: int, rng: np.random.Generator, keep: Keep, near: bool
) -> np.ndarray:
    """Return at most n rejected words (n, length) that are to be kept."""
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
