"""Eigenvalues as paths: matrices that move along known curves, brute force, and what must not be joined or born."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.binding.companion import cycle_roots
from mechlab.binding.paths import (
    births,
    eigenvalue_paths,
    fall_at_births,
    is_present,
    labelled_paths,
    partners,
    upper_half,
)
from mechlab.binding.spectrum import compare

few = settings(max_examples=20)
seeds = st.integers(0, 10**6)


def curves(steps: int) -> np.ndarray:
    """Two conjugate pairs whose curves cross, at different times, and two real eigenvalues: one passes where the other
    has been. (steps, 6)"""
    t = np.linspace(0, 1, steps)
    turning, growing = (0.4 + 0.7 * t) * np.exp(1j * (0.3 + 1.2 * t)), (1.1 - 0.8 * t) * np.exp(1.0j + 0 * t)
    first, second = -0.2 - 0.5 * t, -0.6 - 0.6 * t
    return np.stack([turning, turning.conj(), growing, growing.conj(), first + 0j, second + 0j], 1)


def matrices(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Real matrices (steps, 6, 6) with these eigenvalues in a random basis."""
    basis = rng.standard_normal((6, 6))
    blocks = np.zeros((len(values), 6, 6))
    for k in (0, 2):
        blocks[:, k, k] = blocks[:, k + 1, k + 1] = values[:, k].real
        blocks[:, k, k + 1], blocks[:, k + 1, k] = -values[:, k].imag, values[:, k].imag
    for k in (4, 5):
        blocks[:, k, k] = values[:, k].real
    return basis @ blocks @ np.linalg.inv(basis)


def test_eigenvalues_of_a_moving_matrix_are_joined_along_their_curves() -> None:
    rng = np.random.default_rng(0)
    truth = curves(400)
    crossings = np.abs(truth[:, None, 0] - truth[None, :, 2]).min()
    assert crossings < 0.005 < np.abs(truth[:, 0] - truth[:, 2]).min()  # the curves cross, at different times
    spectra = np.stack([rng.permutation(values) for values in np.linalg.eigvals(matrices(truth, rng))])
    spectra[-1] = truth[-1]
    np.testing.assert_allclose(eigenvalue_paths(spectra), truth, atol=1e-8)


def test_steps_too_far_apart_join_other_eigenvalues() -> None:
    """The negative control: with the first and the last step alone the nearest are joined, whatever lay between."""
    truth = curves(400)[[0, -1]]
    assert np.abs(eigenvalue_paths(truth) - truth).max() > 0.3


@few
@given(size=st.integers(1, 6), seed=seeds)
def test_each_step_is_joined_by_the_best_of_all_permutations(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    earlier, later = rng.standard_normal((2, size)) + 1j * rng.standard_normal((2, size))
    squares = [(np.abs(later - earlier[list(order)]) ** 2).sum() for order in permutations(range(size))]
    paths = eigenvalue_paths(np.stack([earlier, later]))
    assert (np.abs(np.diff(paths, axis=0)) ** 2).sum() == pytest.approx(min(squares))
    np.testing.assert_array_equal(np.sort_complex(paths[0]), np.sort_complex(earlier))
    np.testing.assert_array_equal(paths[1], later)


@few
@given(seed=seeds)
def test_order_within_a_step_is_irrelevant(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spectra = rng.standard_normal((5, 9)) + 1j * rng.standard_normal((5, 9))
    shuffled = np.stack([*(rng.permutation(values) for values in spectra[:-1]), spectra[-1]])
    np.testing.assert_array_equal(eigenvalue_paths(spectra), eigenvalue_paths(shuffled))


def test_paths_have_the_theoretical_eigenvalue_at_which_they_end() -> None:
    """Four growing roots of 1 among decaying ones: each path has its own root, whatever the order, and is born where it
    passes the threshold."""
    theory, rng = cycle_roots(4, 1.0), np.random.default_rng(0)
    moduli = np.linspace(0.51, 1.11, 13)[:, None] - np.array([0, 0.05, 0.1, 0.15])
    noise = 0.2 * np.exp(2j * np.pi * rng.random(5)) * np.ones((13, 1))
    spectra = np.concatenate([moduli * theory * np.exp(0.01j), noise], 1)
    spectra = np.stack([rng.permutation(values) for values in spectra])
    order = rng.permutation(4)
    paths = labelled_paths(spectra, theory[order])
    np.testing.assert_allclose(paths, (moduli * theory * np.exp(0.01j))[:, order])
    present = is_present(paths, theory[order], persistent=0.9)
    expected = np.array([np.flatnonzero(moduli[:, k] > 0.9)[0] for k in range(4)])
    assert births(present).tolist() == expected[order].tolist()
    assert births(is_present(paths, theory[order], angle=0.005)).tolist() == [13] * 4  # none is at the right angle


def test_an_eigenvalue_that_is_missing_displaces_no_other() -> None:
    """One of 24 roots is not learned; a decaying eigenvalue beside another root takes its place, and that root keeps
    its own partner. The best sum of angles over all of them does not decide this."""
    theory, rng = cycle_roots(24, -1.0), np.random.default_rng(0)
    learned = np.append(np.delete(1.1 * theory, 5), 0.6 * theory[8] * np.exp(0.1j))
    learned = learned[rng.permutation(24)]
    rows, columns = partners(learned, theory)
    assert sorted(rows) == sorted(columns) == list(range(24))
    errors = np.abs(np.angle(learned[rows] / theory[columns]))
    assert (errors < 1e-9).sum() == 23 and columns[errors.argmax()] == 5
    displaced = compare(learned, theory)
    assert displaced.angle_error == pytest.approx(errors.mean(), abs=1e-9) and (displaced.angle_errors > 0.1).sum() > 1


@few
@given(size=st.integers(1, 6), seed=seeds)
def test_persistent_eigenvalues_have_the_best_partners_of_all_choices(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    learned = rng.uniform(0.5, 1.3, 8) * np.exp(2j * np.pi * rng.random(8))
    theory = np.exp(2j * np.pi * rng.random(size))
    rows, columns = partners(learned, theory)
    assert len(rows) == len(set(columns)) == size
    assert np.abs(learned[rows]).min() == np.sort(np.abs(learned))[-size]
    first = [(row, column) for row, column in zip(rows, columns, strict=True) if np.abs(learned[row]) > 0.9]
    chosen = [row for row, _ in first]
    cost = sum(np.abs(np.angle(learned[row] / theory[column])) for row, column in first)
    choices = permutations(range(size), len(chosen))
    best = min(np.abs(np.angle(learned[chosen] / theory[list(choice)])).sum() for choice in choices)
    assert cost == pytest.approx(best, abs=1e-7)


def test_a_pair_that_dies_is_not_born() -> None:
    present = np.array([[0, 1, 1], [1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 0, 1]], bool)
    assert births(present).tolist() == [1, 5, 0]


def test_fewer_eigenvalues_than_in_theory_leave_gaps() -> None:
    paths = labelled_paths(np.array([[0.5, 0.0], [1.0, 0.0]]), cycle_roots(4, 1.0))
    assert np.isnan(paths).all(0).sum() == 2
    assert (births(is_present(paths, cycle_roots(4, 1.0))) < 2).sum() == 1


@few
@given(lengths=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1.0, -1.0])), min_size=1, max_size=4))
def test_the_upper_half_has_each_real_eigenvalue_and_one_of_each_pair(lengths: list[tuple[int, float]]) -> None:
    theory = np.concatenate([cycle_roots(*cycle) for cycle in lengths])
    upper = theory[upper_half(theory)]
    real = np.abs(upper.imag) < 1e-9
    assert 2 * len(upper) - real.sum() == len(theory)
    whole = np.concatenate([upper, upper[~real].conj()])
    np.testing.assert_allclose(
        np.sort(np.angle(whole) % (2 * np.pi)), np.sort(np.angle(theory) % (2 * np.pi)), atol=1e-9
    )
    assert (np.diff(np.abs(np.angle(upper))) >= 0).all()


def test_the_loss_falls_at_births_that_cause_it_and_not_at_others() -> None:
    """Each birth divides the loss by e; so does nothing else. Births at other moments fall by the mean of the rest."""
    rng = np.random.default_rng(0)
    when = np.sort(rng.choice(np.arange(1, 60), 12, replace=False))
    log_loss = -np.cumsum(np.bincount(when, minlength=60).astype(float))
    fall, null = fall_at_births(when, np.exp(log_loss))
    assert fall == pytest.approx(1) and null.max() < 0.6 and len(null) == 58
    others = rng.permutation(np.setdiff1d(np.arange(1, 60), when))[:12]
    assert fall_at_births(others, np.exp(log_loss))[0] == pytest.approx(0, abs=1e-9)
    fall, _ = fall_at_births(np.array([0, 60, 5]), np.exp(-np.arange(60.0)))  # of those born between, one
    assert fall == pytest.approx(1)
    with pytest.raises(ValueError, match="a birth after the first"):
        fall_at_births(np.array([0, 60]), np.ones(60))
