"""Visibly pushdown automata learned from a network, by the algorithm of AALpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechlab.automata.extraction.counterexamples import Difference, difference
from mechlab.automata.extraction.learning import (
    LearningResult,
    QueryBudgetExceeded,
    equivalence_oracle,
    learning_result,
    membership_oracle,
)
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.pushdown.visibly import SingleEntryVPA, VisibleAlphabet, depths, from_sevpa, visible_alphabet
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import random_words, short_words


def learn_visibly(
    network: WordClassifier,
    machine: Pushdown,
    words: Sample,
    rng: np.random.Generator,
    tests: int = 2000,
    rounds: int = 50,
    queries: int = 20_000,
    tolerance: float = 0.0,
) -> LearningResult:
    """Return a visibly pushdown automaton learned from a network by KV; its automaton is a `SingleEntryVPA`.

    Such an automaton accepts only words in which calls and returns match. So the learned language is that of the
    matched words that the network accepts; it is not queried about others, so that a network that accepts everything
    seems to know that brackets must match. Of the pushdown automaton only the letters that push and pop are used.

    Args:
        network: predicts class 1 for words that it accepts.
        machine: its letters must each always push one, always pop one, or do neither.
        words: words (N, T) and lengths (N,) to search for counterexamples, besides short and random ones: random words
            rarely have matching brackets.
        tests: number of random words, in half of which calls and returns match.
        rounds, queries: maximal numbers of hypotheses and membership queries.
        tolerance: tolerated share of words with disagreement.

    Raises:
        ValueError: a letter has several stack actions.

    Source: Isberner (2015), "Foundations of active automata learning: an algorithmic perspective"; AALpy.
    """
    from aalpy import SevpaAlphabet, run_KV

    kinds = visible_alphabet(machine)
    alphabet = SevpaAlphabet(list(kinds.internal), list(kinds.calls), list(kinds.returns))
    system = membership_oracle(network, queries, lambda word, predicted: bool(predicted == 1 and _matched(word, kinds)))
    longest = max(2, words[0].shape[1])
    samples = [
        words,
        short_words(network.letters),
        random_words(network.letters, 1, longest, tests // 2, rng),
        matched_words(kinds, longest, tests // 2, rng),
    ]
    predicted = [(network.outputs(*sample) == 1) & (depths(sample[0], kinds) == 0) for sample in samples]

    def compare(hypothesis: Any) -> tuple[SingleEntryVPA, Difference]:
        automaton = from_sevpa(hypothesis, machine.alphabet, kinds)
        pairs = zip(predicted, samples, strict=True)
        each = [difference(accepted, automaton.outputs(sample[0]), sample) for accepted, sample in pairs]
        share = float(np.average([result.share for result in each], weights=[len(sample[1]) for sample in samples]))
        word = min((result.word for result in each if result.share > tolerance), key=len, default=None)
        return automaton, Difference(share, word)

    teacher = equivalence_oracle(alphabet.get_merged_alphabet(), system, compare, rounds)
    try:
        run_KV(alphabet, system, teacher, automaton_type="vpa", cache_and_non_det_check=False, print_level=0)
    except QueryBudgetExceeded:
        teacher.agreed = False
    return learning_result(teacher)


def matched_words(kinds: VisibleAlphabet, longest: int, n: int, rng: np.random.Generator) -> Sample:
    """Return n random words of 1 to `longest` letters in which calls and returns match.

    Letters of one kind are equally likely; kinds are drawn at random among those that let the word end in time. Where
    every letter is a call or a return, words have at least 2 letters.

    Args:
        kinds: the letters that push, pop, and do neither.
        longest: greatest length in letters, at least 2.
        n: number of words.
        rng: generator of the draws.
    """
    lengths = np.sort(rng.integers(1, longest + 1, size=n))
    if not kinds.internal:
        lengths = np.maximum(lengths - lengths % 2, 2)
    words, depth = np.zeros((n, longest), np.int64), np.zeros(n, np.int64)
    for t in range(longest):
        left = lengths - t
        draws = rng.random((n, 3))
        able = np.stack([left > depth + 1, depth > 0, left > depth], 1)
        able &= np.array([bool(kinds.calls and kinds.returns), bool(kinds.returns), bool(kinds.internal)])
        kind = np.where(able, draws, -1).argmax(1)
        for i, letters in enumerate(kinds):
            rows = np.flatnonzero((kind == i) & (left > 0) & able.any(1))
            if len(rows):
                words[rows, t] = np.array(letters)[rng.integers(len(letters), size=len(rows))]
                depth[rows] += (1, -1, 0)[i]
    return words, lengths


def _matched(word: tuple[int, ...], kinds: VisibleAlphabet) -> bool:
    return not word or depths(np.array([word]), kinds)[0, -1] == 0
