"""Bootstrap intervals of the ambiguity over words."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.special import entr

BOUND = "upper end of the 95 % percentile interval"  # in claims


def resampled_words(words: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the number of times (B, W) float64 that each word occurs in each bootstrap sample.

    Args:
        words: W, the number of words.
        resamples: B, the number of samples, each of W words drawn with replacement.
        rng: generator of the draws.
    """
    drawn = rng.integers(words, size=(resamples, words)) + words * np.arange(resamples)[:, None]
    return np.bincount(drawn.reshape(-1), minlength=resamples * words).reshape(resamples, words).astype(float)


def ambiguity_of_resamples(
    clusters: np.ndarray, labels: np.ndarray, index: np.ndarray, word: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Return the weighted ambiguity (B,) of each sample of words, the clusters being those of all words.

    Words are resampled, not prefixes: the prefixes of a word are dependent.

    Args:
        clusters, labels: (P,) int, of the distinct prefixes.
        index: (R,) int, the prefix at each letter of the words, word after word.
        word: (R,) int, the word of each letter.
        times: (B, W), the count of each word in each sample.
    """
    _, row = np.unique(clusters, return_inverse=True)
    columns, column = np.unique(labels, return_inverse=True)
    cells, cell = np.unique(row * len(columns) + column, return_inverse=True)

    def shares(groups: np.ndarray, number: int) -> np.ndarray:
        of_words = csr_array((np.ones(len(index)), (word, groups[index])), shape=(times.shape[1], number))
        mass = (of_words.T @ times.T).T  # (B, groups)
        return mass / np.maximum(mass.sum(1, keepdims=True), 1)

    joint, of_clusters, of_labels = shares(cell, len(cells)), shares(row, row.max() + 1), shares(column, len(columns))
    conditional = entr(joint).sum(1) - entr(of_clusters).sum(1)
    occurring = np.count_nonzero(of_labels, 1)
    return np.where(occurring > 1, np.maximum(conditional, 0) / np.log(np.maximum(occurring, 2)), 0.0)
