"""Visibly pushdown automata learned from a network, by the algorithm of AALpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechlab.automata.extraction.disagreement import Difference, difference
from mechlab.automata.extraction.learning import Exhausted, Learned, learned, system_of, teacher_of
from mechlab.automata.extraction.network import Network
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.pushdown.visibly import Kinds, SingleEntry, depths, from_sevpa, kinds_of
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import random_words, short_words


def learn_visibly(
    network: Network,
    machine: Pushdown,
    words: Sample,
    rng: np.random.Generator,
    tests: int = 2000,
    rounds: int = 50,
    queries: int = 20_000,
    tolerance: float = 0.0,
) -> Learned:
    """Learn a visibly pushdown automaton from a network by KV; the result's automaton is a `SingleEntry`.

    Such an automaton accepts words only in which every call has its return and every return its call. So that is the
    language that is learned: the words of this kind that the network accepts; about others it is not asked, so that a
    network which accepts everything seems to know that brackets must match. Of the pushdown automaton nothing is used
    but which letters push and pop.

    Args:
        network: tells class 1 of words that it accepts.
        machine: its letters must each always push one, always pop one, or do neither.
        words: words (N, T) and lengths (N,) to look for counterexamples in, besides short and random ones: random words
            hardly ever have matching brackets.
        tests: number of random words, in half of which calls and returns match.
        rounds, queries: at most so many hypotheses and membership queries.
        tolerance: the share of words on which disagreement is put up with.

    Raises:
        ValueError: letters are not of one kind each.

    Source: Isberner (2015), "Foundations of active automata learning: an algorithmic perspective"; AALpy.
    """
    from aalpy import SevpaAlphabet, run_KV

    kinds = kinds_of(machine)
    alphabet = SevpaAlphabet(list(kinds.internal), list(kinds.calls), list(kinds.returns))
    system = system_of(network, queries, lambda word, told: bool(told == 1 and _matched(word, kinds)))
    longest = max(2, words[0].shape[1])
    samples = [
        words,
        short_words(network.letters),
        random_words(network.letters, 1, longest, tests // 2, rng),
        matched_words(kinds, longest, tests // 2, rng),
    ]
    told = [(network.outputs(*sample) == 1) & (depths(sample[0], kinds) == 0) for sample in samples]

    def compare(hypothesis: Any) -> tuple[SingleEntry, Difference]:
        found = from_sevpa(hypothesis, machine.alphabet, kinds)
        each = [difference(one, found.outputs(sample[0]), sample) for one, sample in zip(told, samples, strict=True)]
        share = float(np.average([one.share for one in each], weights=[len(sample[1]) for sample in samples]))
        word = min((one.word for one in each if one.share > tolerance), key=len, default=None)
        return found, Difference(share, word)

    teacher = teacher_of(alphabet.get_merged_alphabet(), system, compare, rounds)
    try:
        run_KV(alphabet, system, teacher, automaton_type="vpa", cache_and_non_det_check=False, print_level=0)
    except Exhausted:
        teacher.agreed = False
    return learned(teacher)


def matched_words(kinds: Kinds, longest: int, n: int, rng: np.random.Generator) -> Sample:
    """Draw n words of 1 to `longest` letters, 2 or more, in which every call has a return and every return a call.

    Letters of one kind are equally likely; words take random turns as long as they can end in time.
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


def _matched(word: tuple[int, ...], kinds: Kinds) -> bool:
    return not word or depths(np.array([word]), kinds)[0, -1] == 0
