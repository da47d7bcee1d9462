"""States over training: planted beginnings and ends, one plane for all, and a moving picture."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_run import FakeTraining
from PIL import Image
from planted_networks import Planted, Scrambled
from small_tasks import small_recipe, train

from mechlab.analyses.states_over_training import StatesOverTraining
from mechlab.clustering.plane import principal_plane
from mechlab.core.analysis import Finding
from mechlab.core.errors import NotRecorded
from mechlab.core.model import SequenceModel
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.tomita import Tomita

TASK = Tomita(index=5, words=300, val_words=200, test_words=10, max_length=9)
PLANTED, SCRAMBLED = Planted(TASK.spec, TASK.ground_truth()).eval(), Scrambled(TASK.spec, width=4).eval()


def analyse(models: dict[int, SequenceModel], folder: Path, moment: Any = "last", **options) -> Finding:
    recipe = SimpleNamespace(steps_per_epoch=50)
    run = FakeTraining(TASK, PLANTED, PLANTED, models=models, moment=moment, recipe=recipe)
    return StatesOverTraining(**{"words": 200, **options}).run(run, Artifacts(folder), np.random.default_rng(0))


def test_noise_that_becomes_the_automaton_is_seen_to(tmp_path: Path) -> None:
    """Only the last of three networks is the automaton: ambiguity falls there, and accuracy rises there."""
    found = analyse({0: SCRAMBLED, 10: SCRAMBLED, 100: PLANTED}, tmp_path)
    table = Artifacts(tmp_path).table("training")
    assert table["step"].tolist() == [0, 10, 100] and table["epoch"].tolist() == [0, 0.2, 2]
    assert table["weighted"].iloc[-1] == table["lda"].iloc[-1] == table["lda_held_out"].iloc[-1] == 0
    assert table["weighted"].iloc[0] > 0.5 and table["lda_held_out"].iloc[0] > 0.5
    assert table["accuracy"].iloc[-1] == 1 > table["accuracy"].iloc[0] + 0.2
    assert found.scalars["weighted_first"] == table["weighted"].iloc[0]
    assert found.claims["halved"].holds


@pytest.mark.parametrize("models", [{0: PLANTED, 9: SCRAMBLED}, {0: SCRAMBLED, 9: SCRAMBLED}, {0: PLANTED}])
def test_what_does_not_fall_is_not_claimed_to(models: dict[int, SequenceModel], tmp_path: Path) -> None:
    assert not analyse(models, tmp_path).claims["halved"].holds


def test_all_steps_are_seen_in_the_plane_of_the_last(tmp_path: Path) -> None:
    analyse({0: Planted(TASK.spec, TASK.ground_truth()), 5: PLANTED}, tmp_path)
    saved = Artifacts(tmp_path).arrays("states")
    np.testing.assert_array_equal(saved["planes"][0], saved["planes"][1])  # equal states have equal places
    plane, _ = principal_plane(saved["planes"][1].astype(float))
    assert np.abs(np.abs(plane) - np.abs(saved["planes"][1])).max() < 0.2  # it is the one of most variance, up to rows


def test_the_plane_of_all_steps_tells_beginning_from_end(tmp_path: Path) -> None:
    analyse({0: SCRAMBLED, 7: SCRAMBLED}, tmp_path, fit="all", reduce="lda")
    planes = Artifacts(tmp_path).arrays("states")["planes"]
    np.testing.assert_array_equal(planes[0], planes[1])


def test_frames_are_few_and_none_is_after_the_moment(tmp_path: Path) -> None:
    models = dict.fromkeys(range(0, 200, 3), PLANTED)
    analyse(models, tmp_path, frames=4)
    steps = Artifacts(tmp_path).table("training")["step"].tolist()
    assert len(steps) == 4 and steps[0] == 0 and steps[-1] == 198
    analyse(models, tmp_path, frames=4, moment=30)
    assert Artifacts(tmp_path).table("training")["step"].max() == 30
    with pytest.raises(NotRecorded, match="history=sparse"):
        analyse({}, tmp_path)


@pytest.mark.ci
def test_the_moving_picture_has_a_frame_for_each_step_and_the_same_bytes_again(tmp_path: Path) -> None:
    analyse({0: SCRAMBLED, 1: PLANTED, 10: SCRAMBLED, 60: PLANTED}, tmp_path)
    one, other = (StatesOverTraining().animations(Artifacts(tmp_path))["states"] for _ in range(2))
    assert one == other and len(one) < 300_000
    picture, frames = Image.open(io.BytesIO(one)), []
    for number in range(picture.n_frames):
        picture.seek(number)
        frames.append(np.asarray(picture.convert("RGB")).astype(int))
    assert len(frames) == 4
    assert all((np.abs(a - b) > 40).any() for a, b in itertools.pairwise(frames))
    assert picture.info["loop"] == 0 and picture.info["duration"] == 2000


def test_a_recorded_run_is_followed_from_its_first_step(tmp_path: Path) -> None:
    recipe = small_recipe(TASK, steps=12)
    run = train(tmp_path / "run", recipe, kind="sparse")
    found = StatesOverTraining(words=50).run(run, Artifacts(tmp_path), np.random.default_rng(0))
    table = Artifacts(tmp_path).table("training")
    assert table["step"].tolist() == run.history.steps and table["epoch"].iloc[-1] == 12 / 11
    assert found.scalars["accuracy"] == table["accuracy"].iloc[-1]
    assert sorted(StatesOverTraining().figures(Artifacts(tmp_path))) == ["frames", "scores"]
