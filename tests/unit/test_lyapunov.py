"""Lyapunov exponents and Floquet multipliers of maps for which they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_maps import Map, starts

from mechlab.binding.fixed_points import fixed_points
from mechlab.binding.lyapunov import floquet_multipliers, lyapunov_exponents


def generator():
    return torch.Generator().manual_seed(0)


def linear(moduli, seed=0):
    """A linear map whose matrix is not normal, with real eigenvalues of these moduli, and a pair of the last one."""
    rng = np.random.default_rng(seed)
    blocks = np.diag(np.append(moduli, moduli[-1]).astype(float))
    turn = moduli[-1] * np.array([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
    blocks[-2:, -2:] = turn
    basis = rng.standard_normal(blocks.shape) + 2 * np.eye(len(blocks))
    matrix = torch.from_numpy(basis @ blocks @ np.linalg.inv(basis))
    return Map(lambda h: h @ matrix.T.to(h), len(blocks)), matrix.numpy()


def test_exponents_of_a_linear_map_are_the_logarithms_of_the_moduli():
    moduli = [1.4, -1.1, 0.7, 0.2]
    model, _ = linear(moduli)
    expected = np.log(np.abs([*moduli, moduli[-1]]))
    result = lyapunov_exponents(model, starts(5, n=3) * 1e-6, 40, 5, generator())
    np.testing.assert_allclose(result, np.tile(expected, (3, 1)), atol=0.02)
    leading = lyapunov_exponents(model, starts(5, n=3) * 1e-6, 40, 2, generator(), every=1)
    np.testing.assert_allclose(leading, result[:, :2], atol=1e-9)


def test_exponents_of_the_henon_map():
    """Their sum is log 0.3 exactly, the constant determinant, and the largest is 0.419 (Sprott 2003)."""

    def henon(h):
        a, b = h.unbind(-1)
        return torch.stack([1 - 1.4 * a**2 + b, 0.3 * a], -1)

    result = lyapunov_exponents(Map(henon, 2), 0.1 * torch.rand(60, 2, generator=generator()), 240, 2, generator())
    np.testing.assert_allclose(result.sum(1), math.log(0.3), atol=1e-9)
    assert result[:, 0].mean() == pytest.approx(0.419, abs=0.03)


def test_a_stable_cycle_has_a_negative_exponent_and_its_multiplier():
    """The two-cycle of the logistic map at r = 3.2 has the multiplier 0.16, so the exponent log(0.16) / 2."""
    model, r = Map(lambda h: 3.2 * h * (1 - h), 1), 3.2
    state = torch.full((1, 1), ((r + 1) - math.sqrt((r - 3) * (r + 1))) / (2 * r), dtype=torch.float64)
    assert lyapunov_exponents(model, state, 40, 1, generator())[0, 0] == pytest.approx(math.log(0.16) / 2, abs=1e-6)
    logarithms, angles = floquet_multipliers(model, state, 2)
    assert logarithms[0, 0] == pytest.approx(math.log(0.16), abs=1e-9) and abs(angles[0, 0]) < 1e-12


@pytest.mark.parametrize("period", [1, 7, 240])
def test_multipliers_over_a_long_period_do_not_overflow(period):
    """Of a linear map they are the powers of its eigenvalues; 1e300 is exceeded, and what rounding decides is NaN."""
    moduli = [30.0, -29.0, 0.2]
    model, matrix = linear(moduli)
    logarithms, angles = floquet_multipliers(model, torch.zeros(2, 4), period)
    values = np.linalg.eigvals(matrix)
    values = values[np.argsort(-np.abs(values))]
    known = period * np.log(np.abs(values / values[0])) > math.log(1e-10)
    expected = period * np.log(np.abs(values[known]))
    np.testing.assert_allclose(logarithms[:, known], np.tile(expected, (2, 1)), rtol=1e-6)
    turns = np.exp(1j * period * np.angle(values[known]))
    if known[1:].any():
        np.testing.assert_allclose(np.exp(1j * angles[0, :2]), turns[:2], atol=1e-6)
    assert np.isnan(logarithms[:, ~known]).all() and (period == 1) == known.all()


def test_multipliers_are_those_of_the_fixed_points_of_the_iterated_map():
    """An independent path: the Jacobian of F^p at a solution, as one product."""
    model = Map(lambda h: torch.tanh(2 * h.flip(-1) * h.new_tensor([1.0, -1.0])), 2)
    solutions = fixed_points(model, starts(2), period=4)
    logarithms, angles = floquet_multipliers(model, torch.from_numpy(solutions.points), 4)
    np.testing.assert_allclose(np.exp(logarithms), np.abs(solutions.multipliers), rtol=1e-6)
    assert np.isfinite(angles).all()
