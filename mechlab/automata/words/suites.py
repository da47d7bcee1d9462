"""Test suites: words that distinguish automata."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.words.sampling import Sample, all_words
from mechlab.automata.words.trie import padded


def short_words(letters: int, most: int = 4096) -> Sample:
    """Return all words of the greatest length with at most `most` words; they contain all shorter ones as prefixes."""
    length = 1
    while letters > 1 and letters ** (length + 1) <= most:
        length += 1
    words = all_words(letters, length).all()
    return words, np.full(len(words), length)


def random_words(letters: int, shortest: int, longest: int, n: int, rng: np.random.Generator) -> Sample:
    """Return n random words of independent letters, of lengths uniform in shortest to longest.

    Args:
        letters: size m of the alphabet.
        shortest, longest: least and greatest length in letters.
        n: number of words.
        rng: generator of the draws.

    Returns:
        words (n, longest) int64, padded with 0, and lengths (n,) int64.
    """
    lengths = np.sort(rng.integers(shortest, longest + 1, size=n))
    words = rng.integers(letters, size=(n, longest))
    return np.where(np.arange(longest) < lengths[:, None], words, 0), lengths


def w_method(automaton: Automaton, extra: int = 2, most: int = 5000) -> Sample:
    """Return a test suite that an automaton with at most `extra` more states passes only if it is equivalent.

    A word is a shortest one that ends with a given transition, then any word of up to `extra` letters, then one of a
    set of words that distinguish all states.

    Args:
        automaton: minimal, such as the result of `minimise`.
        extra: number of extra states; reduced where there would be more than `most` words.

    Source: Chow (1978), "Testing software design modeled by finite-state machines".
    """
    letters, suffixes = range(len(automaton.alphabet)), characterising_words(automaton)
    cover = [(*word, letter) for word in access_words(automaton) for letter in letters]
    while extra and len(cover) * len(suffixes) * sum(len(letters) ** k for k in range(extra + 1)) > most:
        extra -= 1
    middles = [word for length in range(extra + 1) for word in itertools.product(letters, repeat=length)]
    return _sample([first + middle + last for first in cover for middle in middles for last in suffixes])


def state_walks(automaton: Automaton, walks: int, length: int, rng: np.random.Generator) -> Sample:
    """Return shortest words to each state followed by random letters, `walks` words for each state.

    Source: AALpy's StatePrefixEqOracle.
    """
    access, m = access_words(automaton), len(automaton.alphabet)
    return _sample([word + tuple(rng.integers(m, size=length).tolist()) for word in access for _ in range(walks)])


def access_words(automaton: Automaton) -> list[tuple[int, ...]]:
    """Return a shortest word to each reachable state, in the order of a breadth-first search."""
    access = {automaton.initial: ()}
    queue = deque(access)
    while queue:
        state = queue.popleft()
        for letter, target in enumerate(automaton.transitions[state].tolist()):
            if target not in access:
                access[target] = (*access[state], letter)
                queue.append(target)
    return list(access.values())


def characterising_words(automaton: Automaton) -> list[tuple[int, ...]]:
    """Return words such that any two states of a minimal automaton have different outputs after one of them.

    Each word is a shortest one for some pair of states; there is always one, perhaps the empty word.
    """
    level = _distinguishing_lengths(automaton)
    alike = np.triu(np.isfinite(level), 1)  # pairs not distinguished yet
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
        outputs = automaton.outputs[state]
        alike &= outputs[:, None] == outputs
    return words or [()]


def _distinguishing_lengths(automaton: Automaton) -> np.ndarray:
    """Return (n, n) float: length of a shortest word that distinguishes a pair of states, inf if there is none."""
    outputs, transitions = automaton.outputs, automaton.transitions
    level = np.where(outputs[:, None] != outputs, 0.0, np.inf)
    for length in itertools.count(1):
        successors = np.minimum.reduce([level[np.ix_(to, to)] for to in transitions.T])  # (n, n)
        new = np.isinf(level) & np.isfinite(successors)
        if not new.any():
            return level
        level[new] = length
    raise AssertionError("there are finitely many pairs of states")


def _sample(words: list[tuple[int, ...]]) -> Sample:
    words = sorted(dict.fromkeys(words), key=len)
    return np.maximum(padded(words), 0), np.array([len(word) for word in words])
