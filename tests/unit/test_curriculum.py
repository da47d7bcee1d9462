"""Curricula: data of recorded lengths, promotion on held-out examples, and the same data for whoever reads the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from small_tasks import small_recipe

from mechlab.core.curriculum import BLOCK, Curriculum, length_at
from mechlab.core.errors import ConfigError, ReplayDiffers, RunError
from mechlab.core.evaluation import evaluate
from mechlab.core.recipe import Recipe
from mechlab.core.schedule import Schedule
from mechlab.kernels.trajectory import Trajectory
from mechlab.models.rnn import RNN
from mechlab.record.digests import write_digests
from mechlab.record.recorder import Recorder
from mechlab.record.replay import verify
from mechlab.record.run import Run
from mechlab.record.stages import read_stages
from mechlab.tasks.repeat_copy import RepeatCopy
from mechlab.training import fit as fit_module
from mechlab.training import mend
from mechlab.training.fit import FitSettings, fit

TASK = RepeatCopy(d=1, s=2, repeats=6)
EVERY_BOUNDARY = Curriculum(lengths=(1, 2, 4), accuracy=0.0)


def growing(curriculum: Curriculum, steps: int = 160, **options) -> Recipe:
    options = {"steps_per_epoch": 50, "batch_size": 4, "clip": None, "schedule": Schedule()} | options
    recipe = small_recipe(TASK, "adam", steps=steps, curriculum=curriculum, **options)
    return replace(recipe, make_model=partial(RNN, hidden=6))


def train(folder: Path, recipe: Recipe, kind: str = "sparse", steps: Iterable[int] | None = None) -> Run:
    recorder = Recorder(folder / "history", kind, recipe, 6, steps=steps)
    fit(folder, recipe, recorder, FitSettings(chunk=48, log_every=50, checkpoint_every=32), {})
    return Run(folder, lambda: recipe)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Return a run, opened anew, that was promoted at each boundary; by the kind of its history."""
    folders: dict[str, Path] = {}

    def get(kind: str) -> Run:
        recipe = growing(EVERY_BOUNDARY, dtype=torch.float64)
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            train(folders[kind], recipe, kind)
        return Run(folders[kind], lambda: recipe)

    return get


def test_the_batches_of_a_step_have_the_length_of_its_stage():
    """The reference draws each block of steps from the task built at that length."""
    recipe = growing(EVERY_BOUNDARY)
    stages = [(0, 1), (2 * BLOCK, 4)]
    source = recipe.source(stages=stages)
    for block, length in ((0, 1), (1, 1), (2, 4), (5, 4)):
        rng = recipe.streams.torch("data", block)
        drawn = RepeatCopy(d=1, s=2, repeats=length).generate(BLOCK * 4, "train", rng).cropped()
        for position in (0, 63):
            batch = source.batch(block * BLOCK + position)
            rows = slice(4 * position, 4 * position + 4)
            assert torch.equal(batch.inputs, drawn.inputs[rows]) and torch.equal(batch.targets, drawn.targets[rows])
            first = 4 * (block * BLOCK + position)
            assert batch.index.tolist() == list(range(first, first + 4))
    assert [length_at(stages, step) for step in (0, 127, 128, 10**6)] == [1, 1, 4, 4]


def test_evaluation_splits_have_the_length_of_the_task_itself():
    plain, grown = growing(Curriculum()).source(), growing(EVERY_BOUNDARY).source()
    for split in ("val", "test"):
        assert torch.equal(plain.evaluation(split).inputs, grown.evaluation(split).inputs)
    assert not torch.equal(grown.held_out(6, 50).inputs, grown.evaluation("val", 50).inputs)
    assert torch.equal(grown.held_out(2, 50).inputs, growing(EVERY_BOUNDARY).source().held_out(2, 50).inputs)


def test_a_curriculum_of_steps_is_known_before_training(tmp_path):
    recipe = growing(Curriculum(lengths=(1, 3), steps=(0, 128)))
    assert recipe.source().stages == [(0, 1), (128, 3)]
    run = train(tmp_path, recipe, "full")
    lengths = run.metrics.dropna(subset="train/length").set_index("step")["train/length"]
    assert lengths.to_dict() == {50: 1, 100: 1, 150: 3, 160: 3}
    assert verify(run, steps=160).differs_at is None


@pytest.mark.parametrize("steps", [(0,), (64, 128), (0, 100), (0, 0), (128, 0), ()])
def test_steps_that_are_no_stages_are_refused(steps):
    with pytest.raises(ConfigError, match="multiples of 64"):
        Curriculum(lengths=(1, 2), steps=steps)


def test_training_goes_on_to_longer_data_once_it_has_learned_the_present_ones(tmp_path):
    """At each boundary the accuracy on held-out examples of the present length is computed anew, in an own loop."""
    curriculum = Curriculum(lengths=(1, 2, 6), accuracy=0.95, patience=2, examples=100)
    recipe = growing(curriculum, steps=900, batch_size=16, schedule=Schedule("table", factors=(0.02,)))
    run = train(tmp_path, recipe, steps=range(0, 900, BLOCK))
    stages = read_stages(tmp_path / "history")
    assert [length for _, length in stages] == [1, 2, 6] and len({first for first, _ in stages}) == 3
    expected, passed = [(0, 1)], 0
    for step in range(BLOCK, 900, BLOCK):
        if len(expected) == 3:
            break
        task = TASK.at_length(expected[-1][1])
        examples = task.generate(100, "val", recipe.streams.torch("curriculum", expected[-1][1]))
        accuracy = evaluate(run.at(step).model(), task, examples)["accuracy"]
        passed = passed + 1 if accuracy >= 0.95 else 0
        if passed == 2:
            expected, passed = [*expected, (step, curriculum.lengths[len(expected)])], 0
    assert stages == expected and stages[1][0] > 2 * BLOCK  # it took more than the first chance


def test_without_learning_there_is_no_promotion(tmp_path):
    """The control: an accuracy that guessing does not reach."""
    train(tmp_path, growing(Curriculum(lengths=(1, 2, 6), accuracy=1.0), schedule=Schedule("table", factors=(0.02,))))
    assert read_stages(tmp_path / "history") == [(0, 1)]


class Killed(Exception):
    pass


@pytest.mark.parametrize(("kind", "saves"), [("replay", 2), ("none", 4)])
def test_an_interrupted_run_ends_as_the_uninterrupted_one(tmp_path, monkeypatch, kind, saves):
    """Killed after its n-th checkpoint; those at steps 64 and 128 lie on the boundary of a promotion."""
    curriculum = Curriculum(lengths=(1, 2, 4), accuracy=0.5, patience=2)
    whole = train(tmp_path / "whole", growing(curriculum), kind)
    original, count = fit_module.Checkpoints.save, [0]

    def save(checkpoints, *arguments):
        original(checkpoints, *arguments)
        count[0] += 1
        if count[0] == saves:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(fit_module.Checkpoints, "save", save)
        with pytest.raises(Killed):
            train(tmp_path / "broken", growing(curriculum), kind)
    resumed = train(tmp_path / "broken", growing(curriculum), kind)
    assert read_stages(tmp_path / "broken" / "history") == read_stages(tmp_path / "whole" / "history")
    assert len(read_stages(tmp_path / "whole" / "history")) > 1
    for name, value in whole.model().state_dict().items():
        assert torch.equal(value, resumed.model().state_dict()[name]), name
    assert (tmp_path / "whole" / "metrics.csv").read_text() == (tmp_path / "broken" / "metrics.csv").read_text()


@pytest.mark.parametrize("kind", ["full", "replay"])
def test_verification_replay_and_attribution_go_across_promotions(grown, kind):
    run = grown(kind)
    assert read_stages(run.folder / "history") == [(0, 1), (64, 2), (128, 4)]
    assert run.recipe.stages == ((0, 1), (64, 2), (128, 4))
    verdict = verify(run, steps=160)
    assert verdict.differs_at is None and verdict.compared[-1] == 160
    assert len(run.history.params(140)) == len(run.history.params(0))  # between stored states with replay
    trajectory = Trajectory.of_run(run)
    trajectory.check_updates()
    assert [trajectory.step(step).batch.targets.shape[1] for step in (63, 64, 127, 128)] == [2, 4, 4, 8]


def test_with_other_stages_it_is_another_training(grown):
    """The control of the test above: the present length matters from the first promotion on."""
    run = grown("full")
    run.__dict__["recipe"] = replace(run.recipe, stages=((0, 1), (128, 4)))
    assert verify(run, steps=160).differs_at == 65
    replayed = grown("replay")
    replayed.__dict__["recipe"] = replace(replayed.recipe, stages=((0, 1),))
    assert replayed.history.params(40)
    with pytest.raises(ReplayDiffers):
        replayed.history.params(67)


def test_lost_stages_are_restored_from_the_checkpoint_or_named(tmp_path):
    recipe = growing(EVERY_BOUNDARY)
    train(tmp_path, recipe)
    (tmp_path / "provenance").mkdir()
    write_digests(tmp_path, 160, 1.0)
    path = tmp_path / "history" / "stages.json"
    before = path.read_bytes()
    recorder = Recorder(tmp_path / "history", "sparse", recipe, 6)
    for damage in (path.unlink, lambda: path.write_text("{")):
        damage()
        with pytest.raises(RunError):
            _ = Run(tmp_path, lambda: recipe).recipe
        mend.restore(Run(tmp_path, lambda: recipe), recorder, "cpu", 1)
        assert path.read_bytes() == before
    path.unlink()
    for checkpoint in tmp_path.glob("checkpoints/*.ckpt"):
        checkpoint.unlink()
    with pytest.raises(RunError, match="stages of a curriculum must be recorded"):
        mend.restore(Run(tmp_path, lambda: recipe), recorder, "cpu", 1)
