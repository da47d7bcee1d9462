"""Interchange intervention: a network's outputs after its state is replaced by the mean of its cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mechlab.clustering.centres import centres_of

Step = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class InterventionOutputs(NamedTuple):
    """Predicted classes (N, K) of a network after each of K further letters.

    Args:
        own: from its own states.
        mean: from the means of their clusters.
        other: from the mean of a random other cluster each; None where there is only one cluster.
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
) -> InterventionOutputs:
    """Return predicted classes on suffixes from a network's states, from cluster means, and from other clusters' means.

    If a cluster implements a state of an automaton, its mean has the same predictions for all suffixes. Means of other
    clusters are the control: the agreement of any two states of the network.

    Args:
        step: maps states (B, F) and letters (B,) to next states (B, F) and predicted classes (B,).
        states: (P, F), of the distinct prefixes.
        clusters: (P,) int.
        weights: (P,) number of occurrences of each prefix, for the means.
        start: (N,) int, the prefixes at which states are replaced.
        suffixes: (N, K) int, the letters to read.
        rng: generator of the choice of other clusters.
    """
    means = centres_of(states, clusters, weights)
    own = np.unique(clusters, return_inverse=True)[1][start]
    places = [states[start], means[own]]
    if len(means) > 1:
        places.append(means[(own + rng.integers(1, len(means), size=len(own))) % len(means)])
    classes = _predictions(step, np.concatenate(places).astype(states.dtype), np.tile(suffixes, (len(places), 1)))
    return InterventionOutputs(*np.split(classes, len(places)), *[None] * (3 - len(places)))


def _predictions(step: Step, states: np.ndarray, suffixes: np.ndarray) -> np.ndarray:
    classes = np.empty(suffixes.shape, np.int64)
    for t in range(suffixes.shape[1]):
        states, classes[:, t] = step(states, suffixes[:, t])
    return classes
