"""The automaton whose states are clusters of a network's hidden states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.words.prefixes import Prefixes
from mechlab.automata.words.trie import prefix_trace

Assign = Callable[[np.ndarray, np.ndarray], np.ndarray]  # states (B, F), predicted classes (B,) -> clusters (B,)
INITIAL = "init"


@dataclass(frozen=True, eq=False)
class Observations:
    """Hidden states and predicted classes of a network after each of P prefixes.

    Args:
        parent: (P,) int64, the prefix without its last letter, -1 for prefixes of one letter.
        letter: (P,) int64, the last letter.
        length: (P,) int64, number of letters.
        count: (P,) weight of the prefix, above 0.
        states: (P, F) the network's hidden states.
        predicted: (P,) int64, the predicted classes.
    """

    parent: np.ndarray
    letter: np.ndarray
    length: np.ndarray
    count: np.ndarray
    states: np.ndarray
    predicted: np.ndarray

    def __len__(self) -> int:
        return len(self.parent)

    def word(self, prefix: int) -> tuple[int, ...]:
        """Return the letters of a prefix; () for prefix -1, the empty word."""
        letters = []
        while prefix >= 0:
            letters.append(int(self.letter[prefix]))
            prefix = self.parent[prefix]
        return tuple(reversed(letters))


class ClusterAutomaton(NamedTuple):
    """An automaton with the state "init" and then one state for each cluster, in the order of cluster numbers.

    Args:
        automaton: the automaton.
        access: (n,) int64, for each state a shortest prefix that leads the network into the cluster and after which it
            predicts the state's class; -1, the empty word, for "init".
        transition_conflicts: weighted share of the observed transitions whose target differs from the majority target
            of their cluster and letter.
        output_conflicts: weighted share of the prefixes whose predicted class differs from the majority class of their
            cluster.
    """

    automaton: Automaton
    access: np.ndarray
    transition_conflicts: float
    output_conflicts: float


def observe(network: WordClassifier, prefixes: Prefixes) -> Observations:
    """Return the observations of a network on prefixes, each read once; the weight of a prefix is its count."""
    states, outputs = prefix_trace(network.model, prefixes)
    network.queries, network.steps = network.queries + len(prefixes.words), network.steps + len(prefixes)
    predicted = outputs.argmax(-1)
    return Observations(prefixes.parent, prefixes.letter, prefixes.length, prefixes.count, states, predicted)


def cluster_automaton(
    observed: Observations, clusters: np.ndarray, alphabet: Sequence[str], classes: Sequence[str], empty: int
) -> ClusterAutomaton:
    """Return the automaton of clusters (P,), with the target of each transition and each output by weighted majority.

    "init" is the network's initial state, where it has predicted nothing yet; its class is an argument.

    Args:
        clusters: (P,) int, numbers of any kind.
        empty: class of "init".

    Raises:
        ValueError: there is no observation of some letter in some cluster; see `completed`.

    Source: the cluster automaton of Muškardin et al., arXiv 2306.16854, with the majority in place of the last
    word.
    """
    numbers, place = np.unique(clusters, return_inverse=True)
    here = place + 1  # state 0 is "init"
    n, m, k = len(numbers) + 1, len(alphabet), len(classes)
    source = np.where(observed.parent < 0, 0, here[observed.parent])
    target, most, mass = _majority(source * m + observed.letter, here, observed.count, n * m, n)
    if (target < 0).any():
        raise ValueError("every letter must have been observed in every cluster; complete the prefixes first.")
    outputs, output_most, output_mass = _majority(here, observed.predicted, observed.count, n, k)
    outputs[0] = empty
    return ClusterAutomaton(
        automaton=Automaton(
            alphabet, classes, [INITIAL, *(f"c{number}" for number in numbers)], 0, target.reshape(n, m), outputs
        ),
        access=np.append(-1, _representatives(observed, here, outputs)),
        transition_conflicts=float(1 - most.sum() / mass.sum()),
        output_conflicts=float(1 - output_most.sum() / output_mass.sum()),
    )


def completed(
    network: WordClassifier,
    observed: Observations,
    clusters: np.ndarray,
    assign: Assign | None = None,
    most: int = 100_000,
) -> tuple[Observations, np.ndarray]:
    """Return observations with added prefixes, so that every letter is observed in every cluster.

    A missing letter is appended to a shortest prefix that leads into the cluster; new clusters are completed as well.

    Args:
        assign: maps states and predicted classes to clusters, possibly new ones; by default to the nearest mean.
        most: maximal number of added prefixes.

    Returns:
        The observations and their clusters; added prefixes come last, with weight 1.
    """
    assign = nearest_mean(observed.states, clusters) if assign is None else assign
    m, before = network.letters, len(observed)
    while len(observed) - before < most:
        numbers, place = np.unique(clusters, return_inverse=True)
        source = np.where(observed.parent < 0, 0, place[observed.parent] + 1)
        read = np.zeros((len(numbers) + 1, m), bool)
        read[source, observed.letter] = True
        states, letters = np.nonzero(~read)
        if not len(states):
            break
        parent = np.append(-1, _representatives(observed, place + 1))[states]
        old = np.concatenate([network.start, observed.states])[parent + 1]
        after, predicted = network.step(old, letters)
        length = np.append(observed.length, 0)[parent] + 1
        clusters = np.concatenate([clusters, assign(after, predicted)])
        added = parent, letters, length, np.ones(len(parent), observed.count.dtype), after, predicted
        columns = observed.parent, observed.letter, observed.length, observed.count, observed.states, observed.predicted
        observed = Observations(*(np.concatenate(pair) for pair in zip(columns, added, strict=True)))
    return observed, clusters


def nearest_mean(states: np.ndarray, clusters: np.ndarray) -> Assign:
    """Return the function that maps states (B, F) to the cluster with the nearest mean."""
    numbers, place = np.unique(clusters, return_inverse=True)
    means = np.zeros((len(numbers), states.shape[1]))
    np.add.at(means, place, states)
    means /= np.bincount(place)[:, None]

    def assign(others: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        others = others.astype(np.float64)
        distance = (means**2).sum(1) - 2 * others @ means.T  # squared, up to a term that all means share
        return numbers[distance.argmin(1)]

    return assign


def _majority(
    groups: np.ndarray, values: np.ndarray, weights: np.ndarray, size: int, kinds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each group (size,) the value of largest weight (-1 if none), that weight, and the total weight."""
    keys, place = np.unique(groups * kinds + values, return_inverse=True)
    mass = np.bincount(place, weights, minlength=len(keys))
    order = np.lexsort((-keys, mass))  # the largest is assigned last; of equal ones the smallest value
    keys, mass = keys[order], mass[order]
    best, most = np.full(size, -1), np.zeros(size)
    best[keys // kinds], most[keys // kinds] = keys % kinds, mass
    return best, most, np.bincount(keys // kinds, mass, minlength=size)


def _representatives(observed: Observations, here: np.ndarray, outputs: np.ndarray | None = None) -> np.ndarray:
    """Return for each state 1, 2, ... a shortest prefix (n - 1,) that leads into it, if possible one after which the
    state's class in `outputs` is predicted."""
    good = np.ones(len(observed), bool) if outputs is None else observed.predicted == outputs[here]
    order = np.lexsort((observed.length, ~good))
    _, first = np.unique(here[order], return_index=True)
    return order[first]
