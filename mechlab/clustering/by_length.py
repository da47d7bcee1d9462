"""Ambiguity of fixed clusters on words of each length."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from mechlab.clustering.centres import nearest
from mechlab.clustering.scores import ambiguity

Read = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def ambiguity_by_length(
    read: Read, centres: np.ndarray, letters: int, lengths: Iterable[int], words: int, rng: np.random.Generator
) -> list[dict[str, float]]:
    """Return the weighted ambiguity of the states after uniform words, a row for each length.

    `balanced` gives all labels that occur at a length the same weight: of long words most may end in one
    state. `labels` is the number of labels that occur, to which ambiguity is relative.

    Args:
        read: maps words (N, l) to the network's states (N, F) after them and to labels (N,).
        centres: (C, F), centres of the clusters; a state is assigned to the nearest.
        letters: size of the alphabet.
        lengths: lengths of words.
        words: number of words of each length, drawn independently.
        rng: generator of the words.

    Source: Muškardin et al., arXiv 2306.16854, and its published code, with 1000 words of each length from 1 to 30.
    """
    rows = []
    for length in lengths:
        states, labels = read(rng.integers(letters, size=(words, length)))
        clusters = nearest(states.astype(np.float64), centres)
        occurring, number, count = np.unique(labels, return_inverse=True, return_counts=True)
        weighted = ambiguity(clusters, labels).weighted
        balanced = ambiguity(clusters, labels, 1 / count[number]).weighted
        rows.append({"length": length, "weighted": weighted, "balanced": balanced, "labels": len(occurring)})
    return rows
