"""Networks that run by themselves: horizon curves against a plain pass, and planted mechanisms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from figure_checks import check_figure
from scipy.linalg import expm
from scipy.stats import ortho_group

from mechlab.analyses.binding.dynamics import Dynamics
from mechlab.analyses.binding.long_run import LongRun
from mechlab.binding.attractors import cycles_of, returns
from mechlab.binding.companion import CompanionMatrix
from mechlab.binding.rules import PRESETS, rule_of_id
from mechlab.core.errors import ConfigError
from mechlab.models.causal_transformer import CausalTransformer
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.rnn import RNN
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.phases import Phases
from mechlab.tasks.repeat_copy import RepeatCopy

TASK = LinearBinding(d=2, s=3, cells=[1, 0], signs=[1, -1])  # one cycle of 6 cells with sign -1
CHEAP = {"horizon": 2000, "steps": 100, "transient": 60, "starts": 8, "noise_steps": 40, "sequences": 40}


def planted(task, gain, hidden, turned=0.0, spread=True):
    """A network with the companion matrix, times a gain and turned by random angles, in a subspace of its state: on
    single units, or spread over all of them so that the state is small."""
    rng, truth = np.random.default_rng(0), task.ground_truth()
    cells = len(truth.matrix)
    basis = ortho_group.rvs(hidden, random_state=0)[:, :cells] if spread else np.eye(hidden)[:, :cells]
    skew = rng.standard_normal((cells, cells))
    turn = expm(turned * (skew - skew.T))
    model = RNN(task.spec, hidden=hidden)
    weights = (0.3 * basis[:, -truth.d :], gain * basis @ truth.matrix @ turn @ basis.T, basis[:, -truth.d :].T)
    with torch.no_grad():
        layer = model.layers[0]
        for parameter, value in zip(
            (layer.weight_ih_l0, layer.weight_hh_l0, model.readout.weight), weights, strict=True
        ):
            parameter.copy_(torch.from_numpy(value))
    return model.eval()


def analyse(task, model, folder, **options):
    torch.manual_seed(0)
    run = FakeRun(task, model, RNN(task.spec, hidden=12).eval())
    analysis = Dynamics(**{**CHEAP, **options})
    return analysis, analysis.run(run, Artifacts(folder), np.random.default_rng(0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", [TASK, RepeatCopy(d=2, s=3), Phases(d=4)])
@pytest.mark.parametrize("model", [RNN, GRU, LSTM])
def test_chunks_are_one_pass_over_the_whole_sequence(task, model):
    """Targets, outputs and last states in chunks of 7 steps are those of a pass and of the task's rule at one go."""
    torch.manual_seed(0)
    network = model(task.spec, hidden=6).eval()
    long = LongRun(network, task, 9, generator())
    long.chunk, s = 7, task.ground_truth().s
    accuracy, states = long.accuracy(60)
    inputs = torch.cat([long.given, long.given.new_zeros(9, 60, task.spec.inputs)], 1)
    targets, mask = task.targets(inputs)
    with torch.no_grad():
        trace = network(inputs)
    assert mask[0].nonzero()[0] == s and torch.equal(torch.cat(list(long.targets(60)), 1), targets[:, s:])
    met = ((trace.outputs >= 0) == (targets >= 0)).double().mean(2)[:, s:]
    assert (accuracy - met).abs().mean() < 0.01  # the sign of an output near 0 is rounding
    torch.testing.assert_close(states, trace.states[:, -1], atol=1e-5, rtol=0)
    torch.testing.assert_close(long.after(long.start, 25), trace.states[:, s + 25], atol=1e-5, rtol=0)
    torch.testing.assert_close(long.orbits(long.start, 5), trace.states[:, s : s + 6], atol=1e-5, rtol=0)


@pytest.mark.ci
def test_a_planted_limit_cycle(tmp_path):
    """Units that latch their sign, h -> tanh(1.5 h), shifted along the cycles: contraction, and no error ever."""
    analysis, finding = analyse(TASK, planted(TASK, 1.5, 6, spread=False), tmp_path)
    scalars = finding.scalars
    assert scalars["accuracy_200"] == scalars["accuracy_2000"] == scalars["accuracy_end"] == 1
    a = 1.0
    for _ in range(100):
        a = np.tanh(1.5 * a)
    rate = np.log(1.5 * (1 - a**2))  # of each unit on a cycle
    assert scalars["top_exponent"] == pytest.approx(rate, abs=1e-3)
    assert scalars["floquet_exponent"] == pytest.approx(rate, abs=1e-3)
    assert scalars["period"] == 12 and scalars["periodic"] == 1
    assert scalars["attractors"] == scalars["attractors_theory"] > 3
    assert (
        scalars["cycles"] == scalars["cycles_stable"] > 0 and scalars["fixed_points_stable"] < scalars["fixed_points"]
    )
    assert {slug: claim.holds for slug, claim in finding.claims.items()} == {"limit_cycle": True}
    assert finding.notes == {}
    figures = analysis.figures(Artifacts(tmp_path))
    assert sorted(figures) == ["fixed_points", "floquet", "horizon", "lyapunov", "noise"]
    for figure in figures.values():
        check_figure(figure)


def test_planted_linear_drift(tmp_path):
    """A rotation by slightly wrong angles in a small state: neutral, right for some hundred steps, and lost then."""
    _, finding = analyse(TASK, planted(TASK, 1.002, 40, turned=7e-4), tmp_path)
    scalars = finding.scalars
    assert scalars["accuracy_100"] > 0.95 and scalars["retained"] < 0.6
    assert abs(scalars["top_exponent"]) < 0.005 and scalars["neutral_exponents"] >= TASK.ground_truth().rank
    assert scalars["periodic"] < 0.2
    assert {slug: claim.holds for slug, claim in finding.claims.items()} == {"linear_drift": True}
    table = Artifacts(tmp_path).table("horizon").set_index("horizon")
    assert table["accuracy"].loc[100] == pytest.approx(scalars["accuracy_100"])
    assert (table["recent"].iloc[-5:] <= table["accuracy"].iloc[-5:] + 0.01).all()
    assert (table["accuracy_low"] <= table["accuracy"]).all() and (table["accuracy"] <= table["accuracy_high"]).all()


def test_an_untrained_network_has_no_mechanism(tmp_path):
    """The control: it contracts too, onto the origin, but is at chance from the start."""
    torch.manual_seed(1)
    _, finding = analyse(TASK, RNN(TASK.spec, hidden=12).eval(), tmp_path)
    assert not any(claim.holds for claim in finding.claims.values())
    assert finding.notes["mechanism"] == "Undecided: the network is at chance within the first 100 steps."
    assert finding.scalars["retained"] == 0 and finding.scalars["top_exponent"] < -0.1


def test_a_network_that_grows_without_bound_is_undecided(tmp_path):
    model = RNN(TASK.spec, hidden=6, activation="relu")
    with torch.no_grad():
        model.layers[0].weight_hh_l0.copy_(1e3 * torch.eye(6))
        model.layers[0].weight_ih_l0.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).repeat(3, 1))  # one of two is active
    analysis, finding = analyse(TASK, model.eval(), tmp_path)
    assert finding.claims == {} and "without bound" in finding.notes["mechanism"]
    assert np.isfinite(list(finding.scalars.values())).all()
    assert "lyapunov" not in analysis.figures(Artifacts(tmp_path))


@pytest.mark.ci
def test_a_rule_without_a_period_has_a_horizon_and_exponents(tmp_path):
    """Signs depend on the step, so there is no companion matrix."""
    task = Phases(d=3)
    torch.manual_seed(0)
    analysis, finding = analyse(task, GRU(task.spec, hidden=8).eval(), tmp_path, horizon=200, exponents=3)
    assert {"accuracy_200", "top_exponent", "fixed_points"} <= set(finding.scalars)
    assert "period" not in finding.scalars and "companion matrix" in finding.notes["period"]
    assert Artifacts(tmp_path).arrays("lyapunov")["exponents"].shape[1] == 3
    assert sorted(analysis.figures(Artifacts(tmp_path))) == ["fixed_points", "horizon", "lyapunov", "noise"]


def test_noise_of_no_size_changes_nothing_and_large_noise_leaves_chance():
    long = LongRun(planted(TASK, 1.5, 6, spread=False), TASK, 60, generator())
    accuracy = long.accuracy_with_noise([0.0, 1e-4, 0.3, 30.0], 50, generator(1)).mean(1)
    assert accuracy[0] == accuracy[1] == 1 and accuracy[0] > accuracy[2] > accuracy[3]
    assert accuracy[3] == pytest.approx(0.5, abs=0.05)


def test_orbits_on_one_cycle_at_any_phase_are_one_attractor():
    rng = np.random.default_rng(0)
    cycles = rng.standard_normal((3, 5, 7))  # three cycles of five states
    chosen, phases = rng.integers(0, 3, 20), rng.integers(0, 5, 20)
    orbits = np.stack([np.roll(cycles[k], -phase, 0) for k, phase in zip(chosen, phases, strict=True)])
    noisy = torch.from_numpy(orbits + 1e-4 * rng.standard_normal(orbits.shape))
    labels = cycles_of(noisy)
    assert all((labels[i] == labels[j]) == (chosen[i] == chosen[j]) for i in range(20) for j in range(20))
    assert len(np.unique(cycles_of(torch.from_numpy(rng.standard_normal((20, 5, 7)))))) == 20
    assert cycles_of(noisy[:0]).shape == (0,)
    closed = torch.cat([noisy, noisy[:, :1]], 1)
    assert (returns(closed) == 0).all() and (returns(noisy) > 0.1).all()


@pytest.mark.parametrize("name, period", [("T1", 8), ("T2", 840), ("T3", 48), ("T4", 70)])
def test_periods(name, period):
    """After the period, and not after any of its divisors, all cells on cycles are what they were."""
    system = CompanionMatrix(rule_of_id(*PRESETS[name], s=8, d=8))
    assert system.period == period
    settled = np.linalg.matrix_power(system.matrix, 1680)  # transients have gone
    for steps in (k for k in range(1, period + 1) if period % k == 0):
        returned = np.array_equal(settled @ np.linalg.matrix_power(system.matrix, steps), settled)
        assert returned == (steps == period)


def test_a_rule_that_adds_has_no_period():
    assert CompanionMatrix(np.array([[1.0], [1.0]])).period is None
    assert CompanionMatrix(np.array([[0.5], [0.0]])).period is None


def test_what_makes_no_sense_is_refused():
    task = LinearBinding(d=2, s=3, cycles=(3, -2))
    with pytest.raises(ConfigError, match="jacobian"):
        Dynamics().check("dynamics", "linear_binding", task, "analysis.dynamics", CausalTransformer)
    with pytest.raises(ConfigError, match="at most"):
        Dynamics(trajectories=70).check_recipe("dynamics", FakeRun(task, None, None), "analysis.dynamics")
