"""Hidden states of a network with labels by the ground truth, and the words on which both are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from mechlab.analyses.given_words import WordSource, given_words
from mechlab.automata.automaton import Automaton
from mechlab.automata.extraction.conformance import Sampler, draw_words
from mechlab.automata.factors import part_numbers
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.words.prefixes import PADDING, Prefixes, distinct_prefixes
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.trie import padded as padded_lists
from mechlab.automata.words.trie import prefix_states
from mechlab.core.analysis import Claim, Finding
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, FiniteTask, Split

if TYPE_CHECKING:
    from torch import Tensor

    from mechlab.record.run import Run

LEAST_PREFIXES, LEAST_WORDS = 200, 50  # least numbers of distinct ones for a statistical claim

By = Literal["state", "transition", "height", "top"]
Part = Literal["all", "hidden", "cells", "last"]


@dataclass(frozen=True, eq=False)
class LabelledStates:
    """Hidden states of a network, and labels by the ground truth's states, after each of P distinct prefixes.

    Args:
        prefixes: the prefixes.
        states: (P, F) the network's flat states.
        labels: (P,) int64, labels by the ground truth's states; see `labels_of`.
        names: names of the labels, in index order.
        machine_states: number n of the ground truth's states (for a pushdown automaton control states, err included).
        factor: number f of labels per state: 1, or more for labels by the stack too. Numbers of clusters are multiples
            of n f.
    """

    prefixes: Prefixes
    states: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    machine_states: int
    factor: int


def labelled_states(
    run: Run, words: WordSource, split: Split, by: By = "state", part: Part = "all", keep_traps: bool = True
) -> LabelledStates:
    """Return the labelled states of the run's model after every distinct prefix of the evaluation words.

    Args:
        run: of a task whose inputs are one-hot letters and whose ground truth is an automaton or pushdown automaton.
        words, split: the evaluation words; see `evaluation_words`.
        by: kind of labels; see `labels_of`.
        part: part of the network's state; see `SequenceModel.columns`.
        keep_traps: False to leave out words that end in an absorbing state.

    Raises:
        ConfigError: the network's state has no such part, or no word is left.
    """
    letters, truth, model = evaluation_words(run, words, split), run.task.ground_truth(), run.model()
    if not keep_traps:
        letters = letters[~_trapped(truth, letters)]
        if not len(letters):
            must, fix = "some words must end outside absorbing states", "keep_traps=true"
            got = f"{words} words of the {split} split" if isinstance(words, int) else "given words"
            raise ConfigError(must, got=got, key="keep_traps", fix=fix)
    prefixes = distinct_prefixes(letters)
    labels, names = labels_of(truth, prefixes, by)
    factor = {"state": 1, "transition": len(truth.alphabet), "height": 3, "top": len(truth.alphabet)}[by]
    if isinstance(truth, Automaton):
        n, factor = len(part_numbers(truth)[1]), factor if by == "transition" else 1
    else:
        n = len(truth.states)
    states = prefix_states(model, prefixes)[:, model.columns(part)]
    return LabelledStates(prefixes, states, labels, names, n, factor)


def evaluation(run: Run, words: WordSource, split: Split) -> Batch:
    """Return a number of words of a split, in the split's order, or given words with the task's targets.

    From a fixed split with more words they are evenly spaced: published splits begin with their shortest words.
    """
    if not isinstance(words, int):
        letters = torch.from_numpy(padded_lists(given_words(words, run.task.ground_truth().alphabet)))
        inputs = (letters[..., None] == torch.arange(run.spec.inputs)).to(run.evaluation(split, 1).inputs)
        return Batch(inputs, *run.task.targets(inputs), torch.arange(len(inputs)))
    if not isinstance(run.task, FiniteTask):
        return run.evaluation(split, words)
    batch = run.evaluation(split)
    return batch if words >= len(batch) else batch[torch.from_numpy(evenly_spaced(len(batch), words))]


def evaluation_words(run: Run, words: WordSource, split: Split) -> np.ndarray:
    """Return the letter indices (B, T) int64 of words, -1 past the end: a number of words of a split, or given ones
    (without the empty word); see `evaluation` and `given_words`."""
    if not isinstance(words, int):
        return padded_lists(given_words(words, run.task.ground_truth().alphabet))
    return words_of(evaluation(run, words, split).inputs)


def evenly_spaced(size: int, n: int) -> np.ndarray:
    """Return n (at most size) evenly spaced indices (n,) below size, increasing.

    >>> evenly_spaced(10, 4).tolist()
    [1, 3, 6, 8]
    """
    n = min(n, size)
    return (2 * np.arange(n) + 1) * size // max(2 * n, 1)


def supported_finding(
    scalars: Mapping[str, float], claims: Mapping[str, Claim], prefixes: Prefixes, what: str = "evaluation words"
) -> Finding:
    """Return a finding without the statistical claims that rest on too few distinct words; a note names these.

    Exact claims remain, since they do not depend on the words.

    Args:
        prefixes: the distinct prefixes of the words of the claims.
        what: description of these words, for the note.
    """
    few = len(prefixes) < LEAST_PREFIXES or prefixes.distinct_words < LEAST_WORDS
    left_out = [slug for slug, claim in claims.items() if few and claim.kind == "statistical"]
    if not left_out:
        return Finding(scalars, claims)
    note = (
        f"Too few words for a claim ({', '.join(left_out)}): the {what} have {prefixes.distinct_words} distinct words "
        f"and {len(prefixes)} distinct prefixes; a claim needs {LEAST_WORDS} and {LEAST_PREFIXES}."
    )
    supported = {slug: claim for slug, claim in claims.items() if slug not in left_out}
    return Finding(scalars, supported, {"too_few_words": note})


def _trapped(truth: Automaton | Pushdown, words: np.ndarray) -> np.ndarray:
    """Return True (B,) for words (B, T), padded with -1, that end in an absorbing state."""
    lengths, letters = (words >= 0).sum(1), np.maximum(words, 0)
    if isinstance(truth, Automaton):
        trap = (truth.transitions == np.arange(len(truth.states))[:, None]).all(1)
        visited = truth.run(letters)
    else:
        trap = np.arange(len(truth.states)) == len(truth.states) - 1
        visited = truth.run(letters).states
    return trap[visited[np.arange(len(words)), lengths]]


def labels_of(truth: Automaton | Pushdown, prefixes: Prefixes, by: By = "state") -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels (P,) int64 of prefixes by the ground truth's states, and the names of the labels.

    Args:
        by: "state" for the state after the prefix (of a Mealy machine before splitting by outputs; of a pushdown
            automaton the control state); "transition" for the state before the last letter, and that letter; for a
            pushdown automaton also "height" for the state and the number of symbols on the stack (none, one, more),
            and "top" for the state and the top of the stack.
    """
    if by == "transition":
        after, names = labels_of(truth, prefixes)
        before = np.where(prefixes.parent >= 0, after[prefixes.parent], _start(truth))
        pairs = tuple(f"{name}, {letter}" for name in names for letter in truth.alphabet)
        return before * len(truth.alphabet) + prefixes.letter, pairs
    if isinstance(truth, Automaton):
        number, names = part_numbers(truth)
        return number[prefixes.automaton_states(truth)], names
    labels, names = truth.labels(truth.run(np.maximum(prefixes.words, 0)), by)
    return labels[prefixes.row, prefixes.length], tuple(names)


def _start(truth: Automaton | Pushdown) -> int:
    return int(part_numbers(truth)[0][truth.initial]) if isinstance(truth, Automaton) else 0


def label_names(truth: Automaton | Pushdown, by: By = "state") -> tuple[str, ...]:
    """Return the names of the labels of `labels_of`."""
    return labels_of(truth, distinct_prefixes(np.zeros((1, 1), np.int64)), by)[1]


def word_sample(
    truth: Automaton | Pushdown,
    lengths: tuple[int, int],
    words: WordSource,
    rng: np.random.Generator,
    sampler: Sampler,
) -> Sample:
    """Return a number of random words (see `mechlab.automata.extraction.conformance.draw_words`), or given ones.

    Raises:
        ConfigError: the sampler is "balanced" and no word of these lengths is accepted.
    """
    if not isinstance(words, int):
        letters = padded_lists(given_words(words, truth.alphabet))
        return np.maximum(letters, 0), (letters != PADDING).sum(1)
    try:
        return draw_words(truth, min(lengths), max(lengths), words, rng, sampler)
    except ValueError as error:
        fix = "set lengths at which words of the language exist"
        raise ConfigError(str(error).partition(".")[0], got=list(lengths), key="lengths", fix=fix) from None


def words_of(inputs: Tensor) -> np.ndarray:
    """Return the letter indices (B, T) int64 of one-hot inputs (B, T, m), -1 for rows of zeros, past the end."""
    return torch.where(inputs.any(-1), inputs.argmax(-1), PADDING).cpu().numpy()


def padded(words: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return words (N, T) with -1 past the end of each, given their lengths (N,)."""
    return np.where(np.arange(words.shape[1]) < lengths[:, None], words, PADDING)
