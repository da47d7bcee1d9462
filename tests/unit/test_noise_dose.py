"""Noise in the weights of a network: how large it is, what it leaves alone, and what is found without a proof."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from planted_networks import Planted

from mechlab.analyses.noise_dose import NoiseDose, with_noise
from mechlab.automata import named
from mechlab.core.analysis import Finding
from mechlab.models.constructed import Constructed
from mechlab.models.rnn import RNN
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.tomita import Tomita

TASK = Tomita(index=3, words=300, val_words=200, test_words=10, max_length=9)


def test_noise_has_the_dose_as_its_standard_deviation_and_is_independent() -> None:
    """The standard error of the standard deviation of n normal numbers is 1 / sqrt(2 n) of it."""
    model, dose = RNN(TASK.blueprint(), hidden=120), 0.3
    noisy = with_noise(model, dose, 5)
    pairs = zip(noisy.parameters(), model.parameters(), strict=True)
    parts = [(one - other).detach().flatten().double() / dose for one, other in pairs]
    noise = torch.cat(parts)
    n = len(noise)
    assert n > 10_000
    assert abs(noise.std() - 1) < 5 / (2 * n) ** 0.5 and abs(noise.mean()) < 5 / n**0.5
    large = [part for part in parts if len(part) >= 100]
    assert all(abs(part.std() - 1) < 5 / (2 * len(part)) ** 0.5 for part in large) and len(large) >= 2
    assert abs((noise[1:] * noise[:-1]).mean()) < 5 / n**0.5
    assert len(noise.unique()) > 0.99 * n


def test_the_original_and_frozen_parameters_stay_and_the_seed_decides() -> None:
    model = RNN(TASK.blueprint(), hidden=4)
    frozen = next(iter(dict(model.named_parameters())))
    model.get_parameter(frozen).requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    one, same, other = (dict(with_noise(model, 0.5, seed).named_parameters()) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for name, value in one.items():
        assert torch.equal(value, same[name])
        assert torch.equal(value, before[name]) == torch.equal(value, other[name]) == (name == frozen)
        assert value.requires_grad == (name != frozen)
    assert all(torch.equal(value, before[name]) for name, value in with_noise(model, 0.0, 3).named_parameters())


def found_of(network: torch.nn.Module, folder: Path) -> tuple[Finding, Artifacts]:
    out, analysis = (
        Artifacts(folder),
        NoiseDose(doses=(0.01, 3.0), repeats=2, words=200, evaluation_words=200, n_init=2),
    )
    return analysis.run(FakeRun(TASK, network, network), out, np.random.default_rng(0)), out


def test_a_network_that_is_not_constructed_has_its_own_weights_disturbed_and_no_margin(tmp_path: Path) -> None:
    """One whose states are the automaton's is right with little noise, and wrong with much."""
    network = Planted(TASK.spec, named("tomita3"))
    weights = network.moves.detach().clone()
    found, out = found_of(network, tmp_path)
    assert torch.equal(network.moves, weights)
    assert "margin" not in found.scalars and set(found.claims) == {"clean"} and found.claims["clean"].holds
    assert found.scalars["clean_accuracy"] == 1 and found.scalars["tolerated"] == 0.01
    assert found.scalars["last_accuracy"] < 0.5 and 0.01 < found.scalars["half"] < 3
    table = out.table("doses")
    assert table["noise"].tolist() == [0.0, 0.01, 0.01, 3.0, 3.0]


@pytest.mark.parametrize("saturation", [None, 0.1])
def test_a_constructed_network_has_a_margin_0_where_nothing_is_proved(saturation: float | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    found, _ = found_of(Constructed(TASK.blueprint(), saturation=saturation).eval(), tmp_path)
    assert found.claims["proved"].holds == (found.scalars["margin"] > 0) == (saturation is None)
    assert saturation is None or found.scalars["margin"] == 0
