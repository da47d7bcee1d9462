"""Agreement of a network's predicted classes with an automaton's outputs, on words of many lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.pushdown.accepted_words import AcceptedWords
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.pushdown.words import balanced_words
from mechlab.automata.words.long_words import long_words
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import random_words

Sampler = Literal["uniform", "balanced"]


class Scores(NamedTuple):
    """Accuracies over words and over letters.

    Args:
        words: number of words.
        accuracy: share of words with the right class after every prefix.
        letters: share of letters after which the predicted class is right.
        balanced: the same, as the mean recall over the classes that occur.
        last: mean recall over classes after the last letters of words.
        constant, constant_words: the largest `letters` and `accuracy` of a constant prediction.
        classes: number of classes that occur; a constant prediction has `balanced` 1 / classes.
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
            an equal share of these words. For a pushdown automaton half are then accepted words, and half near misses
            of them; lengths without accepted words are left out.

    Returns:
        words (n, T) int64, padded with 0, and lengths (n,) int64.

    Raises:
        ValueError: the sampler is "balanced" and no word of these lengths is accepted.
    """
    if sampler == "uniform":
        return random_words(len(truth.alphabet), shortest, longest, n, rng)
    if isinstance(truth, Automaton):
        return long_words(truth, shortest, longest, n, rng, balanced=True)
    accepted = AcceptedWords(truth)
    lengths = [length for length in range(shortest, longest + 1) if accepted.count(length)]
    if not lengths:
        must = f"balanced words must have an accepted word of {shortest} to {longest} letters"
        raise ValueError(f"{must}. Got a language without one.")
    blocks = []
    for length, share in zip(lengths, np.diff(np.linspace(0, n, len(lengths) + 1).astype(int)), strict=True):
        words, _ = balanced_words(truth, accepted, [length], share, rng, _all, _all, near=True)
        blocks.append(np.pad(words, ((0, 0), (0, longest - length))))
    return np.concatenate(blocks), np.repeat(lengths, [len(block) for block in blocks])


def outputs_of(truth: Automaton | Pushdown, words: np.ndarray) -> np.ndarray:
    """Return the output class (N, T) int64 of an automaton after each letter of words (N, T)."""
    return truth.outputs[truth.run(words)[:, 1:]] if isinstance(truth, Automaton) else truth.outputs(words)


def empty_class(truth: Automaton | Pushdown) -> int:
    """Return the output class of an automaton on the empty word."""
    if isinstance(truth, Automaton):
        return int(truth.outputs[truth.initial])
    return 0 if truth.says == "state" else int(truth.accepting[0])


def conformance(predicted: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> Scores:
    """Return the scores of predicted classes (N, T) against target classes (N, T), for words of lengths (N,) above 0.

    Args:
        predicted: (N, T) int, the predicted class after each letter.
        targets: (N, T) int, the right class after each letter.
        lengths: (N,) int, 1 to T; what is beyond a word's length is ignored.

    >>> conformance(np.array([[0, 1], [0, 0]]), np.array([[0, 1], [1, 0]]), np.array([2, 1])).accuracy
    0.5
    """
    inside = np.arange(predicted.shape[1]) < lengths[:, None]
    correct = predicted == targets
    classes = np.unique(targets[inside])
    ends = np.arange(len(lengths)), lengths - 1
    constants = [(targets == label) | ~inside for label in classes]
    return Scores(
        words=len(lengths),
        accuracy=float((correct | ~inside).all(1).mean()),
        letters=float(correct[inside].mean()),
        balanced=_balanced(correct[inside], targets[inside]),
        last=_balanced(correct[ends], targets[ends]),
        constant=float(max((targets[inside] == label).mean() for label in classes)),
        constant_words=float(max(constant.all(1).mean() for constant in constants)),
        classes=len(classes),
    )


def by_length(predicted: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[int, Scores]]:
    """Yield the scores of the words of each length that occurs, shortest first."""
    for length in np.unique(lengths):
        rows = lengths == length
        yield int(length), conformance(predicted[rows, :length], targets[rows, :length], lengths[rows])


def _balanced(correct: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean([correct[targets == label].mean() for label in np.unique(targets)]))


def _all(words: np.ndarray) -> np.ndarray:
    return np.ones(len(words), bool)
