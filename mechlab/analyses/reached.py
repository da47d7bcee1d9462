"""Where a network and the ground truth of its task are after each prefix of the evaluation words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from mechlab.automata.automaton import Automaton
from mechlab.automata.factors import own_states
from mechlab.automata.prefixes import PADDING, Prefixes, distinct_prefixes
from mechlab.automata.pushdown import Pushdown
from mechlab.automata.trie import prefix_states
from mechlab.core.task import Split

if TYPE_CHECKING:
    from torch import Tensor

    from mechlab.core.run import Run

By = Literal["state", "height", "top"]


@dataclass(frozen=True, eq=False)
class Reached:
    """What is reached after each of P distinct prefixes.

    Args:
        prefixes: the prefixes.
        states: (P, F) the network's flat states.
        labels: (P,) int64, what the ground truth has reached.
        names: of the labels, in index order.
        machine_states: number n of the ground truth's states (of a pushdown automaton: control states, err included).
        factor: labels per state f: 1, or more where labels tell of the stack as well. Numbers of clusters are multiples
            of n f.
    """

    prefixes: Prefixes
    states: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    machine_states: int
    factor: int


def reached(run: Run, words: int, split: Split, by: By = "state") -> Reached:
    """Let the run's model and its ground truth read the evaluation words, every distinct prefix once.

    Args:
        run: of a task whose inputs are one-hot letters and whose ground truth is an automaton or pushdown automaton.
        words: number of evaluation words.
        split: split that they are taken from.
        by: what labels tell of a pushdown automaton; see `labelled`.
    """
    prefixes = distinct_prefixes(words_of(run.evaluation(split, words).inputs))
    truth = run.task.ground_truth()
    labels, names = labelled(truth, prefixes, by)
    if isinstance(truth, Automaton):
        return Reached(prefixes, prefix_states(run.model(), prefixes), labels, names, len(names), 1)
    n = len(truth.states)
    factor = {"state": 1, "height": 3, "top": len(truth.alphabet)}[by]
    return Reached(prefixes, prefix_states(run.model(), prefixes), labels, names, n, factor)


def labelled(truth: Automaton | Pushdown, prefixes: Prefixes, by: By = "state") -> tuple[np.ndarray, tuple[str, ...]]:
    """Return what the ground truth has reached after each prefix, labels (P,) int64, and the names of the labels.

    Args:
        by: of a pushdown automaton, "state" tells the control states apart, "height" also whether the stack holds
            nothing, one symbol or more, "top" also what is on top of the stack. A finite automaton has states only; of
            a Mealy machine they are its own, not those that it was split into.
    """
    if isinstance(truth, Automaton):
        number, names = own_states(truth)
        return number[prefixes.reached(truth)], names
    labels, names = truth.labels(truth.run(np.maximum(prefixes.words, 0)), by)
    return labels[prefixes.row, prefixes.length], tuple(names)


def label_names(truth: Automaton | Pushdown, by: By = "state") -> tuple[str, ...]:
    """Return the names of the labels that `labelled` tells."""
    return labelled(truth, distinct_prefixes(np.zeros((1, 1), np.int64)), by)[1]


def classes_told(truth: Automaton | Pushdown, words: np.ndarray) -> np.ndarray:
    """Return the class (B, T) int64 that the ground truth tells after each letter of words (B, T)."""
    return truth.outputs[truth.run(words)[:, 1:]] if isinstance(truth, Automaton) else truth.outputs(words)


def words_of(inputs: Tensor) -> np.ndarray:
    """Return the letter indices (B, T) int64 of one-hot inputs (B, T, m), -1 where a row of zeros is past the end."""
    return torch.where(inputs.any(-1), inputs.argmax(-1), PADDING).cpu().numpy()
