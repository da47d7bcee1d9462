"""The spectrum over training: planted beginnings and ends, and curves in TensorBoard while a network is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fake_run import FakeTraining
from scipy.stats import ortho_group
from small_tasks import small_recipe, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mechlab.analyses.binding.spectrum_over_training import SpectrumOverTraining
from mechlab.core.analysis import Finding
from mechlab.core.curriculum import Curriculum
from mechlab.core.errors import ConfigError, NotRecorded
from mechlab.models.rnn import RNN
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.repeat_copy import RepeatCopy
from mechlab.training.callbacks import AnalysisCallback

TASK = RepeatCopy(d=2, s=3)


def network(scale: float, turned: float = 0.0) -> RNN:
    """A network with the theoretical spectrum, scaled, and its angles changed by so much."""
    phi = TASK.ground_truth().matrix
    values, vectors = np.linalg.eig(phi)
    turn = np.exp(1j * turned * np.sign(values.imag * (np.abs(values.imag) > 1e-9)))
    moved = (vectors * (values * turn) @ np.linalg.inv(vectors)).real
    rotation = ortho_group.rvs(12, random_state=0)[:, : len(phi)]
    model = RNN(TASK.spec, hidden=12).double()
    with torch.no_grad():
        model.layers[0].weight_hh_l0.copy_(torch.tensor(scale * rotation @ moved @ rotation.T))
    return model.eval()


class DoubleTraining(FakeTraining):
    """A training in double precision."""

    def evaluation(self, split: str, n: int | None = None):
        batch = super().evaluation(split, n)
        return replace(batch, inputs=batch.inputs.double(), targets=batch.targets.double())


RECIPE = SimpleNamespace(stages=((0, 1), (64, 2)), curriculum=Curriculum())
GROWING = {0: network(0.3), 10: network(0.7), 100: network(0.95), 1000: network(1.05)}


def analyse(models: dict[int, RNN], folder: Path, moment: Any = "last", **options) -> Finding:
    torch.manual_seed(0)
    fresh = RNN(TASK.spec, hidden=12).eval()
    run = DoubleTraining(TASK, models[max(models)], fresh, models=models, moment=moment, recipe=RECIPE)
    return SpectrumOverTraining(**options).run(run, Artifacts(folder), np.random.default_rng(0))


def test_growing_eigenvalues_are_born_where_they_persist(tmp_path: Path) -> None:
    found = analyse(GROWING, tmp_path)
    assert found.scalars["born"] == found.scalars["rank"] == 6 and found.claims["born"].holds
    assert found.scalars["first_birth"] == found.scalars["last_birth"] == 100
    assert found.claims["born"].null < 6
    table = Artifacts(tmp_path).table("births")
    assert table["birth"].tolist() == [100] * 4 and table["eigenvalues"].tolist() == [1, 1, 2, 2]
    assert np.degrees(table["theory_angle"]).round().tolist() == [0, 0, 120, 120]
    training = Artifacts(tmp_path).table("training")
    assert training["born"].tolist() == [0, 0, 6, 6]
    assert table["loss"].iloc[0] == training["loss"].iloc[2]
    moduli = Artifacts(tmp_path).table("paths").query("pair == 3")["modulus"]
    np.testing.assert_allclose(moduli, [0.3, 0.7, 0.95, 1.05])
    assert found.scalars["modulus_at_120"] == pytest.approx(1.05)
    assert found.scalars["angle_at_120"] == pytest.approx(np.radians(120))
    assert sorted(SpectrumOverTraining().figures(Artifacts(tmp_path))) == ["births", "paths"]


@pytest.mark.ci
@pytest.mark.parametrize(
    ("models", "born"),
    [
        ({**GROWING, 2000: network(0.5)}, 0),  # they die
        ({0: network(0.3), 100: network(0.8)}, 0),  # they never persist
        ({0: network(0.3), 100: network(1.0, turned=0.2)}, 2),  # the pairs are at other angles
        ({0: RNN(TASK.spec, hidden=12).double().eval()}, 0),
    ],
)
def test_what_does_not_stay_at_its_angle_is_not_born(models: dict[int, RNN], born: int, tmp_path: Path) -> None:
    found = analyse(models, tmp_path)
    assert found.scalars["born"] == born and not found.claims["born"].holds
    assert ("first_birth" in found.scalars) == bool(born)
    assert len(SpectrumOverTraining().figures(Artifacts(tmp_path))) == 2


def test_no_step_after_the_moment_counts(tmp_path: Path) -> None:
    assert analyse(GROWING, tmp_path, moment=10).scalars["born"] == 0
    assert Artifacts(tmp_path).table("training")["step"].tolist() == [0, 10]
    with pytest.raises(NotRecorded, match="history=sparse"):
        analyse({5: network(1.0)}, tmp_path, moment=2)
    with pytest.raises(ConfigError, match="the step at which they end"):
        analyse(GROWING, tmp_path, moment="best")


def test_frames_and_tracked_eigenvalues_are_bounded(tmp_path: Path) -> None:
    found = analyse(dict.fromkeys(range(0, 90, 3), network(1.0)), tmp_path, frames=4, tracked=1)
    assert found.scalars["steps"] == 4
    assert [name for name in found.scalars if "_at_" in name] == ["modulus_at_0", "angle_at_0"]
    assert not [name for name in analyse(GROWING, tmp_path, tracked=0).scalars if name.startswith("modulus_at")]


def test_paths_are_curves_in_tensorboard_while_a_network_is_trained(tmp_path: Path) -> None:
    recipe = small_recipe(RepeatCopy(d=1, s=3), steps=12)
    callback = AnalysisCallback(SpectrumOverTraining(examples=5), "recorded")
    run = train(tmp_path, recipe, kind="sparse", callbacks={"paths": callback})
    read = EventAccumulator(str(tmp_path / "tb"), size_guidance={"scalars": 0, "images": 0}).Reload()
    tags = [tag.removeprefix("~") for tag in read.Tags()["scalars"] if "paths/" in tag]
    assert {"paths/born", "paths/modulus_at_0", "paths/angle_at_120", "paths/modulus_at_120"} <= set(tags)
    curve = [(event.step, event.value) for event in read.Scalars("~paths/modulus_at_120")]
    assert [step for step, _ in curve] == run.history.steps
    afterwards = SpectrumOverTraining(examples=5).run(run, Artifacts(tmp_path / "out"), np.random.default_rng(0))
    assert curve[-1][1] == pytest.approx(afterwards.scalars["modulus_at_120"], rel=1e-5)
    assert {tag.rpartition("/")[2] for tag in read.Tags()["images"] if "paths" in tag} == {"paths", "births"}
