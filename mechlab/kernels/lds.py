"""Scores of training-data attribution against retraining: correlation of predicted and actual changes.

The score of a training example is its contribution to an explained output. The predicted change for a set of removed
examples is minus the sum of their scores, and is compared with the outputs of networks trained without them. Source:
linear datamodeling score, Park et al. (TRAK), arXiv 2303.14186.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechlab.statistics.correlation import pearson, ranks


def random_removals(examples: int, fraction: float, subsets: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return M random sets (M, N) of removed training examples, each of a share of all, at least one and not all."""
    size = min(max(1, round(fraction * examples)), examples - 1)
    return _members(np.stack([rng.permutation(examples)[:size] for _ in range(subsets)]), examples)


def unseen_removals(
    examples: int, fraction: float, subsets: int, others: np.ndarray, rng: np.random.Generator, draws: int = 4
) -> NDArray[np.bool_]:
    """Return M random sets (M, N) as `random_removals` does, none of which is among others (K, N) if that many unseen
    sets are among those of a few draws."""
    known = {row.tobytes() for row in others}
    drawn = random_removals(examples, fraction, draws * subsets, rng)
    unseen = np.array([row.tobytes() not in known for row in drawn])
    return np.concatenate([drawn[unseen], drawn[~unseen]])[:subsets]


def common_sets(sets: np.ndarray, others: np.ndarray) -> int:
    """Return how many of the sets (M, N) are among others (K, N)."""
    known = {row.tobytes() for row in others}
    return sum(row.tobytes() in known for row in sets)


def single_removals(ids: Sequence[int] | np.ndarray, examples: int) -> NDArray[np.bool_]:
    """Return sets (M, N) of one removed example each."""
    return _members(np.asarray(ids)[:, None], examples)


def helpful_removals(scores: np.ndarray, size: int) -> NDArray[np.bool_]:
    """Return for each output the set (Q, N) of this many examples with the largest scores (Q, N)."""
    return _members(np.argsort(-scores, axis=1, kind="stable")[:, :size], scores.shape[1])


def same_label_removals(own: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return for each label (Q,) the set (Q, N) of this many examples, drawn at random: those with the same label among
    labels (N,), and others where these are too few."""
    order = np.stack([rng.permutation(len(labels)) for _ in own])
    other = np.take_along_axis(labels != own[:, None], order, 1)
    return _members(np.take_along_axis(order, np.argsort(other, axis=1, kind="stable"), 1)[:, :size], len(labels))


def predicted_changes(scores: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return the change (M, Q) of each output that scores (Q, N) predict for removed examples (M, N)."""
    return -(removed.astype(float) @ scores.T)


def rank_correlations(predicted: np.ndarray, actual: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """Return Spearman's correlation over subsets of each output (Q,); 0 where one side is constant.

    Args:
        predicted, actual: (M, Q) of each subset and output.
        times: (B, M) multiplicity of each subset in each of B samples; the result is then (B, Q).
    """
    counts = np.ones((1, len(actual))) if times is None else np.asarray(times, float)
    columns = zip(predicted.T, actual.T, strict=True)
    correlations = np.stack([_correlation(ranks(x, counts), ranks(y, counts), counts) for x, y in columns], 1)
    return correlations[0] if times is None else correlations


def lds(predicted: np.ndarray, actual: np.ndarray, times: np.ndarray | None = None) -> float | np.ndarray:
    """Return the linear datamodeling score: the mean over outputs of `rank_correlations`; (B,) of samples."""
    correlations = rank_correlations(predicted, actual, times).mean(-1)
    return float(correlations) if times is None else correlations


def linear_correlations(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation over subsets of each output (Q,); 0 where one side is constant."""
    weight = np.ones((1, len(actual)))
    return np.array([_correlation(x[None], y[None], weight)[0] for x, y in zip(predicted.T, actual.T, strict=True)])


def resampled(subsets: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the multiplicities of M subsets in B samples with replacement, (B, M) float64."""
    return rng.multinomial(subsets, np.full(subsets, 1 / subsets), resamples).astype(float)


def over_runs(values: np.ndarray, drawn: np.ndarray | None = None) -> np.ndarray:
    """Return bootstrap values (B,) of a mean over R runs, from those of each run (R, B).

    Args:
        drawn: (R, B) the runs of each sample, where runs are resampled as well; the same ones for all methods make
            differences of methods paired.
    """
    return (values if drawn is None else np.take_along_axis(values, drawn, 0)).mean(0)


def removal_effects(after: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Return the fall (Q,) of each output below the mean after random removals of the same size, in their standard
    deviations.

    Args:
        after: (Q,) each output without the examples with the largest scores for it.
        random: (M, Q) the outputs without random examples.
    """
    spread = random.std(0)
    fall = random.mean(0) - after
    return np.where(spread > 0, fall / np.where(spread > 0, spread, 1), 0.0)


def wrong_labels(labels: np.ndarray, number: int, rng: np.random.Generator) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Return labels (N,), this many of them changed to another label that occurs, and a mask (N,) of these."""
    kinds, own = np.unique(labels, return_inverse=True)
    chosen = rng.permutation(len(labels))[:number]
    changed = labels.copy()
    changed[chosen] = kinds[(own[chosen] + rng.integers(1, len(kinds), number)) % len(kinds)]
    return changed, _members(chosen[None], len(labels))[0]


def area_under_curve(values: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive example has a larger value than another one, ties counting half.

    Raises:
        ValueError: there are no positive examples, or no others.
    """
    if positive.all() or not positive.any():
        raise ValueError("there must be positive examples and others")
    places = ranks(values, np.ones((1, len(values))))[0]
    number = positive.sum()
    return float((places[positive].sum() - number * (number + 1) / 2) / (number * (~positive).sum()))


def _members(ids: np.ndarray, examples: int) -> NDArray[np.bool_]:
    """Return sets (M, N) from the ids of their members (M, size)."""
    members = np.zeros((len(ids), examples), bool)
    np.put_along_axis(members, ids, True, axis=1)
    return members


def _correlation(left: np.ndarray, right: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted linear correlations (B,) of rows (B, M); 0 where one side is constant."""
    return np.nan_to_num(pearson(left, right, weight))
