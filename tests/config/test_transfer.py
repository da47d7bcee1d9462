"""Warm starts and transplants: weights by name from a recorded step of another run, and parameters that stay frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from mechlab import load_run
from mechlab.config.choices import config_dir
from mechlab.config.identity import masked
from mechlab.config.launch import register, resolve
from mechlab.core.errors import ConfigError, NotRecorded
from mechlab.jobs.execute import execute
from mechlab.jobs.prepare import Setup, prepare_run
from mechlab.kernels.trajectory import Trajectory
from mechlab.record.replay import verify
from mechlab.record.run import Run
from mechlab.training import fit as fit_module

SMALL = (
    "name=modular_addition-mlp",
    "task=modular_addition",
    "model=mlp",
    "task.p=5",
    "task.train_fraction=0.6",
    "model.hidden=6",
    "model.embedding=4",
    "trainer=smoke",
    "trainer.max_steps=12",
    "trainer.checkpoint_every=4",
    "optimizer.weight_decay=0.5",
    "analysis=[]",
)
TAKEN = ["embeddings.0.weight", "embeddings.1.weight", "readout.bias"]
PARTS = "init_parts=['embeddings.*',readout.bias]"


@pytest.fixture(autouse=True, scope="module")
def composing() -> Iterator[None]:
    """Hydra, ready to compose the configuration of `mechlab.train`."""
    register([config_dir()])
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


def setup(root: Path, *overrides: str) -> Setup:
    cfg = hydra.compose("train", overrides=[*SMALL, f"paths.root={root}", *overrides])
    return prepare_run(resolve(cfg), masked(cfg))


def train(root: Path, *overrides: str) -> Run:
    made = setup(root, *overrides)
    execute(made)
    return load_run(made.folder)


@pytest.fixture(scope="module")
def donor(composing, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The other run, of which every step is recorded."""
    return train(tmp_path_factory.mktemp("donor"), "history=replay", "seed=3")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], names: list[str]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in names)


@pytest.mark.parametrize("at", [0, 7, "best", "last"])
def test_training_starts_from_the_moment_that_is_named(donor, tmp_path, at):
    """Of each kind of moment; step 7 is not stored, but computed from the step before it that is."""
    start = setup(tmp_path, f"init_from={donor.folder}", f"init_at={at}").recipe.model().state_dict()
    assert equal(start, donor.at(at).model().state_dict(), list(start))


def test_named_parameters_are_taken_and_all_others_are_those_of_the_seed(donor, tmp_path):
    plain = setup(tmp_path).recipe.model().state_dict()
    start = setup(tmp_path, f"init_from={donor.folder}", "init_at=7", PARTS).recipe.model().state_dict()
    taken = donor.history.params(7)
    others = [name for name in start if name not in TAKEN]
    assert equal(start, taken, TAKEN) and equal(start, plain, others)
    assert not any(torch.equal(plain[name], taken[name]) for name in TAKEN)


def test_frozen_parameters_never_move_and_without_freezing_they_do(donor, tmp_path):
    """Weight decay would move them too; and the others are trained in either case."""
    words = (f"init_from={donor.folder}", "init_at=7", PARTS, "history=full")
    frozen, free = train(tmp_path, *words, "init_freeze=true"), train(tmp_path, *words)
    taken = donor.history.params(7)
    assert all(equal(frozen.history.params(step), taken, TAKEN) for step in range(13))
    end = frozen.model().state_dict()
    assert not any(torch.equal(end[name], frozen.history.params(0)[name]) for name in end if name not in TAKEN)
    assert not any(torch.equal(free.model().state_dict()[name], taken[name]) for name in TAKEN)
    assert not any(name.split("/")[1] in TAKEN for name in frozen.history.optimizer(5))  # nor have they any state


def test_the_first_updates_are_those_of_an_optimizer_that_never_knew_the_frozen_ones(donor, tmp_path):
    """The reference gives torch's optimizer the other parameters alone."""
    run = train(tmp_path, f"init_from={donor.folder}", PARTS, "init_freeze=true", "history=full")
    recipe = run.recipe
    model = recipe.model(run.history.params(0))
    others = [value for name, value in model.named_parameters() if name not in TAKEN]
    optimizer, source = recipe.make_optimizer(others), recipe.source()
    for step in range(12):
        batch = source.batch(step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch.inputs), batch.targets).backward()
        optimizer.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, run.model().state_dict()[name])


def interrupted(root: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> None:
    class Killed(BaseException):
        pass

    original = fit_module.Checkpoints.save

    def save(checkpoints, *arguments):
        original(checkpoints, *arguments)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(fit_module.Checkpoints, "save", save)
        train(root, *overrides)


@pytest.mark.ci
@pytest.mark.parametrize("history", ["replay", "full"])
def test_resuming_verifying_replaying_and_explaining_agree_without_the_other_run(donor, tmp_path, monkeypatch, history):
    words = (f"init_from={donor.folder}", "init_at=7", PARTS, "init_freeze=true", f"history={history}")
    whole = train(tmp_path / "whole", *words)
    interrupted(tmp_path / "broken", monkeypatch, *words)
    run = train(tmp_path / "broken", *words)
    expected = whole.model().state_dict()
    assert equal(run.model().state_dict(), expected, list(expected))
    monkeypatch.setattr("mechlab.config.transfer._recorded", None)  # nobody asks for the other run again
    run = load_run(run.folder)
    assert verify(run, steps=12).differs_at is None
    assert equal(run.history.params(11), whole.history.params(11), list(expected))
    trajectory = Trajectory.of_run(run)
    trajectory.check_updates()
    assert not set(TAKEN) & set(trajectory.functional.layout.names)
    assert equal(run.recipe.model().state_dict(), run.history.params(0), list(expected))
    thawed = replace(run.recipe, frozen=())
    other = Run(run.folder, lambda: thawed)
    assert verify(other, steps=12).differs_at == 1  # the control: with them in training it is another one


def test_a_rounded_record_of_weights_that_were_taken_cannot_be_verified_and_says_so(donor, tmp_path):
    words = ("history.dtype=float16", "history.steps=[0,4]", "history.optimizer=false")
    run = train(tmp_path, f"init_from={donor.folder}", "init_at=7", *words)
    with pytest.raises(NotRecorded, match="initial weights that are recorded exactly"):
        verify(load_run(run.folder))
    assert verify(train(tmp_path, *words)).differs_at is None  # the control: weights that follow from the seed


def test_the_identity_holds_what_was_taken_and_whether_it_is_frozen(donor, tmp_path):
    start = f"init_from={donor.folder}"
    words = [
        (),
        (start,),
        (start, "init_at=7"),
        (start, "init_at=0"),
        (start, PARTS),
        (start, "init_parts=[readout.bias]"),
        (start, "init_parts=[readout.bias]", "init_freeze=true"),
    ]
    ids = [setup(tmp_path, *each).run_id for each in words]
    assert len(set(ids)) == len(ids)
    assert setup(tmp_path, start, "init_parts=['readout.b*']").run_id == ids[5]  # however they are named
    assert setup(tmp_path, start, "init_at=last").run_id == ids[1]


Refusal = tuple[tuple[str, ...], str, str]
REFUSALS: list[Refusal] = [
    (("init_parts=[readuot.bias]",), "init_parts", "did you mean 'readout.bias'"),
    (("init_parts=[positions]",), "init_parts", "must name parameters of the model"),
    (("init_at=99",), "init_at", "step 99; recorded are 0 to 12"),
    (("model.hidden=7",), "init_from", "layers.0.weight has shape"),
    (("model.layers=2",), "init_from", "layers.1.weight is in the model alone"),
    (("model.layers=2", "init_parts=['layers.*']"), "init_parts", "layers.1.weight"),
    (("model.hidden=7", "init_parts=['layers.*']"), "init_from", "layers.0.weight has shape"),
    (("init_freeze=true",), "init_freeze", "needs init_parts"),
    (("init_freeze=true", "init_parts=['*']"), "init_parts", "leave a parameter to train"),
]


@pytest.mark.parametrize(("words", "key", "says"), REFUSALS)
def test_what_cannot_be_taken_is_refused(donor, tmp_path, words, key, says):
    with pytest.raises(ConfigError) as refused:
        setup(tmp_path, f"init_from={donor.folder}", *words)
    assert refused.value.key == key and says in str(refused.value)


@pytest.mark.parametrize("word", ["init_at=3", PARTS])
def test_without_another_run_there_is_nothing_to_take(tmp_path, word):
    with pytest.raises(ConfigError, match="needs init_from"):
        setup(tmp_path, word)


def test_other_shapes_do_not_matter_where_only_fitting_parts_are_taken(donor, tmp_path):
    made = setup(tmp_path, f"init_from={donor.folder}", "model.hidden=7", "init_parts=['embeddings.*']")
    assert equal(made.recipe.model().state_dict(), donor.model().state_dict(), TAKEN[:2])


def test_what_is_not_taken_can_be_drawn_from_a_normal_distribution(donor, tmp_path):
    """The rest has the standard deviation asked for and follows the seed; what is taken is that of the other run."""
    words = (f"init_from={donor.folder}", PARTS, "init_std=0.3", "model.hidden=6")
    made, other = setup(tmp_path, *words), setup(tmp_path, *words, "seed=1")
    first, second = (each.recipe.model().state_dict() for each in (made, other))
    rest = [name for name in first if name not in TAKEN]
    values = torch.cat([first[name].flatten() for name in rest])
    assert (
        abs(values.std() - 0.3) < 0.3 * 4 / (2 * len(values)) ** 0.5 and abs(values.mean()) < 1.2 / len(values) ** 0.5
    )
    assert all(torch.equal(first[name], donor.weights()[name]) for name in TAKEN)
    assert not any(torch.equal(first[name], second[name]) for name in rest)
    assert made.run_id == other.run_id != setup(tmp_path, *words[:2]).run_id
    run = train(tmp_path, *words)
    assert load_run(run.folder).recipe.init_std == 0.3
    assert all(torch.equal(run.untrained().state_dict()[name], first[name]) for name in rest)
