"""Projections to few dimensions, against scikit-learn, planted planes, and noise that tells nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA, FactorAnalysis, SparsePCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from mechlab.clustering.projections import LINEAR, fit_projection, nearest_mean, nearest_neighbour, tsne


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def blobs(size: int = 300, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Five classes in ten dimensions, whose means differ in the first two, while most variance lies in the last two."""
    rng = generator()
    labels = rng.integers(5, size=size)
    points = rng.normal(scale=noise, size=(size, 10))
    angle = 2 * np.pi * labels / 5
    points[:, :2] += 12 * noise * np.stack([np.cos(angle), np.sin(angle)], 1)
    points[:, 8:] *= 40
    return points @ np.linalg.qr(rng.normal(size=(10, 10)))[0], labels


def same_up_to_sign(one: np.ndarray, other: np.ndarray) -> None:
    signs = np.sign((one * other).sum(0))
    np.testing.assert_allclose(one, other * signs, atol=1e-6 * np.abs(other).max())


def test_pca_and_its_share_of_the_variance_are_those_of_scikit_learn() -> None:
    points, labels = blobs()
    found, reference = fit_projection("pca", points, labels, 3, generator()), PCA(3).fit(points)
    same_up_to_sign(found(points), reference.transform(points))
    assert found.explained(points) == pytest.approx(reference.explained_variance_ratio_.sum())
    assert found.first(1).explained(points) == pytest.approx(reference.explained_variance_ratio_[0])


def test_lda_is_that_of_scikit_learn_up_to_scale() -> None:
    points, labels = blobs()
    found = fit_projection("lda", points, labels, 3, generator())(points)
    reference = LinearDiscriminantAnalysis(n_components=3).fit(points, labels).transform(points)
    for mine, theirs in zip(found.T, reference.T, strict=True):
        assert abs(np.corrcoef(mine, theirs)[0, 1]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("method", "model"), [("sparse_pca", SparsePCA), ("factor_analysis", FactorAnalysis)])
def test_iterated_methods_are_those_of_scikit_learn(method: str, model: type) -> None:
    points, labels = blobs()
    points /= 10
    found = fit_projection(method, points, labels, 2, generator())(points)
    iterations = {"sparse_pca": 100, "factor_analysis": 200}[method]
    reference = model(2, max_iter=iterations, random_state=0).fit(points).transform(points)
    for mine, theirs in zip(found.T, reference.T, strict=True):
        assert abs(np.corrcoef(mine, theirs)[0, 1]) > 0.999


def test_random_directions_keep_squared_distances_on_average() -> None:
    points = generator().normal(size=(200, 30))
    rng = np.random.default_rng(1)
    sizes = [(fit_projection("random", points, None, 3, rng)(points) ** 2).sum() / 3 for _ in range(200)]
    expected = ((points - points.mean(0)) ** 2).sum() / 30
    assert np.mean(sizes) == pytest.approx(expected, rel=0.1)


def test_lda_shows_what_variance_hides() -> None:
    """On rows that were not fitted, the plane of LDA tells planted classes, that of PCA does not, and shuffled labels
    are told by neither."""
    points, labels = blobs(1000)
    half = slice(0, 500), slice(500, None)

    def right(method: str, kinds: np.ndarray) -> float:
        plane = fit_projection(method, points[half[0]], kinds[half[0]], 2, generator())(points)
        return float((nearest_mean(plane[half[0]], kinds[half[0]], plane[half[1]]) == kinds[half[1]]).mean())

    assert right("lda", labels) > 0.99
    assert right("pca", labels) < 0.5
    assert right("lda", generator().permutation(labels)) < 0.35


@pytest.mark.parametrize("classes", [1, 2])
def test_lda_of_few_classes_is_filled_up_across_them(classes: int) -> None:
    points, labels = blobs()
    found = fit_projection("lda", points, labels % classes, 3, generator())
    assert np.linalg.matrix_rank(found.directions) == 3
    discriminants = found.directions[:, : classes - 1]
    np.testing.assert_allclose(discriminants.T @ found.directions[:, classes - 1 :], 0, atol=1e-9)


def test_lda_of_states_without_spread_parts_their_means() -> None:
    """A network that is its automaton has one state for each label: nothing varies within."""
    labels = np.arange(60) % 4
    points = generator().normal(size=(4, 8))[labels]
    plane = fit_projection("lda", points, labels, 2, generator())(points)
    assert np.isfinite(plane).all()
    np.testing.assert_array_equal(nearest_mean(plane, labels, plane), labels)


@pytest.mark.parametrize("method", LINEAR)
def test_points_of_one_dimension_or_all_alike_have_a_picture(method: str) -> None:
    for points in (np.arange(20.0)[:, None], np.ones((20, 4))):
        found = fit_projection(method, points, np.arange(20) % 2, 2, generator())
        assert found(points).shape == (20, 2) and np.isfinite(found(points)).all()
        assert 0 <= found.explained(points) <= 1 + 1e-9


@pytest.mark.parametrize("method", LINEAR)
def test_the_same_generator_gives_the_same_projection(method: str) -> None:
    points, labels = blobs()
    one, other = (fit_projection(method, points, labels, 2, generator()).directions for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_tsne_keeps_planted_neighbours_and_is_the_same_again() -> None:
    rng = generator()
    labels = np.arange(90) % 3
    points = rng.normal(size=(3, 12))[labels] * 10 + rng.normal(size=(90, 12))
    plane, again = (tsne(points, 2, generator()) for _ in range(2))
    np.testing.assert_array_equal(plane, again)
    assert (nearest_neighbour(plane[:45], labels[:45], plane[45:]) == labels[45:]).all()
    shuffled = rng.permutation(labels)
    assert (nearest_neighbour(plane[:45], shuffled[:45], plane[45:]) == shuffled[45:]).mean() < 0.7


def test_tsne_of_equal_points_is_finite() -> None:
    assert np.isfinite(tsne(np.ones((12, 3)), 2, generator())).all()


def test_neighbours_and_means_are_those_of_scikit_learn() -> None:
    points, labels = blobs(200)
    shown, asked = points[:100], points[100:]
    told = KNeighborsClassifier(1).fit(shown, labels[:100]).predict(asked)
    np.testing.assert_array_equal(nearest_neighbour(shown, labels[:100], asked), told)
    told = NearestCentroid().fit(shown, labels[:100]).predict(asked)
    np.testing.assert_array_equal(nearest_mean(shown, labels[:100], asked), told)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of pca"):
        fit_projection("umap", np.ones((3, 2)), np.zeros(3), 2, generator())
