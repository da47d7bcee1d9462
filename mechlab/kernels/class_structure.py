"""What a matrix of influences shows of its examples' classes: label identity, and structure among different classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

ROUNDING = 1e-5  # residuals of this share of the means are rounding
ROUNDS = 20  # of fitting additive effects; each reduces what is left of them by (number of classes - 1)^2


def label_auc(influence: np.ndarray, explained: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return for each explained example the probability (X,) that a training example of its own label has a larger
    influence than one of another label (the area under the ROC curve), NaN where there are not both.

    Args:
        influence: (X, N); NaN for pairs that do not count.
        explained, train: (X,) and (N,) labels.
    """
    same, counted = explained[:, None] == train, ~np.isnan(influence)
    own, others = (same & counted).sum(1), (~same & counted).sum(1)
    ranks = rankdata(influence, axis=1, nan_policy="omit")
    with np.errstate(invalid="ignore", divide="ignore"):
        below = ranks.sum(1, where=same & counted) - own * (own + 1) / 2
        return below / (own * others)


def within_labels(
    influence: np.ndarray, explained: np.ndarray, train: np.ndarray, key: np.ndarray, fewest: int = 5
) -> np.ndarray:
    """Return for each explained example the rank correlation (X,) of the influences of the training examples of its own
    label with a key; NaN where there are fewer than `fewest` or where either does not vary.

    Args:
        influence: (X, N); NaN for pairs that do not count.
        explained, train: (X,) and (N,) labels.
        key: (X, N), larger for pairs of examples that are more alike.
    """
    found = np.full(len(influence), np.nan)
    for row, label in enumerate(explained):
        own = (train == label) & ~np.isnan(influence[row])
        ranks = [rankdata(values[row, own]) for values in (influence, key)]
        if own.sum() >= fewest and all(np.ptp(rank) > 0 for rank in ranks):
            found[row] = np.corrcoef(*ranks)[0, 1]
    return found


@dataclass(frozen=True)
class SplitHalves:
    """Mean influences of pairs of different classes, from disjoint halves of the explained and the training examples.

    Each explained example's influences are divided by their standard deviation, so that all count alike. Effects that
    are additive in the two classes are taken away, and pairs of equal classes are left out.

    Args:
        classes: (L,) those with two or more explained and two or more training examples.
        first, second: (R, G, L, L) means of both halves for R random divisions and G matrices of influences, zero for
            equal classes; rows are classes of explained examples.
    """

    classes: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(
        cls, influence: np.ndarray, explained: np.ndarray, train: np.ndarray, divisions: int, rng: np.random.Generator
    ) -> SplitHalves:
        """Divide the examples of matrices (G, X, N) at random, the same for all of them.

        Args:
            influence: NaN for pairs of one class that do not count.
            explained, train: (X,) and (N,) labels.
        """
        classes = repeated_classes(explained, train)
        scale = np.nanstd(influence, -1, keepdims=True)
        scaled = np.divide(np.nan_to_num(influence), scale, out=np.zeros_like(influence, dtype=float), where=scale > 0)
        halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for _ in range(divisions):
            rows, columns = _halves(explained, classes, rng), _halves(train, classes, rng)
            for half, of_rows, of_columns in zip(halves, rows, columns, strict=True):
                half.append(_without_additive(of_rows @ scaled @ of_columns.T))
        return cls(classes, *map(np.stack, halves))

    def correlation(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the correlation (B, G) of both halves over pairs of different classes; 0 where nothing but additive
        effects is left of either.

        Args:
            weights: (B, L), how often each class counts; once by default.
        """
        weights = np.ones((1, len(self.classes))) if weights is None else weights
        products = (self.first * self.second, self.first**2, self.second**2)
        both, first, second = (_weighted(product.sum(0), weights) for product in products)
        size = np.sqrt(first * second)
        return np.divide(both, size, out=np.zeros_like(both), where=size > 0)

    def mean(self) -> np.ndarray:
        """Return the means of all halves (G, L, L)."""
        return (self.first + self.second).mean(0) / 2


def repeated_classes(explained: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the labels that two or more explained and two or more training examples have."""
    several = [
        kinds[count > 1] for kinds, count in (np.unique(labels, return_counts=True) for labels in (explained, train))
    ]
    return np.intersect1d(*several)


def _halves(labels: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return two matrices (L, n) that average the examples of each class over disjoint random halves of them."""
    averages = [np.zeros((len(classes), len(labels))) for _ in range(2)]
    for row, label in enumerate(classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        for average, half in zip(averages, np.array_split(members, 2), strict=True):
            average[row, half] = 1 / len(half)
    return averages


def _without_additive(means: np.ndarray) -> np.ndarray:
    """Return matrices (..., L, L) less their best sum of a row and a column effect off the diagonal, and 0 on it."""
    off = 1 - np.eye(means.shape[-1])
    left, count = means * off, max(1, means.shape[-1] - 1)
    for _ in range(ROUNDS):
        left = (left - left.sum(-1, keepdims=True) / count) * off
        left = (left - left.sum(-2, keepdims=True) / count) * off
    sizes = [np.abs(values).max((-2, -1), keepdims=True, initial=0) for values in (left, means)]
    return np.where(sizes[0] > ROUNDING * sizes[1], left, 0.0)


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sums (B, G) of (G, L, L) over pairs of classes, with weights (B, L) of each class."""
    return np.einsum("bi,gij,bj->bg", weights, values, weights, optimize=True)
