"""Periods in the similarity of pairs of examples, by the difference of a number that goes with each example."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PeriodFit:
    """A sparse fit of similarities by cosines and sines of the difference; see `PairDifferences.fit`.

    Args:
        periods: (F,).
        cosine, sine: (F,) coefficients.
        explained: share of the variance over pairs.
        differences: (D,) the distinct differences.
        values: (D,) the fit at them.
    """

    periods: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    explained: float
    differences: np.ndarray
    values: np.ndarray

    @property
    def amplitude(self) -> np.ndarray:
        """Amplitudes (F,) of the periods."""
        return np.hypot(self.cosine, self.sine)


@dataclass(frozen=True)
class PairDifferences:
    """Pairs of examples, grouped by the difference of their whole numbers.

    Args:
        differences: (D,) distinct absolute differences.
        group: (M,) the difference that each pair has, as its place among them.
        first, second: (M,) the examples of each pair.
    """

    differences: np.ndarray
    group: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray, chosen: np.ndarray) -> PairDifferences:
        """Return the pairs i < j of examples with whole numbers (X,) that are chosen (X, X)."""
        first, second = np.nonzero(np.triu(chosen, 1))
        differences, group = np.unique(np.abs(numbers[first] - numbers[second]), return_inverse=True)
        return cls(differences, group, first, second)

    def __len__(self) -> int:
        return len(self.first)

    def means(self, similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of pairs (D,) and the mean similarity (D,) at each difference."""
        count = np.bincount(self.group, minlength=len(self.differences))
        sums = np.bincount(self.group, similarity[self.first, self.second], minlength=len(self.differences))
        return count, sums / np.maximum(count, 1)

    def fit(self, similarity: np.ndarray, periods: np.ndarray, alpha: float = 1e-3) -> PeriodFit:
        """Fit the similarities (X, X), less their mean, by a Lasso without intercept on cos(2 pi d / f) and
        sin(2 pi d / f) of the differences d, for all periods f (F,).

        Pairs of one difference have the same features, so their mean with their number as weight gives the same fit.

        Args:
            alpha: weight of the sum of absolute coefficients against half of the mean squared residual.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import Lasso

        values = similarity[self.first, self.second]
        count, means = self.means(similarity)
        means = means - values.mean()
        angles = 2 * np.pi * self.differences[:, None] / periods
        features = np.concatenate([np.cos(angles), np.sin(angles)], 1)  # (D, 2 F)
        weight = np.sqrt(count * len(count) / len(values))
        lasso = Lasso(alpha=alpha, fit_intercept=False, max_iter=5000)
        with warnings.catch_warnings():  # neighbouring whole periods are nearly collinear
            warnings.simplefilter("ignore", ConvergenceWarning)
            lasso.fit(weight[:, None] * features, weight * means)
        fitted = features @ lasso.coef_
        total = float(((values - values.mean()) ** 2).sum())
        left = total - float((count * means**2).sum()) + float((count * (means - fitted) ** 2).sum())
        cosine, sine = np.split(lasso.coef_, 2)
        return PeriodFit(
            periods, cosine, sine, 1 - left / total if total > 0 else 0.0, self.differences, fitted + values.mean()
        )


def whole_periods(p: int) -> np.ndarray:
    """Return the periods 2, 3, ..., p."""
    return np.arange(2, p + 1, dtype=float)


def harmonic_periods(p: int) -> np.ndarray:
    """Return the periods p / k of the frequencies k = 1, ..., (p - 1) / 2 of addition modulo p."""
    return p / np.arange(1, max(2, (p + 1) // 2), dtype=float)


@dataclass(frozen=True)
class PeriodNull:
    """What fits give where the residues of the numbers are in random order.

    Args:
        amplitude: (B,) the largest amplitude of any period and matrix.
        explained: (B,) the largest explained share of any matrix.
    """

    amplitude: np.ndarray
    explained: np.ndarray


def permuted_fits(
    similarities: Sequence[np.ndarray] | Mapping[str, np.ndarray],
    numbers: np.ndarray,
    p: int,
    chosen: np.ndarray,
    periods: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
    alpha: float = 1e-3,
) -> PeriodNull:
    """Fit several matrices of similarities (X, X) with other numbers (X,), whose residues modulo p are renamed by a
    random permutation. Examples of one residue, which may be alike in any way, stay together. The permutations are the
    same for all matrices, so that the largest value controls the family-wise error (Westfall and Young 1993)."""
    matrices = list(similarities.values()) if isinstance(similarities, Mapping) else list(similarities)
    amplitude, explained = [], []
    for _ in range(permutations):
        renamed = rng.permutation(p)[numbers % p] + numbers // p * p
        pairs = PairDifferences.of(renamed, chosen)
        fits = [pairs.fit(matrix, periods, alpha) for matrix in matrices]
        amplitude.append(max(fit.amplitude.max() for fit in fits))
        explained.append(max(fit.explained for fit in fits))
    return PeriodNull(np.array(amplitude), np.array(explained))
