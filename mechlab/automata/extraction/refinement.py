"""Clusters are split where the network and the automaton that they make up disagree, until they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import minimise
from mechlab.automata.extraction.cluster_automaton import (
    ClusterAutomaton,
    Seen,
    cluster_automaton,
    completed,
    nearest_mean,
)
from mechlab.automata.extraction.disagreement import Disagreement, Word
from mechlab.automata.extraction.network import Network
from mechlab.automata.extraction.splitting import Splitting


class Round(NamedTuple):
    """What one round found.

    Args:
        clusters: number of clusters.
        states: of the minimal automaton; of a Mealy machine its own, not those that it is split into.
        transition_conflicts, output_conflicts: see `ClusterAutomaton`.
        disagreement: share of the fixed words (see `Disagreement`) on which automaton and network disagree.
        counterexample: letters of the word because of which clusters are split, -1 if there is none.
    """

    clusters: int
    states: int
    transition_conflicts: float
    output_conflicts: float
    disagreement: float
    counterexample: int


@dataclass(frozen=True, eq=False)
class Refined:
    """Where refinement ended.

    Args:
        automaton: minimal; if none passed, the smallest of all rounds that is nearly as good as the best.
        agreed: whether it passed, so that no word is known because of which clusters should be split.
        rounds: what each round found; the first is about the clusters to begin with.
        added: number of prefixes that were added to those given, to complete the transitions.
    """

    automaton: Automaton
    agreed: bool
    rounds: tuple[Round, ...]
    added: int


def refine(
    network: Network,
    seen: Seen,
    clusters: np.ndarray,
    alphabet: Sequence[str],
    classes: Sequence[str],
    disagreement: Disagreement,
    rounds: int = 50,
    smallest: Callable[[Automaton], Automaton] = minimise,
) -> Refined:
    """Refine clusters until the automaton that they make up says what the network tells.

    The automaton of a round has the clusters for states (see `cluster_automaton`) and is then minimised. Clusters that
    fail to agree are at first split by what the network tells in them. After that, a word on which the two disagree
    decides: the network is asked what it tells when the first i letters are replaced by a word that leads straight to
    the automaton's state after them, for all i at once. Where the answer changes from i to i + 1, the cluster after
    i + 1 letters, or the one before, has members that the letters still to come tell apart.

    Args:
        network: its `empty` is the class of the initial state.
        clusters: (P,) int, what to begin with.
        disagreement: what looks for words on which they disagree.
        rounds: at most so many rounds of splitting.
        smallest: `minimise`, or `minimal_mealy` where the automaton is to be a Mealy machine.

    Source: Rivest and Schapire (1993), "Inference of finite automata using homing sequences"; the loop is that of
    Clarke et al. (2000), "Counterexample-guided abstraction refinement".
    """
    roots = np.unique(clusters, return_inverse=True)[1]
    splitting = Splitting(network, roots, nearest_mean(seen.states, roots))
    leaves, given, history, automata = roots, len(seen), [], []
    while True:
        seen, leaves = completed(network, seen, leaves, splitting.assign)
        found = cluster_automaton(seen, leaves, alphabet, classes, network.empty)
        automata.append(smallest(found.automaton))
        share, word = disagreement.of(automata[-1])
        history.append(_round(found, automata[-1], share, word))
        if word is None:
            return Refined(automata[-1], True, tuple(history), len(seen) - given)
        if len(history) > rounds:
            break
        if len(history) == 1:
            finer = leaves
            for leaf in np.unique(leaves).tolist():
                finer = splitting.split(finer, leaf, (), seen.told[leaves == leaf])
        else:
            finer = _split(network, splitting, seen, leaves, found, word)
        if finer is None:  # rounding: the network does not answer alike when asked in another way
            break
        leaves = finer
    shares = [line.disagreement for line in history]
    return Refined(smallest_good(automata, shares), False, tuple(history), len(seen) - given)


def smallest_good(automata: Sequence[Automaton], shares: Sequence[float], slack: float = 0.02) -> Automaton:
    """Return the smallest of the automata whose share of disagreement is at most the least one plus slack."""
    good = [(one.size, share, i) for i, (one, share) in enumerate(zip(automata, shares, strict=True))]
    return automata[min(line for line in good if line[1] <= min(shares) + slack)[2]]


def _round(found: ClusterAutomaton, minimal: Automaton, share: float, word: Word | None) -> Round:
    conflicts = found.transition_conflicts, found.output_conflicts
    letters = -1 if word is None else len(word)
    return Round(len(found.automaton.states) - 1, minimal.size, *conflicts, share, letters)


def _split(
    network: Network, splitting: Splitting, seen: Seen, leaves: np.ndarray, found: ClusterAutomaton, word: Word
) -> np.ndarray | None:
    """Return the leaves (P,) after splitting what must be because of a word on which network and automaton disagree, or
    None if there is nothing."""
    path = found.automaton.run(np.array([word]))[0]  # (T+1,)
    told = network.last([(*seen.word(found.access[state]), *word[i:]) for i, state in enumerate(path)])
    numbers, finer = np.unique(leaves), leaves
    split = {found.automaton.initial}  # which is one state of the network, and cannot be
    for i in np.flatnonzero(told[1:] != told[:-1])[::-1]:
        for state, rest in ((path[i + 1], word[i + 1 :]), (path[i], word[i:])):
            if state in split:
                continue
            members = leaves == numbers[state - 1]
            answers = splitting.answers(seen.states[members], seen.told[members], rest)
            if (answers != answers[0]).any():
                finer = splitting.split(finer, int(numbers[state - 1]), rest, answers)
                split.add(state)
                break
    return None if finer is leaves else finer
