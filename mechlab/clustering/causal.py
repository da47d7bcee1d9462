"""Does a network go on alike when its state is replaced by the mean of its cluster?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mechlab.clustering.centres import centres_of

Step = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Replaced(NamedTuple):
    """The classes (N, K) that a network tells after each of K letters more.

    Args:
        own: going on from its own states.
        mean: from the means of their clusters.
        other: from the means of other clusters, one at random for each; None where there is one cluster only.
    """

    own: np.ndarray
    mean: np.ndarray
    other: np.ndarray | None


def replace_states(
    step: Step,
    states: np.ndarray,
    clusters: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    suffixes: np.ndarray,
    rng: np.random.Generator,
) -> Replaced:
    """Let a network read suffixes from its own states, from cluster means, and from the means of other clusters.

    A cluster that stands for a state of an automaton holds all that the network uses, so that its mean tells the same
    for ever after. Means of other clusters say how much of that any state of the network would have kept.

    Args:
        step: reads letters (B,) in states (B, F), and returns the states reached (B, F) and the classes told (B,).
        states: (P, F), of the distinct prefixes.
        clusters: (P,) int.
        weights: (P,) how often each prefix occurs, which means count.
        start: (N,) int, the prefixes to go on from.
        suffixes: (N, K) int, the letters to read.
        rng: chooses the other clusters.
    """
    means = centres_of(states, clusters, weights)
    mine = np.unique(clusters, return_inverse=True)[1][start]
    places = [states[start], means[mine]]
    if len(means) > 1:
        places.append(means[(mine + rng.integers(1, len(means), size=len(mine))) % len(means)])
    told = _read_on(step, np.concatenate(places).astype(states.dtype), np.tile(suffixes, (len(places), 1)))
    return Replaced(*np.split(told, len(places)), *[None] * (3 - len(places)))


def _read_on(step: Step, states: np.ndarray, suffixes: np.ndarray) -> np.ndarray:
    told = np.empty(suffixes.shape, np.int64)
    for t in range(suffixes.shape[1]):
        states, told[:, t] = step(states, suffixes[:, t])
    return told
