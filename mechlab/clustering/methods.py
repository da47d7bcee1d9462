"""The clusterings of network states that are compared with one another, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from mechlab.clustering.dbscan import NOISE, dbscan
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.mean_shift import mean_shift
from mechlab.clustering.threads import one_thread

Setting = Literal["fair", "published"]
FOLDS = 5
SPLITS = {"lda": 10, "lr": 5}  # random splits into folds; the number of fits is five times that
STARTS = 10  # of k-means, as published
SAMPLE = 1000  # rows that the bandwidth is estimated from


@dataclass(frozen=True, eq=False)
class Rows:
    """The states of a network to cluster.

    Args:
        points: (P, D) the states after the distinct prefixes.
        labels: (P,) int, the automaton's state, or whatever else clusters should tell.
        index: (R,) int, the prefix at each letter of the words, word after word.
        states: number n of the automaton's states.
        factor: labels per state f, where labels tell more than the state; numbers of clusters are multiples of it.
    """

    points: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    states: int
    factor: int = 1

    @property
    def counts(self) -> np.ndarray:
        """How often each prefix occurs (P,)."""
        return np.bincount(self.index, minlength=len(self.points))


@dataclass(frozen=True, eq=False)
class Clustering:
    """What a method made of the rows.

    Args:
        rows: (K,) int, the distinct prefixes that were clustered.
        counts: (K,) int, how often each counts in the scores.
        clusters: (K,) int, -1 for noise.
        held_out: (S, K) int, for a classifier the classes told by fits that had not seen the row, a line for each of S
            random splits of the rows into folds; None for others.
        starts: number of starts of k-means, the best of which this is; None for other methods.
    """

    rows: np.ndarray
    counts: np.ndarray
    clusters: np.ndarray
    held_out: np.ndarray | None = None
    starts: int | None = None


def cluster(
    method: str, rows: Rows, rng: np.random.Generator, setting: Setting = "fair", splits: int | None = None
) -> Clustering:
    """Cluster the states of a network by a method of `METHODS`.

    Args:
        method: its name.
        rows: the states.
        rng: of starts, samples and folds.
        setting: "fair" shows every method each distinct prefix once; "published" shows the published ones every row,
            prefixes as often as they occur, and mean shift and OPTICS the first quarter of the rows only. Scores count
            how often prefixes occur in both. k-means starts 10 times as published, and more often where that is cheap
            in the fair setting.
        splits: how often a classifier's folds are drawn anew; by default as `SPLITS` says.

    Raises:
        ValueError: there is no such method.

    Source: Muskardin et al., arXiv 2306.16854, and its published code; minibatch k-means (8 n f clusters), HDBSCAN and
    Gaussian mixtures (n f components) are not among its methods.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Got {method!r} instead.")
    with one_thread():
        if method in SPLITS:
            return METHODS[method](rows, rng, setting, splits=splits or SPLITS[method])
        return METHODS[method](rows, rng, setting)


def _k_means(rows: Rows, rng: np.random.Generator, setting: Setting, multiple: int = 1, more: int = 0) -> Clustering:
    k = max(1, multiple * rows.states + more) * rows.factor
    weights = rows.counts if setting == "published" else None
    starts = STARTS if setting == "published" else starts_for(rows.points, k)
    return _all(rows, kmeans(rows.points, k, rng, starts, weights), starts)


def _dbscan(rows: Rows, rng: np.random.Generator, setting: Setting, radius: float) -> Clustering:
    weights = rows.counts if setting == "published" else None  # the same as copies
    return _all(rows, dbscan(rows.points, radius, weights=weights))


def _mean_shift(rows: Rows, rng: np.random.Generator, setting: Setting, part: int) -> Clustering:
    everything = rows.index if setting == "published" else np.arange(len(rows.points))
    width = bandwidth(rows.points[rng.permutation(everything)[:SAMPLE]]) / part
    if setting == "fair":
        return _all(rows, mean_shift(rows.points, width))
    seen, counts = np.unique(_quarter(rows), return_counts=True)
    return Clustering(seen, counts, mean_shift(rows.points[seen], width, counts))


def _optics(rows: Rows, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.cluster import OPTICS

    seen = _quarter(rows) if setting == "published" else np.arange(len(rows.points))
    counts = np.ones_like(seen) if setting == "published" else rows.counts
    if len(seen) < 5:
        return Clustering(seen, counts, np.full(len(seen), NOISE))
    with np.errstate(all="ignore"), warnings.catch_warnings():  # equal rows have no distance, which is no fault
        warnings.simplefilter("ignore", UserWarning)
        return Clustering(seen, counts, OPTICS().fit_predict(rows.points[seen]))


def _mini_batch(rows: Rows, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    k = min(8 * rows.states * rows.factor, len(np.unique(rows.points, axis=0)))
    weights = rows.counts if setting == "published" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MiniBatchKMeans(k, n_init=STARTS, random_state=_seed(rng))
        return _all(rows, model.fit(rows.points, sample_weight=weights).labels_, STARTS)


def _hdbscan(rows: Rows, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.cluster import HDBSCAN

    if len(rows.points) < 5:
        return _all(rows, np.full(len(rows.points), NOISE))
    return _all(rows, HDBSCAN(copy=True).fit_predict(rows.points))


def _mixture(rows: Rows, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    k = min(rows.states * rows.factor, len(np.unique(rows.points, axis=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _all(rows, GaussianMixture(k, reg_covar=1e-4, random_state=_seed(rng)).fit_predict(rows.points))


def _classifier(
    rows: Rows, rng: np.random.Generator, setting: Setting, kind: Literal["lda", "lr"], splits: int
) -> Clustering:
    """Fit a linear classifier on all rows, and, for each split, five times on four fifths of the distinct prefixes for
    the others."""
    everything = np.arange(len(rows.points))
    shown = rows.index if setting == "published" else everything
    clusters = _predict(kind, rows, shown, everything)
    held_out = np.empty((splits, len(everything)), np.int64)
    for told in held_out:
        folds = rng.permutation(everything) % FOLDS
        for fold in range(FOLDS):
            out = folds == fold
            told[out] = _predict(kind, rows, shown[~out[shown]], everything[out])
    return Clustering(everything, rows.counts, clusters, held_out)


def _predict(kind: str, rows: Rows, shown: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the classes (A,) that a classifier fitted to the rows `shown` tells for the prefixes `asked`."""
    if not len(asked):
        return np.empty(0, np.int64)
    classes = np.unique(rows.labels[shown])
    if len(classes) < 2:
        return np.full(len(asked), classes[0] if len(classes) else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of collinear units and of separable states, where the optimum is far out
        return {"lda": _lda, "lr": _lr}[kind](rows.points, rows.labels, shown, rows.points[asked])


def _lda(points: np.ndarray, labels: np.ndarray, shown: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    classes, number = np.unique(labels[shown], return_inverse=True)
    means = np.array([points[shown][number == c].mean(0) for c in range(len(classes))])
    if np.abs(points[shown] - means[number]).max() <= 1e-9 * np.abs(points[shown]).max():
        return classes[((asked[:, None] - means) ** 2).sum(2).argmin(1)]  # the limit of no variance within classes
    return LinearDiscriminantAnalysis().fit(points[shown], labels[shown]).predict(asked)


def _lr(points: np.ndarray, labels: np.ndarray, shown: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Fit by a solver that gets to the optimum which the published one (saga, 1000 iterations) is on its way to."""
    from sklearn.linear_model import LogisticRegression

    fitted, weights = np.unique(shown, return_counts=True)
    return LogisticRegression(max_iter=5000).fit(points[fitted], labels[fitted], weights).predict(asked)


def bandwidth(points: np.ndarray) -> float:
    """Return the mean distance to the neighbour that three tenths of the points (P, D) are nearer than.

    Where nearly all points are one, it is 1e-5 of their size: balls must be larger than rounding.
    """
    from sklearn.cluster import estimate_bandwidth

    return max(float(estimate_bandwidth(points, quantile=0.3)), 1e-5 * float(np.abs(points).max()), 1e-9)


def _quarter(rows: Rows) -> np.ndarray:
    return rows.index[: max(1, len(rows.index) // 4)]


def _all(rows: Rows, clusters: np.ndarray, starts: int | None = None) -> Clustering:
    return Clustering(np.arange(len(rows.points)), rows.counts, np.asarray(clusters, np.int64), starts=starts)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


Method = Callable[..., Clustering]
METHODS: dict[str, Method] = {
    "k_means_dec": partial(_k_means, more=-1),
    "k_means": _k_means,
    "k_means_inc": partial(_k_means, more=1),
    "k_means_double": partial(_k_means, multiple=2),
    "k_means_4": partial(_k_means, multiple=4),
    "k_means_6": partial(_k_means, multiple=6),
    "k_means_8": partial(_k_means, multiple=8),
    "DBSCAN_half": partial(_dbscan, radius=0.25),
    "DBSCAN": partial(_dbscan, radius=0.5),
    "DBSCAN_double": partial(_dbscan, radius=1.0),
    "DBSCAN_triple": partial(_dbscan, radius=1.5),
    "DBSCAN_quad": partial(_dbscan, radius=2.0),
    "mean_shift": partial(_mean_shift, part=1),
    "mean_shift_2": partial(_mean_shift, part=2),
    "mean_shift_4": partial(_mean_shift, part=4),
    "mean_shift_8": partial(_mean_shift, part=8),
    "OPTICS": _optics,
    "lda": partial(_classifier, kind="lda"),
    "lr": partial(_classifier, kind="lr"),
    "mini_batch_k_means": _mini_batch,
    "HDBSCAN": _hdbscan,
    "gaussian_mixture": _mixture,
}
