"""Clustering methods for network states, by name."""

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
SPLITS = {"lda": 10, "lr": 5}  # random splits into folds; the number of fits is five times as large
STARTS = 10  # of k-means, as published
SAMPLE = 1000  # number of rows for the estimate of the bandwidth


@dataclass(frozen=True, eq=False)
class LabelledPoints:
    """Hidden states of a network with labels: the input of clustering.

    Args:
        points: (P, D) the states after the distinct prefixes.
        labels: (P,) int, the automaton's state, or another target of the clustering.
        index: (R,) int, the prefix at each letter of the words, word after word.
        states: number n of the automaton's states.
        factor: number f of labels per state, where labels are finer than states; it multiplies numbers of clusters.
    """

    points: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    states: int
    factor: int = 1

    @property
    def counts(self) -> np.ndarray:
        """Number of occurrences (P,) of each prefix."""
        return np.bincount(self.index, minlength=len(self.points))


@dataclass(frozen=True, eq=False)
class Clustering:
    """The result of a clustering method.

    Args:
        rows: (K,) int, the distinct prefixes that were clustered.
        counts: (K,) int, the weight of each in the scores.
        clusters: (K,) int, -1 for noise.
        held_out: (S, K) int, for a classifier the cross-validated predictions, for each of S random splits of the rows
            into folds; None for other methods.
        starts: number of starts of k-means, of which this is the best; None for other methods.
    """

    rows: np.ndarray
    counts: np.ndarray
    clusters: np.ndarray
    held_out: np.ndarray | None = None
    starts: int | None = None


def cluster(
    method: str, rows: LabelledPoints, rng: np.random.Generator, setting: Setting = "fair", splits: int | None = None
) -> Clustering:
    """Return the clusters of a network's states by a method of `METHODS`.

    Args:
        method: its name.
        rows: the states.
        rng: generator of starts, samples and folds.
        setting: "fair" fits every method to each distinct prefix once; "published" fits the published methods to every
            row, with prefixes as often as they occur, mean shift and OPTICS to the first quarter of the rows only.
            Scores weight prefixes by occurrence in both. k-means has 10 starts in the published setting, more in the
            fair one where that is cheap.
        splits: number of random splits of a classifier's rows into folds; by default that of `SPLITS`.

    Raises:
        ValueError: there is no such method.

    Source: Muškardin et al., arXiv 2306.16854, and its published code; minibatch k-means (8 n f clusters), HDBSCAN and
    Gaussian mixtures (n f components) are not among its methods.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Got {method!r} instead.")
    with one_thread():
        if method in SPLITS:
            return METHODS[method](rows, rng, setting, splits=splits or SPLITS[method])
        return METHODS[method](rows, rng, setting)


def _k_means(
    rows: LabelledPoints, rng: np.random.Generator, setting: Setting, multiple: int = 1, more: int = 0
) -> Clustering:
    k = max(1, multiple * rows.states + more) * rows.factor
    weights = rows.counts if setting == "published" else None
    starts = STARTS if setting == "published" else starts_for(rows.points, k)
    return _all(rows, kmeans(rows.points, k, rng, starts, weights), starts)


def _dbscan(rows: LabelledPoints, rng: np.random.Generator, setting: Setting, radius: float) -> Clustering:
    weights = rows.counts if setting == "published" else None  # equivalent to copies
    return _all(rows, dbscan(rows.points, radius, weights=weights))


def _mean_shift(rows: LabelledPoints, rng: np.random.Generator, setting: Setting, part: int) -> Clustering:
    everything = rows.index if setting == "published" else np.arange(len(rows.points))
    width = bandwidth(rows.points[rng.permutation(everything)[:SAMPLE]]) / part
    if setting == "fair":
        return _all(rows, mean_shift(rows.points, width))
    used, counts = np.unique(_quarter(rows), return_counts=True)
    return Clustering(used, counts, mean_shift(rows.points[used], width, counts))


def _optics(rows: LabelledPoints, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.cluster import OPTICS

    used = _quarter(rows) if setting == "published" else np.arange(len(rows.points))
    counts = np.ones_like(used) if setting == "published" else rows.counts
    if len(used) < 5:
        return Clustering(used, counts, np.full(len(used), NOISE))
    with np.errstate(all="ignore"), warnings.catch_warnings():  # equal rows have distance 0, which is no error
        warnings.simplefilter("ignore", UserWarning)
        return Clustering(used, counts, OPTICS().fit_predict(rows.points[used]))


def _mini_batch(rows: LabelledPoints, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    k = min(8 * rows.states * rows.factor, len(np.unique(rows.points, axis=0)))
    weights = rows.counts if setting == "published" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MiniBatchKMeans(k, n_init=STARTS, random_state=_seed(rng))
        return _all(rows, model.fit(rows.points, sample_weight=weights).labels_, STARTS)


def _hdbscan(rows: LabelledPoints, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.cluster import HDBSCAN

    if len(rows.points) < 5:
        return _all(rows, np.full(len(rows.points), NOISE))
    return _all(rows, HDBSCAN(copy=True).fit_predict(rows.points))


def _mixture(rows: LabelledPoints, rng: np.random.Generator, setting: Setting) -> Clustering:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    k = min(rows.states * rows.factor, len(np.unique(rows.points, axis=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _all(rows, GaussianMixture(k, reg_covar=1e-4, random_state=_seed(rng)).fit_predict(rows.points))


def _classifier(
    rows: LabelledPoints, rng: np.random.Generator, setting: Setting, kind: Literal["lda", "lr"], splits: int
) -> Clustering:
    """Return the predictions of a linear classifier: fitted to all rows, and, for each split, by five-fold
    cross-validation over distinct prefixes."""
    everything = np.arange(len(rows.points))
    train = rows.index if setting == "published" else everything
    clusters = _predict(kind, rows, train, everything)
    held_out = np.empty((splits, len(everything)), np.int64)
    for predicted in held_out:
        folds = rng.permutation(everything) % FOLDS
        for fold in range(FOLDS):
            out = folds == fold
            predicted[out] = _predict(kind, rows, train[~out[train]], everything[out])
    return Clustering(everything, rows.counts, clusters, held_out)


def _predict(kind: str, rows: LabelledPoints, train: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the classes (A,) of the prefixes `queries` by a classifier fitted to the rows `train`."""
    if not len(queries):
        return np.empty(0, np.int64)
    classes = np.unique(rows.labels[train])
    if len(classes) < 2:
        return np.full(len(queries), classes[0] if len(classes) else 0)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # about collinear units, and about separable states, where the optimum is at large weights
        return {"lda": _lda, "lr": _lr}[kind](rows.points, rows.labels, train, rows.points[queries])


def _lda(points: np.ndarray, labels: np.ndarray, train: np.ndarray, queries: np.ndarray) -> np.ndarray:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    classes, number = np.unique(labels[train], return_inverse=True)
    means = np.array([points[train][number == c].mean(0) for c in range(len(classes))])
    if np.abs(points[train] - means[number]).max() <= 1e-9 * np.abs(points[train]).max():
        return classes[((queries[:, None] - means) ** 2).sum(2).argmin(1)]  # the limit of no variance within classes
    return LinearDiscriminantAnalysis().fit(points[train], labels[train]).predict(queries)


def _lr(points: np.ndarray, labels: np.ndarray, train: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return predictions of logistic regression at the optimum, to which the published solver (saga, 1000 iterations)
    has not converged."""
    from sklearn.linear_model import LogisticRegression

    fitted, weights = np.unique(train, return_counts=True)
    return LogisticRegression(max_iter=5000).fit(points[fitted], labels[fitted], weights).predict(queries)


def bandwidth(points: np.ndarray) -> float:
    """Return the mean distance of points (P, D) to their neighbour at the quantile 0.3 of distances.

    Where nearly all points are equal it is 1e-5 of their size, since balls must be larger than rounding errors.
    """
    from sklearn.cluster import estimate_bandwidth

    return max(float(estimate_bandwidth(points, quantile=0.3)), 1e-5 * float(np.abs(points).max()), 1e-9)


def _quarter(rows: LabelledPoints) -> np.ndarray:
    return rows.index[: max(1, len(rows.index) // 4)]


def _all(rows: LabelledPoints, clusters: np.ndarray, starts: int | None = None) -> Clustering:
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
