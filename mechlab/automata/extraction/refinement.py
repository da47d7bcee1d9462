"""Refinement of clusters by counterexamples, until the network and the automaton of the clusters agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import minimise
from mechlab.automata.extraction.cluster_automaton import (
    ClusterAutomaton,
    Observations,
    cluster_automaton,
    completed,
    nearest_mean,
)
from mechlab.automata.extraction.counterexamples import CounterexampleSearch, Word
from mechlab.automata.extraction.splitting import Splitting
from mechlab.automata.extraction.word_classifier import WordClassifier


class Round(NamedTuple):
    """Measurements of one round of refinement.

    Args:
        clusters: number of clusters.
        states: number of states of the minimal automaton; for a Mealy machine those before splitting by outputs.
        transition_conflicts, output_conflicts: see `ClusterAutomaton`.
        disagreement: share of the fixed words (see `CounterexampleSearch`) on which automaton and network disagree.
        counterexample: length in letters of the counterexample, -1 if there is none.
    """

    clusters: int
    states: int
    transition_conflicts: float
    output_conflicts: float
    disagreement: float
    counterexample: int


@dataclass(frozen=True, eq=False)
class RefinementResult:
    """Outcome of refinement.

    Args:
        automaton: minimal; if no round passed, the smallest that is nearly as good as the best.
        agreed: True if the search has no counterexample to it.
        rounds: measurements of each round; the first is of the initial clusters.
        added: number of prefixes that were added to complete the transitions.
    """

    automaton: Automaton
    agreed: bool
    rounds: tuple[Round, ...]
    added: int


def refine(
    network: WordClassifier,
    observed: Observations,
    clusters: np.ndarray,
    alphabet: Sequence[str],
    classes: Sequence[str],
    search: CounterexampleSearch,
    rounds: int = 50,
    smallest: Callable[[Automaton], Automaton] = minimise,
) -> RefinementResult:
    """Return the result of splitting clusters until their automaton and the network agree.

    The automaton of a round has the clusters for states (see `cluster_automaton`) and is then minimised. In the first
    round clusters are split by the network's predicted class. After that a counterexample decides: the network reads it
    with the first i letters replaced by the access word of the automaton's state after them, for all i in one batch.
    Where its prediction changes from i to i + 1, the cluster after i + 1 letters, or the one before, has members that
    the remaining letters distinguish.

    Args:
        network: its `empty` is the class of the initial state.
        clusters: (P,) int, initial clusters.
        search: the search for counterexamples.
        rounds: maximal number of rounds of splitting.
        smallest: `minimise`, or `minimal_mealy` for a Mealy machine.

    Source: Rivest and Schapire (1993), "Inference of finite automata using homing sequences"; the loop is that of
    Clarke et al. (2000), "Counterexample-guided abstraction refinement".
    """
    roots = np.unique(clusters, return_inverse=True)[1]
    splitting = Splitting(network, roots, nearest_mean(observed.states, roots))
    leaves, given, history, automata = roots, len(observed), [], []
    while True:
        observed, leaves = completed(network, observed, leaves, splitting.assign)
        current = cluster_automaton(observed, leaves, alphabet, classes, network.empty)
        automata.append(smallest(current.automaton))
        share, word = search(automata[-1])
        history.append(_round(current, automata[-1], share, word))
        if word is None:
            return RefinementResult(automata[-1], True, tuple(history), len(observed) - given)
        if len(history) > rounds:
            break
        if len(history) == 1:
            finer = leaves
            for leaf in np.unique(leaves).tolist():
                finer = splitting.split(finer, leaf, (), observed.predicted[leaves == leaf])
        else:
            finer = _split(network, splitting, observed, leaves, current, word)
        if finer is None:  # rounding: batches of other shapes give other predictions
            break
        leaves = finer
    shares = [measured.disagreement for measured in history]
    return RefinementResult(smallest_near_best(automata, shares), False, tuple(history), len(observed) - given)


def smallest_near_best(automata: Sequence[Automaton], shares: Sequence[float], slack: float = 0.02) -> Automaton:
    """Return the smallest of the automata whose share of disagreement is at most the least one plus slack."""
    ranked = [(automaton.size, share, i) for i, (automaton, share) in enumerate(zip(automata, shares, strict=True))]
    return automata[min(entry for entry in ranked if entry[1] <= min(shares) + slack)[2]]


def _round(current: ClusterAutomaton, minimal: Automaton, share: float, word: Word | None) -> Round:
    conflicts = current.transition_conflicts, current.output_conflicts
    letters = -1 if word is None else len(word)
    return Round(len(current.automaton.states) - 1, minimal.size, *conflicts, share, letters)


def _split(
    network: WordClassifier,
    splitting: Splitting,
    observed: Observations,
    leaves: np.ndarray,
    current: ClusterAutomaton,
    word: Word,
) -> np.ndarray | None:
    """Return the leaves (P,) after splitting the clusters that a counterexample refutes, None if it refutes none."""
    path = current.automaton.run(np.array([word]))[0]  # (T+1,)
    predicted = network.last([(*observed.word(current.access[state]), *word[i:]) for i, state in enumerate(path)])
    numbers, finer = np.unique(leaves), leaves
    split = {current.automaton.initial}  # a single state of the network cannot be split
    for i in np.flatnonzero(predicted[1:] != predicted[:-1])[::-1]:
        for state, rest in ((path[i + 1], word[i + 1 :]), (path[i], word[i:])):
            if state in split:
                continue
            members = leaves == numbers[state - 1]
            answers = splitting.answers(observed.states[members], observed.predicted[members], rest)
            if (answers != answers[0]).any():
                finer = splitting.split(finer, int(numbers[state - 1]), rest, answers)
                split.add(state)
                break
    return None if finer is leaves else finer
