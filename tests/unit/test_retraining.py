"""Clean, noisy and retrained networks: what each is, and that a broken one is told to be broken."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun

from mechlab.analyses.retraining import Retraining
from mechlab.core.analysis import Finding
from mechlab.core.errors import ConfigError
from mechlab.models.constructed import Constructed
from mechlab.models.gru import GRU
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.tomita import Tomita

TASK = Tomita(index=3, words=300, val_words=200, test_words=10, max_length=9)


def network(kind: str = "tanh1", noise: float = 0.0, **options) -> Constructed:
    torch.manual_seed(0)
    return Constructed(TASK.blueprint(), kind, noise=noise, **options).eval()


def analyse(trained: Constructed, fresh: Constructed, folder: Path) -> Finding:
    analysis = Retraining(words=200, long_words=200)
    return analysis.run(FakeRun(TASK, trained, fresh), Artifacts(folder), np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["tanh1", "tanh2", "relu2"])
def test_noise_breaks_and_a_network_without_it_is_right(kind: str, tmp_path: Path) -> None:
    found = analyse(network(kind), network(kind, noise=1.0), tmp_path)
    scalars = found.scalars
    assert scalars["clean_accuracy"] == scalars["retrained_accuracy"] == 1 > scalars["noisy_accuracy"] + 0.3
    assert scalars["clean_weighted"] == scalars["retrained_weighted"] == 0 < scalars["noisy_weighted"]
    assert scalars["clean_to_retrained"] == 0 < scalars["clean_to_noisy"] == scalars["noisy_to_retrained"]
    assert all(claim.holds for claim in found.claims.values())
    assert found.claims["restored"].null == scalars["noisy_accuracy"]
    (figure,) = Retraining().figures(Artifacts(tmp_path)).values()
    assert len(figure.axes) == 3


def test_what_training_leaves_broken_is_not_restored(tmp_path: Path) -> None:
    broken = network(noise=1.0)
    found = analyse(copy.deepcopy(broken), broken, tmp_path)
    assert found.claims["clean_is_right"].holds and not found.claims["restored"].holds
    assert found.scalars["noisy_to_retrained"] == 0


def test_a_saturation_that_is_too_small_is_not_right(tmp_path: Path) -> None:
    broken = network(saturation=1.5)
    assert not analyse(broken, broken, tmp_path).claims["clean_is_right"].holds


def test_the_distance_of_noise_is_its_size(tmp_path: Path) -> None:
    fresh = network(noise=0.5)
    found = analyse(network(), fresh, tmp_path).scalars
    layer = fresh.layers[0]
    numbers = sum(parameter.numel() for parameter in (*layer.parameters(), fresh.readout.weight))
    assert found["clean_to_noisy"] == pytest.approx(0.5 * numbers**0.5, rel=0.1)


@pytest.mark.parametrize("kind", ["tanh1", "relu2"])
def test_the_clean_network_is_the_construction_whatever_was_trained(kind: str) -> None:
    noisy = network(kind, noise=1.0)
    with torch.no_grad():
        noisy.readout.bias.add_(3)
    before = torch.get_rng_state()
    clean = noisy.clean()
    assert torch.equal(before, torch.get_rng_state())
    expected = network(kind).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in clean.state_dict().items())
    assert noisy.double().clean().readout.weight.dtype == torch.float64


def test_other_models_are_refused() -> None:
    analysis = Retraining()
    analysis.check("retraining", "tomita", TASK, "analysis.retraining", Constructed)
    with pytest.raises(ConfigError, match="model=constructed"):
        analysis.check("retraining", "tomita", TASK, "analysis.retraining", GRU)
