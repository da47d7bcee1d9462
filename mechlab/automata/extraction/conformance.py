"""How often a network says what an automaton says, on words of many lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.pushdown.accepted import Accepted
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.pushdown.words import balanced_words
from mechlab.automata.words.long_words import long_words
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import random_words

Sampler = Literal["uniform", "balanced"]


class Scores(NamedTuple):
    """Shares of words and letters.

    Args:
        words: number of words.
        accuracy: share of them that are right, which is after every prefix.
        letters: share of letters after which the right class is told.
        balanced: the same, as the mean over the classes that occur of the share of each that is right.
        last: the same after the last letter of words alone, balanced as well.
        constant, constant_words: the largest shares of letters, and of words, that are right when one class is always
            told.
        classes: number of classes that occur; a constant has the balanced share 1 / classes.
    """

    words: int
    accuracy: float
    letters: float
    balanced: float
    last: float
    constant: float
    constant_words: float
    classes: int


def draw_words(
    truth: Automaton | Pushdown, shortest: int, longest: int, n: int, rng: np.random.Generator, sampler: Sampler
) -> Sample:
    """Draw about n words of shortest to longest letters, every length alike.

    Args:
        sampler: "uniform" draws letters independently. "balanced" gives each class that words of a length can end in
            an equal share of these words. Of a pushdown automaton half are then accepted words, and half near misses of
            such; lengths that no accepted word has are left out.

    Returns:
        words (n, T) int64, padded with 0, and lengths (n,) int64.

    Raises:
        ValueError: balanced words are asked for, and no word of these lengths is accepted.
    """
    if sampler == "uniform":
        return random_words(len(truth.alphabet), shortest, longest, n, rng)
    if isinstance(truth, Automaton):
        return long_words(truth, shortest, longest, n, rng, balanced=True)
    accepted = Accepted(truth)
    lengths = [length for length in range(shortest, longest + 1) if accepted.count(length)]
    if not lengths:
        must = f"balanced words need an accepted word of {shortest} to {longest} letters"
        raise ValueError(f"{must}. Got a language without any of these lengths.")
    blocks = []
    for length, share in zip(lengths, np.diff(np.linspace(0, n, len(lengths) + 1).astype(int)), strict=True):
        words, _ = balanced_words(truth, accepted, [length], share, rng, _all, _all, near=True)
        blocks.append(np.pad(words, ((0, 0), (0, longest - length))))
    return np.concatenate(blocks), np.repeat(lengths, [len(block) for block in blocks])


def outputs_of(truth: Automaton | Pushdown, words: np.ndarray) -> np.ndarray:
    """Return what an automaton says (N, T) int64 after each letter of words (N, T)."""
    return truth.outputs[truth.run(words)[:, 1:]] if isinstance(truth, Automaton) else truth.outputs(words)


def empty_class(truth: Automaton | Pushdown) -> int:
    """Return what an automaton says on the empty word."""
    if isinstance(truth, Automaton):
        return int(truth.outputs[truth.initial])
    return 0 if truth.says == "state" else int(truth.accepting[0])


def conformance(told: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> Scores:
    """Score what a network tells (N, T) against what is right (N, T), for words of so many letters (N,), one or more.

    >>> conformance(np.array([[0, 1], [0, 0]]), np.array([[0, 1], [1, 0]]), np.array([2, 1])).accuracy
    0.5
    """
    inside = np.arange(told.shape[1]) < lengths[:, None]
    good = told == right
    classes = np.unique(right[inside])
    ends = np.arange(len(lengths)), lengths - 1
    constants = [(right == label) | ~inside for label in classes]
    return Scores(
        words=len(lengths),
        accuracy=float((good | ~inside).all(1).mean()),
        letters=float(good[inside].mean()),
        balanced=_balanced(good[inside], right[inside]),
        last=_balanced(good[ends], right[ends]),
        constant=float(max((right[inside] == label).mean() for label in classes)),
        constant_words=float(max(constant.all(1).mean() for constant in constants)),
        classes=len(classes),
    )


def by_length(told: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[int, Scores]]:
    """Yield the scores of the words of each length that occurs, shortest first."""
    for length in np.unique(lengths):
        rows = lengths == length
        yield int(length), conformance(told[rows, :length], right[rows, :length], lengths[rows])


def _balanced(good: np.ndarray, right: np.ndarray) -> float:
    return float(np.mean([good[right == label].mean() for label in np.unique(right)]))


def _all(words: np.ndarray) -> np.ndarray:
    return np.ones(len(words), bool)
