"""Projections onto subspaces, and changes of named variables."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.binding.interventions import (
    Coordinates,
    flipped,
    orthogonal_projection,
    patched,
    random_projection,
    spectral_projection,
    swapped,
)


@pytest.mark.parametrize("seed", range(3))
def test_spectral_projections_agree_with_eigenvectors(seed):
    """By the sum of the products of right and left eigenvectors; a conjugate pair stays together."""
    matrix = np.random.default_rng(seed).standard_normal((12, 12))
    values, vectors = np.linalg.eig(matrix)
    order = np.argsort(-np.abs(values))
    dual = np.linalg.inv(vectors)
    for rank in range(1, 13):
        projection = spectral_projection(matrix, rank)
        size = rank + (rank < 12 and np.isclose(abs(values[order[rank - 1]]), abs(values[order[rank]])))
        chosen = order[:size]
        np.testing.assert_allclose(projection, (vectors[:, chosen] @ dual[chosen]).real, atol=1e-8)
        np.testing.assert_allclose(projection @ matrix, matrix @ projection, atol=1e-8)


def test_a_spectral_projection_of_repeated_and_defective_eigenvalues():
    """Where no basis of eigenvectors exists: two Jordan blocks, in a random basis."""
    basis = np.random.default_rng(0).standard_normal((5, 5))
    form = np.diag([2.0, 2.0, 0.5, 0.5, 0.5]) + np.diag([1.0, 0.0, 1.0, 1.0], 1)
    projection = spectral_projection(basis @ form @ np.linalg.inv(basis), 2)
    np.testing.assert_allclose(projection, basis[:, :2] @ np.linalg.inv(basis)[:2], atol=1e-6)


def test_equal_moduli_are_not_divided():
    np.testing.assert_allclose(spectral_projection(np.eye(3), 1), np.eye(3))
    with pytest.raises(ValueError, match="rank must be from 1 to h = 3"):
        spectral_projection(np.eye(3), 4)


def test_orthogonal_and_random_projections():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((7, 3)) @ rng.standard_normal((3, 5))  # of rank 3
    for projection in (orthogonal_projection(vectors), random_projection(7, 3, rng)):
        np.testing.assert_allclose(projection, projection.T, atol=1e-12)
        np.testing.assert_allclose(projection @ projection, projection, atol=1e-12)
        assert np.trace(projection) == pytest.approx(3)
    np.testing.assert_allclose(orthogonal_projection(vectors) @ vectors, vectors, atol=1e-12)
    first, second = random_projection(7, 3, rng), random_projection(7, 3, rng)
    assert np.abs(first - second).max() > 0.1


def test_edits_agree_with_loops():
    rng = np.random.default_rng(0)
    values, which, partners = rng.standard_normal((5, 4)), np.array([2, 0]), np.array([1, 3])
    donors = np.array([4, 0, 1, 2, 3])
    before = values.copy()
    edits = flipped(values, which), swapped(values, which, partners), patched(values, which, donors)
    for v, n in np.ndindex(2, 5):
        flip, swap, patch = (values[n].copy() for _ in range(3))
        flip[which[v]] *= -1
        swap[which[v]], swap[partners[v]] = swap[partners[v]], swap[which[v]]
        patch[which[v]] = values[donors[n], which[v]]
        for edited, expected in zip(edits, (flip, swap, patch), strict=True):
            np.testing.assert_array_equal(edited[v, n], expected)
    np.testing.assert_array_equal(values, before)


def test_measured_coordinates_have_values_of_size_one():
    """Also for variables of different amplitudes, around a centre; a change by a value of 1 changes that value by 1."""
    rng = np.random.default_rng(0)
    psi, centre, sizes = rng.standard_normal((9, 4)), rng.standard_normal(9), np.array([0.1, 1.0, 5.0, 0.0])
    variables = rng.choice([-1.0, 1.0], (20, 4))
    states = centre + (variables * sizes) @ psi.T
    measured = Coordinates.measured(np.linalg.pinv(psi)[:3], psi[:, :3], centre, states)
    np.testing.assert_allclose(measured.values(states), variables[:, :3], atol=1e-9)
    moved = states + np.eye(3)[1] @ measured.basis.T
    np.testing.assert_allclose(measured.values(moved) - measured.values(states), [[0, 1, 0]] * 20, atol=1e-9)
    unused = Coordinates.measured(np.linalg.pinv(psi)[3:], psi[:, 3:], centre, centre[None])
    assert np.isfinite(unused.decode).all()
