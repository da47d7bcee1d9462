"""The automaton whose states are clusters of a network's states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.extraction.network import Network
from mechlab.automata.words.prefixes import Prefixes
from mechlab.automata.words.trie import prefix_trace

Assign = Callable[[np.ndarray, np.ndarray], np.ndarray]  # states (B, F), classes told (B,) -> clusters (B,)
INITIAL = "init"


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network did after each of P prefixes.

    Args:
        parent: (P,) int64, the prefix without its last letter, -1 for prefixes of one letter.
        letter: (P,) int64, the last letter.
        length: (P,) int64, number of letters.
        count: (P,) how much the prefix weighs, above 0.
        states: (P, F) the network's states.
        told: (P,) int64, the classes that it told.
    """

    parent: np.ndarray
    letter: np.ndarray
    length: np.ndarray
    count: np.ndarray
    states: np.ndarray
    told: np.ndarray

    def __len__(self) -> int:
        return len(self.parent)

    def word(self, prefix: int) -> tuple[int, ...]:
        """Return the letters of a prefix; of prefix -1, the empty word, there are none."""
        letters = []
        while prefix >= 0:
            letters.append(int(self.letter[prefix]))
            prefix = self.parent[prefix]
        return tuple(reversed(letters))


class ClusterAutomaton(NamedTuple):
    """An automaton with a state for each cluster, in the order of their numbers, and before them "init".

    Args:
        automaton: the automaton.
        access: (n,) int64, for each state a prefix that leads the network into the cluster, and after which it tells
            the state's class: a shortest one; -1, the empty word, for "init".
        transition_conflicts: share of the observed steps that do not lead where most from the same cluster by the same
            letter lead.
        output_conflicts: share of the prefixes after which the network does not tell what it mostly tells in the
            cluster.
    """

    automaton: Automaton
    access: np.ndarray
    transition_conflicts: float
    output_conflicts: float


def see(network: Network, prefixes: Prefixes) -> Seen:
    """Let a network read prefixes, each once; a prefix weighs as often as it occurs."""
    states, outputs = prefix_trace(network.model, prefixes)
    network.queries, network.steps = network.queries + len(prefixes.words), network.steps + len(prefixes)
    told = outputs.argmax(-1)
    return Seen(prefixes.parent, prefixes.letter, prefixes.length, prefixes.count, states, told)


def cluster_automaton(
    seen: Seen, clusters: np.ndarray, alphabet: Sequence[str], classes: Sequence[str], empty: int
) -> ClusterAutomaton:
    """Return the automaton of clusters (P,): most of the weight decides where a letter leads and what a cluster says.

    "init" is the network's initial state, where it has told nothing yet; its class is given.

    Args:
        clusters: (P,) int, numbers of any kind.
        empty: class of "init".

    Raises:
        ValueError: a cluster was never seen to read some letter; see `completed`.

    Source: the cluster automaton of Muskardin et al., arXiv 2306.16854, with the majority in place of the last word
    seen.
    """
    numbers, place = np.unique(clusters, return_inverse=True)
    here = place + 1  # state 0 is "init"
    n, m, k = len(numbers) + 1, len(alphabet), len(classes)
    source = np.where(seen.parent < 0, 0, here[seen.parent])
    target, most, mass = _majority(source * m + seen.letter, here, seen.count, n * m, n)
    if (target < 0).any():
        raise ValueError("every cluster must have been seen to read every letter; complete the prefixes first.")
    outputs, says, told_mass = _majority(here, seen.told, seen.count, n, k)
    outputs[0] = empty
    return ClusterAutomaton(
        automaton=Automaton(
            alphabet, classes, [INITIAL, *(f"c{number}" for number in numbers)], 0, target.reshape(n, m), outputs
        ),
        access=np.append(-1, _representatives(seen, here, outputs)),
        transition_conflicts=float(1 - most.sum() / mass.sum()),
        output_conflicts=float(1 - says.sum() / told_mass.sum()),
    )


def completed(
    network: Network, seen: Seen, clusters: np.ndarray, assign: Assign | None = None, most: int = 100_000
) -> tuple[Seen, np.ndarray]:
    """Add prefixes, so that every cluster is seen to read every letter: by the shortest prefix that leads into it.

    A cluster that what is added is the first to fall into is completed as well.

    Args:
        assign: tells in which cluster a state is; by default in that whose mean is nearest. May name new clusters.
        most: stop after adding so many prefixes.

    Returns:
        The prefixes and their clusters; those added come last and weigh 1.
    """
    assign = nearest_mean(seen.states, clusters) if assign is None else assign
    m, before = network.letters, len(seen)
    while len(seen) - before < most:
        numbers, place = np.unique(clusters, return_inverse=True)
        source = np.where(seen.parent < 0, 0, place[seen.parent] + 1)
        read = np.zeros((len(numbers) + 1, m), bool)
        read[source, seen.letter] = True
        states, letters = np.nonzero(~read)
        if not len(states):
            break
        parent = np.append(-1, _representatives(seen, place + 1))[states]
        old = np.concatenate([network.start, seen.states])[parent + 1]
        after, told = network.step(old, letters)
        length = np.append(seen.length, 0)[parent] + 1
        clusters = np.concatenate([clusters, assign(after, told)])
        added = parent, letters, length, np.ones(len(parent), seen.count.dtype), after, told
        columns = seen.parent, seen.letter, seen.length, seen.count, seen.states, seen.told
        seen = Seen(*(np.concatenate(pair) for pair in zip(columns, added, strict=True)))
    return seen, clusters


def nearest_mean(states: np.ndarray, clusters: np.ndarray) -> Assign:
    """Return what assigns states (B, F) to the cluster whose mean is nearest."""
    numbers, place = np.unique(clusters, return_inverse=True)
    means = np.zeros((len(numbers), states.shape[1]))
    np.add.at(means, place, states)
    means /= np.bincount(place)[:, None]

    def assign(others: np.ndarray, told: np.ndarray) -> np.ndarray:
        others = others.astype(np.float64)
        distance = (means**2).sum(1) - 2 * others @ means.T  # up to what all means share
        return numbers[distance.argmin(1)]

    return assign


def _majority(
    groups: np.ndarray, values: np.ndarray, weights: np.ndarray, size: int, kinds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each group (size,) the value of the largest weight, -1 if it has none, that weight, and all of it."""
    keys, place = np.unique(groups * kinds + values, return_inverse=True)
    mass = np.bincount(place, weights, minlength=len(keys))
    order = np.lexsort((-keys, mass))  # the largest comes last, and stays; of equal ones the smallest value
    keys, mass = keys[order], mass[order]
    best, most = np.full(size, -1), np.zeros(size)
    best[keys // kinds], most[keys // kinds] = keys % kinds, mass
    return best, most, np.bincount(keys // kinds, mass, minlength=size)


def _representatives(seen: Seen, here: np.ndarray, outputs: np.ndarray | None = None) -> np.ndarray:
    """Return for each state 1, 2, ... a shortest prefix (n - 1,) that leads into it, and if classes of the states are
    given, one after which that class is told."""
    good = np.ones(len(seen), bool) if outputs is None else seen.told == outputs[here]
    order = np.lexsort((seen.length, ~good))
    _, first = np.unique(here[order], return_index=True)
    return order[first]
