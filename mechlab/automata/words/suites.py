"""Words that tell automata apart."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.words.sampling import Sample, all_words
from mechlab.automata.words.trie import padded


def short_words(letters: int, most: int = 4096) -> Sample:
    """Return all words of one length, the greatest of which there are at most so many; prefixes are in them."""
    length = 1
    while letters > 1 and letters ** (length + 1) <= most:
        length += 1
    words = all_words(letters, length).all()
    return words, np.full(len(words), length)


def random_words(letters: int, shortest: int, longest: int, n: int, rng: np.random.Generator) -> Sample:
    """Draw n words of independent letters, of shortest to longest letters, every length alike."""
    lengths = np.sort(rng.integers(shortest, longest + 1, size=n))
    words = rng.integers(letters, size=(n, longest))
    return np.where(np.arange(longest) < lengths[:, None], words, 0), lengths


def w_method(automaton: Automaton, extra: int = 2, most: int = 5000) -> Sample:
    """Return words that another automaton, with at most so many more states, cannot all pass unless it is equivalent.

    Each transition of the automaton is taken on a shortest way, then every word of up to `extra` letters is read, then
    every word of a set that tells all states apart.

    Args:
        automaton: minimal, as `minimise` leaves it.
        extra: fewer are allowed for where there would be more than `most` words.

    Source: Chow (1978), "Testing software design modeled by finite-state machines".
    """
    letters, apart = range(len(automaton.alphabet)), characterising_words(automaton)
    cover = [(*word, letter) for word in access_words(automaton) for letter in letters]
    while extra and len(cover) * len(apart) * sum(len(letters) ** k for k in range(extra + 1)) > most:
        extra -= 1
    middles = [word for length in range(extra + 1) for word in itertools.product(letters, repeat=length)]
    return _sample([first + middle + last for first in cover for middle in middles for last in apart])


def state_walks(automaton: Automaton, walks: int, length: int, rng: np.random.Generator) -> Sample:
    """Return words that lead to a state on a shortest way and go on at random, so many from each state.

    Source: AALpy's StatePrefixEqOracle.
    """
    access, m = access_words(automaton), len(automaton.alphabet)
    return _sample([word + tuple(rng.integers(m, size=length).tolist()) for word in access for _ in range(walks)])


def access_words(automaton: Automaton) -> list[tuple[int, ...]]:
    """Return a shortest word to each state that words lead to, in the order of a breadth-first search."""
    found = {automaton.initial: ()}
    queue = deque(found)
    while queue:
        state = queue.popleft()
        for letter, target in enumerate(automaton.transitions[state].tolist()):
            if target not in found:
                found[target] = (*found[state], letter)
                queue.append(target)
    return list(found.values())


def characterising_words(automaton: Automaton) -> list[tuple[int, ...]]:
    """Return words such that any two states of a minimal automaton say different things after one of them.

    The words are shortest for the pairs of states that they were looked for; there is always one, perhaps the empty.
    """
    level = _levels(automaton)
    alike = np.triu(np.isfinite(level), 1)  # pairs still to be told apart
    words = []
    while alike.any():
        first, second = np.argwhere(alike)[0]
        word = []
        while level[first, second]:
            after = level[automaton.transitions[first], automaton.transitions[second]]
            letter = int(after.argmin())
            first, second = automaton.transitions[[first, second], letter]
            word.append(letter)
        words.append(tuple(word))
        state = np.arange(len(alike))
        for letter in word:
            state = automaton.transitions[state, letter]
        said = automaton.outputs[state]
        alike &= said[:, None] == said
    return words or [()]


def _levels(automaton: Automaton) -> np.ndarray:
    """Return (n, n) float: letters after which a pair of states can say different things, inf if never."""
    outputs, transitions = automaton.outputs, automaton.transitions
    level = np.where(outputs[:, None] != outputs, 0.0, np.inf)
    for length in itertools.count(1):
        reached = np.minimum.reduce([level[np.ix_(to, to)] for to in transitions.T])  # (n, n)
        new = np.isinf(level) & np.isfinite(reached)
        if not new.any():
            return level
        level[new] = length


def _sample(words: list[tuple[int, ...]]) -> Sample:
    words = sorted(dict.fromkeys(words), key=len)
    return np.maximum(padded(words), 0), np.array([len(word) for word in words])
