"""Counterexamples: words after which an automaton's output and a network's predicted class differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.extraction.conformance import outputs_of
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import short_words, state_walks, w_method

Word = tuple[int, ...]
WALKS, WALK = 20, 10  # number of random walks from each state, and their length in letters


class Difference(NamedTuple):
    """Disagreement of two machines on a sample of words.

    Args:
        share: share of the words on which they differ after some prefix.
        word: a shortest prefix of these words after which they differ, None if there is none.
    """

    share: float
    word: Word | None


def difference(a: np.ndarray, b: np.ndarray, sample: Sample) -> Difference:
    """Return the disagreement of two machines with outputs a and b (N, T), on words (N, T) of lengths (N,).

    >>> difference(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]), (np.array([[5, 6, 7]]), np.array([3])))
    Difference(share=1.0, word=(5, 6))
    """
    words, lengths = sample
    differ = (a != b) & (np.arange(words.shape[1]) < lengths[:, None])
    wrong = differ.any(1)
    if not wrong.any():
        return Difference(0.0, None)
    first = np.where(wrong, differ.argmax(1), words.shape[1])
    row = int(first.argmin())
    return Difference(float(wrong.mean()), tuple(words[row, : first[row] + 1].tolist()))


class CounterexampleSearch:
    """Search for words on which an automaton and a network disagree.

    The network reads the fixed words once: all short words, and the given ones. An automaton that agrees on them is
    tested on words generated for it, by the W-method and by random walks from its states. Since a network need not be
    an automaton on long words, disagreement on a small share of the fixed words or walks is tolerated; on the words of
    the W-method none is.

    Args:
        words: words (N, T) and their lengths (N,), usually random ones.
        extra: see `w_method`.
        tolerance: tolerated share of disagreement on the fixed words, and on the walks.
    """

    def __init__(
        self,
        network: WordClassifier,
        words: Sample,
        rng: np.random.Generator,
        extra: int = 2,
        tolerance: float = 0.0,
    ):
        self._network, self._extra, self._tolerance, self._rng = network, extra, tolerance, rng
        self._fixed = [(sample, network.outputs(*sample)) for sample in (short_words(network.letters), words)]

    def __call__(self, automaton: Automaton) -> Difference:
        """Return the share of the fixed words on which a minimal automaton and the network disagree, and a shortest
        counterexample, None if the automaton passes."""
        fixed = [difference(predicted, outputs_of(automaton, sample[0]), sample) for sample, predicted in self._fixed]
        sizes = [len(predicted) for _, predicted in self._fixed]
        share = float(np.dot(sizes, [each.share for each in fixed]) / sum(sizes))
        if share > self._tolerance:
            return Difference(share, min((each.word for each in fixed if each.word is not None), key=len))
        generated = (
            (w_method(automaton, self._extra), 0.0),
            (state_walks(automaton, WALKS, WALK, self._rng), self._tolerance),
        )
        for sample, tolerance in generated:
            result = difference(self._network.outputs(*sample), outputs_of(automaton, sample[0]), sample)
            if result.share > tolerance:
                return Difference(share, result.word)
        return Difference(share, None)
