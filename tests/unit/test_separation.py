"""Fisher ratios along linear discriminants, against scikit-learn's coefficients and plain sums."""

from __future__ import annotations

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mechlab.clustering.separation import fisher_ratios


def sample(classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(300) % classes) * 2  # not every number occurs
    mixing = rng.normal(size=(5, 5))
    return (rng.normal(size=(300, 5)) + 2 * rng.normal(size=(20, 5))[labels]) @ mixing, labels


def by_sums(points: np.ndarray, labels: np.ndarray, directions: np.ndarray) -> list[float]:
    """w' B w / w' S w with sums of outer products."""
    classes, D = np.unique(labels), points.shape[1]
    means = [points[labels == c].mean(0) for c in classes]
    middle = sum(means) / len(classes)
    between, within = np.zeros((D, D)), np.zeros((D, D))
    for mean in means:
        between += np.outer(mean - middle, mean - middle) / len(classes)
    for point, label in zip(points, labels, strict=True):
        away = point - means[list(classes).index(label)]
        within += np.outer(away, away) / len(points)
    return [float(w @ between @ w / (w @ within @ w)) for w in directions]


def test_ratios_are_those_along_scikit_learns_coefficients() -> None:
    points, labels = sample()
    coefficients = LinearDiscriminantAnalysis(solver="svd").fit(points, labels).coef_
    np.testing.assert_allclose(fisher_ratios(points, labels), by_sums(points, labels, coefficients), rtol=1e-6)
    points, labels = sample(classes=2)
    coefficients = LinearDiscriminantAnalysis(solver="svd").fit(points, labels).coef_
    np.testing.assert_allclose(fisher_ratios(points, labels), 2 * by_sums(points, labels, coefficients), rtol=1e-6)


def test_an_inner_product_would_not_tell_directions_apart() -> None:
    """With the published scalar in place of B every direction w has the ratio |w|^2 / w' S w times one number."""
    points, labels = sample()
    within = sum(np.cov(points[labels == c].T, bias=True) for c in np.unique(labels)) / 4
    coefficients = LinearDiscriminantAnalysis(solver="svd").fit(points, labels).coef_
    wrong = np.array([w @ w / (w @ within @ w) for w in coefficients])
    assert np.ptp(np.log(fisher_ratios(points, labels) / wrong)) > 0.5


def test_ratios_do_not_change_with_the_coordinates_and_weights_are_copies() -> None:
    points, labels = sample()
    turned = points @ np.random.default_rng(1).normal(size=(5, 5)) + 3
    np.testing.assert_allclose(fisher_ratios(turned, labels), fisher_ratios(points, labels), rtol=1e-5)
    weights = np.random.default_rng(2).integers(1, 5, len(points))
    copies = fisher_ratios(points.repeat(weights, 0), labels.repeat(weights))
    np.testing.assert_allclose(fisher_ratios(points, labels, weights), copies, rtol=1e-9)


def test_extremes() -> None:
    """A single state, states that are points, and labels that mean nothing."""
    points, labels = sample()
    np.testing.assert_array_equal(fisher_ratios(points, 0 * labels), [0])
    np.testing.assert_array_equal(fisher_ratios(np.zeros((6, 3)), np.arange(6) % 2), [0, 0])
    exact = fisher_ratios(np.eye(3)[np.arange(30) % 3], np.arange(30) % 3)
    assert np.isfinite(exact).all() and (exact > 1e9).all()
    shuffled = fisher_ratios(points, np.random.default_rng(3).permutation(labels))
    assert shuffled.max() < 0.1 < 1 < fisher_ratios(points, labels).min()
