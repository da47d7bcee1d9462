"""Fixed points and cycles: planted ones, and those of networks against scipy's root finder from the same starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import root
from small_maps import SPEC, Map, starts

from mechlab.binding.fixed_points import fixed_points
from mechlab.core.errors import ConfigError
from mechlab.models.causal_transformer import CausalTransformer
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.rnn import RNN


def test_the_nine_fixed_points_of_a_cubic_map():
    """Each component of h + (h - h^3) / 4 has the fixed points 0 and -1, 1, with derivatives 5/4 and 1/2."""
    result = fixed_points(Map(lambda h: h + (h - h**3) / 4, 2), starts(2, n=100))
    planted = {(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)}
    assert {tuple(point) for point in result.points.round(6) + 0.0} == planted
    assert result.starts.sum() == 100 and (np.diff(result.starts) <= 0).all() and (result.periods == 1).all()
    for point, multipliers, stable in zip(result.points, result.multipliers, result.stable, strict=True):
        derivatives = np.sort(np.where(np.abs(point) < 0.5, 1.25, 0.5))[::-1]
        np.testing.assert_allclose(multipliers, derivatives, atol=1e-6)
        assert stable == (np.abs(point) > 0.5).all()


def test_the_cycle_of_a_saturating_rotation():
    """h -> tanh(2 R h), R a quarter turn, has the stable cycle (a, a), (-a, a), (-a, -a), (a, -a) with a = tanh(2 a)
    and multiplier (2 (1 - a^2))^4; its other orbits of period 4 are unstable."""
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    a = 1.0
    for _ in range(100):
        a = math.tanh(2 * a)
    given = torch.cat([starts(2), starts(2, n=20, scale=0.02)])  # at the origin F^4 grows sixteenfold
    result = fixed_points(Map(lambda h: torch.tanh(2 * h @ turn.T), 2), given, period=4)
    stable = result.points[result.stable]
    assert len(stable) == 1  # one cycle, although any of its points may be the result
    np.testing.assert_allclose(np.abs(stable[0]), [a, a], atol=1e-7)
    np.testing.assert_allclose(result.multipliers[result.stable][0], [(2 * (1 - a**2)) ** 4] * 2, rtol=1e-5)
    assert set(result.periods) == {1, 4} and result.periods[result.stable][0] == 4
    assert np.abs(result.points[result.periods == 1]).max() < 1e-6


def test_the_two_cycle_of_the_logistic_map():
    """At r = 3.2 its multiplier is 4 + 2 r - r^2 = 0.16, and the fixed points are unstable."""
    r = 3.2
    result = fixed_points(Map(lambda h: r * h * (1 - h), 1), torch.rand(40, 1, dtype=torch.float64), period=2)
    cycle = result.periods == 2
    assert cycle.sum() == 1 and result.stable.tolist() == cycle.tolist()
    np.testing.assert_allclose(result.multipliers[cycle], [[0.16]], atol=1e-6)
    ends = np.sort([((r + 1) - s * math.sqrt((r - 3) * (r + 1))) / (2 * r) for s in (1, -1)])
    assert np.abs(ends - result.points[cycle]).min() < 1e-7
    np.testing.assert_allclose(np.sort(result.points[~cycle].ravel()), [0, 1 - 1 / r], atol=1e-7)


@pytest.mark.parametrize("model, period", [(RNN, 1), (RNN, 2), (GRU, 1), (LSTM, 1)])
def test_networks_have_the_solutions_of_an_independent_root_finder(model, period):
    """Every solution of scipy's hybrid method is among ours, each of ours is one, and their spectra are those of
    torch's own Jacobian."""
    torch.manual_seed(3)
    network = model(SPEC, hidden=3, bias=True).double()
    with torch.no_grad():
        network.layers[0].weight_hh_l0.mul_(4 if model is RNN else 2)
    size = network.initial_state(1).shape[1]
    given, x = starts(size, n=20, scale=0.7), torch.tensor([0.2, -0.1], dtype=torch.float64)

    def change(state):
        after = torch.tensor(state)[None]
        for _ in range(period):
            after = network.step(x[None], after)[1]
        return after[0].detach().numpy() - state

    answers = [root(change, start, tol=1e-10) for start in given.numpy()]
    reference = [answer.x for answer in answers if answer.success and np.abs(answer.x).max() < 2]  # gates saturate
    result = fixed_points(network, given, period, x)
    assert reference and np.abs([change(point) for point in result.points]).max() < 1e-7
    orbits = [*result.points]
    for point in result.points:
        orbits += [point + change(point), network.step(x[None], torch.tensor(point)[None])[1][0].detach().numpy()]
    for solution in reference:
        assert np.linalg.norm(np.array(orbits) - solution, axis=1).min() < 1e-5
    for point, multipliers in zip(result.points, result.multipliers, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda h: _iterated(network, x, h, period), torch.tensor(point))
        expected = np.sort(np.abs(np.linalg.eigvals(jacobian.numpy())))[::-1]
        np.testing.assert_allclose(np.abs(multipliers), expected, atol=1e-7)


def _iterated(network, x, h, period):
    for _ in range(period):
        h = network.step(x[None], h[None])[1][0]
    return h


def test_a_map_without_fixed_points_has_none():
    """The control: h + 1 + h^2 never equals h; the descent ends in the least of q, which is no solution."""
    result = fixed_points(Map(lambda h: h + 1 + h**2, 2), starts(2))
    assert len(result.points) == 0 and result.multipliers.shape == (0, 2) and result.stable.shape == (0,)


def test_a_cache_of_inputs_is_refused():
    with pytest.raises(ConfigError, match="cache of inputs"):
        fixed_points(CausalTransformer(SPEC, width=8), torch.zeros(1, 13))
