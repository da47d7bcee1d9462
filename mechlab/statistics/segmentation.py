"""Optimal segmentation of a series into smooth pieces, the number of pieces by a penalty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
COLLINEAR = 1e-10  # relative eigenvalue below which a direction of the regressors is left out


@dataclass(frozen=True)
class Segmentations:
    """The optimal segmentations of a series of n rows, by number of changes.

    Args:
        changes: for K = 0, 1, ... the first rows (K,) of all pieces but the first.
        unexplained: (K + 1,) shares of the variance that they leave.
    """

    changes: Sequence[np.ndarray]
    unexplained: np.ndarray

    def number(self, penalty: float) -> int:
        """Return the number of changes that minimises the unexplained share of the variance plus `penalty` for each."""
        return int(np.argmin(self.unexplained + penalty * np.arange(len(self.unexplained))))


class Segmenter:
    """Segments series whose rows belong to the same times.

    In each piece every feature follows a + b t + c log t, so that exponential and power-law trends of logarithms are
    one piece. Dynamic programming over all segmentations: Bai and Perron 2003, Journal of Applied Econometrics 18,
    1-22.

    Args:
        times: (n,) positive, increasing.
        least: smallest number of rows of a piece.
    """

    def __init__(self, times: np.ndarray, least: int):
        self.n, relative = len(times), times / times[-1]
        self.regressors = np.stack([np.ones(self.n), relative - relative.mean(), np.log(relative)], 1)  # (n, 3)
        self.start, self.stop = np.triu_indices(self.n + 1, least)
        outer = _sums(self.regressors[:, :, None] * self.regressors[:, None])
        values, vectors = np.linalg.eigh(outer[self.stop] - outer[self.start])  # (pieces, 3), (pieces, 3, 3)
        used = values > COLLINEAR * values[:, -1:]
        scales = np.where(used, 1 / np.sqrt(np.where(used, values, 1)), 0)
        self.whitening = (vectors * scales[:, None]).swapaxes(1, 2)  # (pieces, 3, 3)

    def __call__(self, series: np.ndarray, most: int) -> Segmentations:
        """Return the segmentations of a series (n, F) into up to `most` + 1 pieces with the least squares."""
        series = series - series.mean(0)
        total = float((series**2).sum())
        if self.n == 0 or not len(self.start) or not total > 0:
            return Segmentations([np.zeros(0, int)], np.array([1.0]))
        costs = self._costs(series)
        best, sources = [costs[0]], []
        for _ in range(most):
            sums = best[-1][:, None] + costs
            sources.append(sums.argmin(0))
            best.append(sums.min(0))
        known = [k for k in range(most + 1) if np.isfinite(best[k][-1])]
        unexplained = np.array([best[k][-1] / total for k in known])
        return Segmentations([self._traced(sources[:k]) for k in known], unexplained)

    def fitted(self, series: np.ndarray, changes: np.ndarray) -> np.ndarray:
        """Return the values (n, F) of the pieces that begin at these rows."""
        pieces = np.split(np.arange(self.n), changes)
        fits = (np.linalg.lstsq(self.regressors[rows], series[rows], rcond=1e-7)[0] for rows in pieces)
        return np.concatenate([self.regressors[rows] @ fit for rows, fit in zip(pieces, fits, strict=True)])

    def intervals(
        self, series: np.ndarray, changes: np.ndarray, resamples: int, block: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return percentile intervals (K, 2) of 95 % for the rows of changes, by a moving-block bootstrap of residuals.

        Source: Künsch 1989, Annals of Statistics 17, 1217-1241.
        """
        if not len(changes):
            return np.zeros((0, 2), int)
        fit = self.fitted(series, changes)
        residuals, number = series - fit, -(-self.n // block)
        found = []
        for _ in range(resamples):
            starts = rng.integers(0, self.n - block + 1, number)
            rows = (starts[:, None] + np.arange(block)).ravel()[: self.n]
            found.append(self(fit + residuals[rows], len(changes)).changes[-1])
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        return np.quantile(np.array(found), tails, axis=0, method="nearest").T.astype(int)

    def _costs(self, series: np.ndarray) -> np.ndarray:
        """Return the squared residuals (n + 1, n + 1) of the piece of the rows from i to j - 1, else infinite."""
        products, squares = _sums(self.regressors[:, :, None] * series[:, None]), _sums((series**2).sum(1))
        explained = ((self.whitening @ (products[self.stop] - products[self.start])) ** 2).sum((1, 2))
        costs = np.full((self.n + 1, self.n + 1), np.inf)
        costs[self.start, self.stop] = np.maximum(squares[self.stop] - squares[self.start] - explained, 0)
        return costs

    def _traced(self, sources: Sequence[np.ndarray]) -> np.ndarray:
        """Return the first rows of the pieces, followed back from the end."""
        changes, at = [], self.n
        for source in reversed(sources):
            at = int(source[at])
            changes.append(at)
        return np.array(changes[::-1], dtype=int)


def _sums(values: np.ndarray) -> np.ndarray:
    """Return the sums (n + 1, ...) of the first 0, 1, ..., n rows."""
    return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0)])
