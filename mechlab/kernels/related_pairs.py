"""Whether examples that are related, such as by an equal label, are more similar than others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class RelatedPairs:
    """The similarities of all pairs of different examples, and which pairs are related.

    Args:
        similarity: (X, X) symmetric; examples whose similarities are NaN are left out.
        related: (X, X) bool, symmetric.
    """

    similarity: np.ndarray
    related: np.ndarray

    @property
    def auc(self) -> float:
        """The probability that a related pair is more similar than one that is not, ties counted half: the area under
        the ROC curve. NaN unless there are pairs of both kinds."""
        return self._area(self._chosen)

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of pairs that are related, and of others."""
        return int(self._chosen.sum()), int((~self._chosen).sum())

    def permuted(self, permutations: np.ndarray) -> np.ndarray:
        """Return the areas (R,) after permutations (R, X) of the examples' relations, which keep their structure."""
        return np.array([self._area(self.related[np.ix_(order, order)][self._pairs]) for order in permutations])

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """Return the areas (R,) where example x is drawn counts (R, X) times; a pair of an example and itself does not
        count."""
        values, related = self.similarity[self._pairs], self._chosen
        order = np.argsort(values)
        (first, second), related, values = (side[order] for side in self._pairs), related[order], values[order]
        below, upto = (np.searchsorted(values, values[related], side) for side in ("left", "right"))
        areas = np.full(len(counts), np.nan)
        for row, count in enumerate(counts):
            weight = (count[first] * count[second]).astype(float)
            others = np.append(0.0, np.cumsum(weight * ~related))
            total = weight[related].sum() * others[-1]
            if total:
                areas[row] = weight[related] @ (others[below] + others[upto]) / (2 * total)
        return areas

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        first, second = np.triu_indices(len(self.similarity), 1)
        known = np.isfinite(self.similarity[first, second])
        return first[known], second[known]

    @cached_property
    def _chosen(self) -> np.ndarray:
        return self.related[self._pairs]

    @cached_property
    def _ranks(self) -> np.ndarray:
        return rankdata(self.similarity[self._pairs])

    def _area(self, chosen: np.ndarray) -> float:
        """Return the area for the chosen pairs, by the sum of their ranks (Mann and Whitney 1947)."""
        n, others = int(chosen.sum()), int((~chosen).sum())
        return float((self._ranks[chosen].sum() - n * (n + 1) / 2) / (n * others)) if n and others else np.nan


def correlation_of_pairs(left: np.ndarray, right: np.ndarray) -> float:
    """Return the correlation of two similarity matrices (X, X) over pairs of different examples (Mantel 1967); NaN
    where one of them does not vary.

    >>> matrix = np.array([[1, 0.2, 0.5], [0.2, 1, 0.9], [0.5, 0.9, 1]])
    >>> round(correlation_of_pairs(matrix, 2 * matrix), 12)
    1.0
    """
    places = np.triu_indices(len(left), 1)
    sides = np.stack([left[places], right[places]])
    sides = sides[:, np.isfinite(sides).all(0)]
    if sides.shape[1] < 2 or (np.ptp(sides, axis=1) < 1e-9).any():
        return np.nan
    return float(np.corrcoef(sides)[0, 1])


def classical_scaling(cosines: np.ndarray, dimensions: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return points (X, d) whose distances approximate those of unit vectors with these cosines (X, X), and the share
    (d,) of the variance along each axis: classical multidimensional scaling, the principal components of the vectors
    (Torgerson 1952). Examples whose cosines are NaN are NaN.

    >>> points, shares = classical_scaling(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    >>> np.abs(points).round(6).tolist(), shares.round(6).tolist()
    ([[1.0, 0.0], [1.0, 0.0]], [1.0, 0.0])
    """
    known = np.isfinite(np.diagonal(cosines))
    points, shares = np.full((len(cosines), dimensions), np.nan), np.zeros(dimensions)
    if known.any():
        inner = cosines[np.ix_(known, known)]
        inner = inner - inner.mean(0) - inner.mean(1)[:, None] + inner.mean()
        sizes, axes = np.linalg.eigh(inner)  # in rising order
        sizes, axes = np.maximum(sizes[::-1], 0.0), axes[:, ::-1]
        axes = axes * np.where(axes[np.abs(axes).argmax(0), range(len(axes))] < 0, -1.0, 1.0)
        some = min(dimensions, len(sizes))
        points[known] = 0.0
        points[np.ix_(known, range(some))] = (axes * np.sqrt(sizes))[:, :some]
        shares[:some] = sizes[:some] / max(sizes.sum(), np.finfo(float).tiny)
    return points, shares
