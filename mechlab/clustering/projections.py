"""Projections of points to two or three dimensions, by several methods."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

LINEAR = ("pca", "lda", "sparse_pca", "factor_analysis", "random")
METHODS = (*LINEAR, "tsne")
RIDGE = 1e-6  # added to the variance within classes, which may be 0, as a share of the mean variance
ROWS = 2000  # maximal number of rows that sparse PCA and factor analysis, which iterate, are fitted to
TSNE_STEPS = 500


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map to few dimensions: (points - mean) @ directions.

    Args:
        mean: (D,).
        directions: (D, d), by falling importance. A direction that does not exist is 0.
    """

    mean: np.ndarray
    directions: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the projected points (P, d) of points (P, D)."""
        return (points - self.mean) @ self.directions

    def first(self, dimensions: int) -> Projection:
        """Return the projection to the first few dimensions."""
        return Projection(self.mean, self.directions[:, :dimensions])

    def explained(self, points: np.ndarray) -> float:
        """Return the share of the variance of points (P, D) in the span of the directions."""
        basis = _basis(self.directions)
        centred = points - points.mean(0)
        return float(((centred @ basis) ** 2).sum() / max((centred**2).sum(), np.finfo(float).tiny))

    def shares(self, points: np.ndarray) -> np.ndarray:
        """Return the share (d,) of the variance of points (P, D) along each direction; 0 for one that does not exist.

        Their sum is `explained` if the directions are orthogonal.
        """
        centred, sizes = points - points.mean(0), np.linalg.norm(self.directions, axis=0)
        along = centred @ (self.directions / np.where(sizes > 0, sizes, 1))
        return (along**2).sum(0) / max((centred**2).sum(), np.finfo(float).tiny)


def fit_projection(
    method: str, points: np.ndarray, labels: np.ndarray, dimensions: int, rng: np.random.Generator
) -> Projection:
    """Return a projection, by a method of `LINEAR`, fitted to points.

    Args:
        method: "pca" has the directions of most variance. "lda" has those in which the means of the labels differ
            most, in units of the spread within labels; there are one fewer than labels, and the missing ones are the
            directions of most variance orthogonal to them. "sparse_pca" and "factor_analysis" are fitted to at most
            2000 rows. "random" has Gaussian directions of about unit length.
        points: (P, D).
        labels: (P,) int, used by "lda" only.
        dimensions: number of directions.
        rng: generator of samples, starts and random directions.

    Raises:
        ValueError: there is no such method.

    >>> points = np.array([[0.0, 1.0, 0.0], [0.0, 3.0, 0.0]])
    >>> np.abs(fit_projection("pca", points, None, 2, None)(points)).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    if method not in LINEAR:
        raise ValueError(f"method must be one of {', '.join(LINEAR)}. Got {method!r} instead.")
    points = np.asarray(points, np.float64)
    mean = points.mean(0)
    if method == "pca":
        fitted = _principal(points - mean, dimensions)
    elif method == "lda":
        fitted = _discriminants(points - mean, labels, dimensions)
    elif method == "random":
        fitted = rng.normal(size=(points.shape[1], dimensions)) / np.sqrt(points.shape[1])
    else:
        return _iterated(method, points, dimensions, rng)
    directions = np.zeros((points.shape[1], dimensions))
    directions[:, : fitted.shape[1]] = fitted
    return Projection(mean, directions)


def tsne(points: np.ndarray, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """Return the t-SNE embedding (P, d) of points (P, D) (van der Maaten 2014).

    It is initialised by the principal components, so that the result does not depend on luck. Distances between far
    points are meaningless.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    points = np.asarray(points, np.float64)
    start = fit_projection("pca", points, np.zeros(0), dimensions, rng)(points)
    start *= 1e-4 / max(start[:, 0].std(), np.finfo(float).tiny)
    start += rng.normal(scale=1e-6, size=start.shape)  # separates equal points
    model = TSNE(
        dimensions,
        perplexity=min(30.0, max(1.0, (len(points) - 1) / 3)),
        init=start.astype(np.float32),
        max_iter=TSNE_STEPS,
        random_state=int(rng.integers(2**31)),
    )
    with threadpool_limits(1):  # the order of summation of several threads varies
        return model.fit_transform(points.astype(np.float32)).astype(np.float64)


def nearest_mean(points: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the label (A,) of points `queries` (A, d) whose mean over `points` (P, d) is nearest."""
    classes, number = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), points.shape[1]))
    np.add.at(sums, number, points)
    means = sums / np.bincount(number)[:, None]
    return classes[((queries[:, None] - means) ** 2).sum(2).argmin(1)]


def nearest_neighbour(points: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the label (A,) of points `queries` (A, d) by the nearest of `points` (P, d)."""
    from scipy.spatial import cKDTree

    return np.asarray(labels)[cKDTree(points).query(queries)[1]]


def _principal(centred: np.ndarray, dimensions: int) -> np.ndarray:
    """Return the directions of most variance (D, at most d), with signs that do not depend on rounding."""
    _, directions = np.linalg.eigh(centred.T @ centred)  # in rising order
    return _signed(directions[:, ::-1][:, :dimensions])


def _discriminants(centred: np.ndarray, labels: np.ndarray, dimensions: int) -> np.ndarray:
    from scipy.linalg import eigh

    classes, number, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.array([centred[number == c].mean(0) for c in range(len(classes))])
    rest = centred - means[number]
    within, between = rest.T @ rest / len(centred), (means.T * sizes) @ means / len(centred)
    ridge = RIDGE * np.trace(within + between) / len(within)
    _, directions = eigh(between, within + max(ridge, np.finfo(float).tiny ** 0.5) * np.eye(len(within)))
    discriminants = _signed(directions[:, ::-1][:, : min(dimensions, len(classes) - 1)])
    basis = _basis(discriminants)
    across = centred - centred @ basis @ basis.T
    return np.hstack([discriminants, _principal(across, dimensions - discriminants.shape[1])])


def _iterated(method: str, points: np.ndarray, dimensions: int, rng: np.random.Generator) -> Projection:
    """Return the linear map of a scikit-learn method fitted to a sample of the rows, from its images of unit points."""
    from sklearn.decomposition import FactorAnalysis, SparsePCA
    from sklearn.exceptions import ConvergenceWarning

    components = min(dimensions, points.shape[1])
    seed = int(rng.integers(2**31))
    makers = {
        "sparse_pca": lambda: SparsePCA(components, max_iter=100, random_state=seed),
        "factor_analysis": lambda: FactorAnalysis(components, max_iter=200, random_state=seed),
    }
    sample = points[rng.permutation(len(points))[:ROWS]]
    with np.errstate(all="ignore"), warnings.catch_warnings():  # of data without variance
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = makers[method]().fit(sample)
    mean = sample.mean(0)
    directions = np.zeros((points.shape[1], dimensions))
    directions[:, :components] = model.transform(mean + np.eye(points.shape[1])) - model.transform(mean[None])
    return Projection(mean, _signed(np.nan_to_num(directions, posinf=0, neginf=0)))


def _basis(directions: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the span of directions (D, d)."""
    left, sizes, _ = np.linalg.svd(directions, full_matrices=False)
    return left[:, sizes > 1e-12 * max(sizes.max(initial=0), np.finfo(float).tiny)]


def _signed(directions: np.ndarray) -> np.ndarray:
    """Return directions (D, d), each with the sign that makes its largest component positive."""
    if not directions.size:
        return directions
    largest = directions[np.abs(directions).argmax(0), np.arange(directions.shape[1])]
    return directions * np.where(largest < 0, -1.0, 1.0)
