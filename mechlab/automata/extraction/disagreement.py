"""Where two machines that tell a class after each letter differ, and where an automaton differs from a network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.extraction.conformance import outputs_of
from mechlab.automata.extraction.network import Network
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import short_words, state_walks, w_method

Word = tuple[int, ...]
WALKS, WALK = 20, 10  # random walks from each state, and their letters


class Difference(NamedTuple):
    """How two machines differ on a sample of words.

    Args:
        share: of the words, that on which they differ after some prefix.
        word: a shortest prefix of a word after which they do, None if there is none.
    """

    share: float
    word: Word | None


def difference(told: np.ndarray, said: np.ndarray, sample: Sample) -> Difference:
    """Return how two machines differ that say classes (N, T) after each letter of words (N, T) of lengths (N,).

    >>> difference(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]), (np.array([[5, 6, 7]]), np.array([3])))
    Difference(share=1.0, word=(5, 6))
    """
    words, lengths = sample
    differ = (told != said) & (np.arange(words.shape[1]) < lengths[:, None])
    wrong = differ.any(1)
    if not wrong.any():
        return Difference(0.0, None)
    first = np.where(wrong, differ.argmax(1), words.shape[1])
    row = int(first.argmin())
    return Difference(float(wrong.mean()), tuple(words[row, : first[row] + 1].tolist()))


class Disagreement:
    """Looks for words after which an automaton does not say what a network tells.

    The network reads the fixed words once: all short ones, and those given. An automaton that passes them is tried on
    words made for it, by the W-method and by random walks from its states. A network need not be an automaton on long
    words: disagreement on a small share of fixed words or walks is put up with; on the words of the W-method they must
    agree.

    Args:
        words: words (N, T) and their lengths (N,), random ones as a rule.
        extra: see `w_method`.
        tolerance: the share of the fixed words, and of the walks, that is put up with.
    """

    def __init__(
        self,
        network: Network,
        words: Sample,
        rng: np.random.Generator,
        extra: int = 2,
        tolerance: float = 0.0,
    ):
        self._network, self._extra, self._tolerance, self._rng = network, extra, tolerance, rng
        self._fixed = [(sample, network.outputs(*sample)) for sample in (short_words(network.letters), words)]

    def of(self, automaton: Automaton) -> Difference:
        """Return the share of the fixed words on which a minimal automaton and the network disagree, and a shortest
        word found on which they do, None if the automaton passes."""
        found = [difference(told, outputs_of(automaton, sample[0]), sample) for sample, told in self._fixed]
        sizes = [len(told) for _, told in self._fixed]
        share = float(np.dot(sizes, [one.share for one in found]) / sum(sizes))
        if share > self._tolerance:
            return Difference(share, min((one.word for one in found if one.word is not None), key=len))
        made = (
            (w_method(automaton, self._extra), 0.0),
            (state_walks(automaton, WALKS, WALK, self._rng), self._tolerance),
        )
        for sample, tolerance in made:
            one = difference(self._network.outputs(*sample), outputs_of(automaton, sample[0]), sample)
            if one.share > tolerance:
                return Difference(share, one.word)
        return Difference(share, None)
