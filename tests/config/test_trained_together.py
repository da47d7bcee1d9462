"""Runs that are trained together as one batched model (`trainer.seeds`), against the same runs trained one by one."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from mechlab.config.choices import config_dir
from mechlab.config.identity import masked
from mechlab.config.launch import register, resolve
from mechlab.config.recipe import load_run
from mechlab.config.seeds import members
from mechlab.core.errors import ConfigError, NotFinite
from mechlab.jobs.execute import execute, execute_together
from mechlab.jobs.together import prepare_runs
from mechlab.record.replay import verify
from mechlab.training import together
from mechlab.training.checkpoints import Checkpoints

BASE = ("name=modular_addition-mlp", "task=modular_addition", "model=mlp")
SMALL = (
    *BASE,
    "task.p=7",
    "model.hidden=8",
    "model.embedding=4",
    "trainer.batch_size=8",
    "trainer.max_steps=30",
    "trainer.steps_per_epoch=11",
    "trainer.chunk=4",
    "trainer.log_every=6",
    "trainer.checkpoint_every=9",
    "history=replay",
    "history.every=7",
)


@pytest.fixture(autouse=True, scope="module")
def composing() -> Iterator[None]:
    """Hydra, ready to compose the configuration of `mechlab.train`."""
    register([config_dir()])
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


def prepared(root: Path, *overrides: str):
    cfg = hydra.compose("train", [*overrides, f"paths.root={root}"], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    del cfg.hydra
    return prepare_runs([(resolve(member), masked(member)) for member in members(cfg)])


def trained(root: Path, *overrides: str) -> list[Path]:
    setups = prepared(root, *overrides)
    execute_together(setups)
    return [setup.folder for setup in setups]


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> list[Path]:
    """The folders of three runs that were trained together."""
    return trained(tmp_path_factory.mktemp("runs"), *SMALL, "trainer.seeds=3")


def files(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {"tb/events" if name.startswith("tb/") else name for name in found}


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.ci
def test_each_run_agrees_with_its_single_twin(tmp_path):
    """Eight seeds of a network of full size on addition modulo 23: the same data, order and initial weights, and after
    each of fifty steps the same parameters to 1e-5. In double precision, in which rounding opens no rectifier."""
    steps = ("trainer.max_steps=50", "trainer.steps_per_epoch=50", "trainer.precision=64", "history.points=50")
    folders = trained(tmp_path, *BASE, "task.p=23", "trainer.seeds=8", *steps)
    assert [folder.name.rpartition("-s")[2] for folder in folders] == list("01234567")
    for folder in folders:
        run = load_run(folder)
        recipe, recorded = replace(run.recipe, member=None), run.history.stored
        model = recipe.model()
        for step, *_ in recipe.steps(model):
            if step in recorded:
                torch.testing.assert_close(model.state_dict(), run.history.params(step), rtol=0, atol=1e-5)


def test_each_run_is_an_ordinary_run(three, tmp_path):
    """It has the files of a run that was trained alone, rows at the same steps with the same numbers to rounding, and
    its own identity."""
    (setup,) = prepared(tmp_path, *SMALL, "seed=1")
    execute(setup)
    together_, alone = three[1], setup.folder
    assert together_.name.rpartition("-s")[0] != alone.name.rpartition("-s")[0]
    assert files(together_) == files(alone)
    rows, twins = table(together_), table(alone)
    assert [list(row) for row in rows] == [list(twin) for twin in twins]
    for row, twin in zip(rows, twins, strict=True):
        for name, value in row.items():
            assert (value == twin[name] == "") or float(value) == pytest.approx(float(twin[name]), rel=1e-3), name
    run, other = load_run(together_), load_run(alone)
    assert run.config["trainer"]["seeds"] == [0, 1, 2] and run.seed == 1
    assert run.results["status"] == "done" and run.history.steps == other.history.steps
    assert run.results["metrics"].keys() == other.results["metrics"].keys()
    moments = [{name: (v.shape, v.dtype) for name, v in of.history.optimizer(20).items()} for of in (run, other)]
    assert moments[0] == moments[1]
    assert run.model().state_dict().keys() == other.model().state_dict().keys()
    assert run.at("best").model() is not None


def test_each_run_is_verified_and_replayed_by_training_the_batch_again(three):
    """From its own record, bit for bit; as a run trained alone it would differ."""
    for folder in three:
        run = load_run(folder)
        verdict = verify(run, steps=30)
        assert verdict.differs_at is None and verdict.compared[-1] == 30
        assert len(run.history.params(5)) == len(run.history.params(7))  # computed again, and checked by its hash


def test_the_identity_names_all_seeds(three, tmp_path):
    """The number of seeds and a list of the same seeds are one configuration; other seeds, or none, are others."""
    name = three[0].name.partition("-")[0]
    same = prepared(tmp_path, *SMALL, "seed=2", "trainer.seeds=[0,1,2]")
    assert [setup.run_id for setup in same] == [name] * 3
    assert [setup.config.seed for setup in same] == [0, 1, 2]
    shifted = prepared(tmp_path, *SMALL, "seed=4", "trainer.seeds=2")
    assert [setup.config.seed for setup in shifted] == [4, 5]
    others = {setup.run_id for words in (["trainer.seeds=2"], []) for setup in prepared(tmp_path, *SMALL, *words)}
    assert len({name, shifted[0].run_id, *others}) == 4


def test_repeating_does_nothing_and_a_removed_run_is_trained_again(three, tmp_path, capsys):
    """A run that is missing is trained as a member of the same batch, with the same bits; the others are left alone."""
    root = tmp_path / "runs"
    shutil.copytree(three[0].parents[1], root)
    folders = [root / folder.parent.name / folder.name for folder in three]
    assert trained(root, *SMALL, "trainer.seeds=3") == folders
    assert capsys.readouterr().out.count("is not trained again") == 3
    weights = {name: value.clone() for name, value in load_run(folders[1]).model().state_dict().items()}
    shutil.rmtree(folders[1])
    trained(root, *SMALL, "trainer.seeds=3")
    assert capsys.readouterr().out.count("is not trained again") == 2
    assert all(torch.equal(value, weights[name]) for name, value in load_run(folders[1]).model().state_dict().items())


class Killed(BaseException):
    """In place of SIGKILL."""


@pytest.mark.parametrize("saves", [2, *(pytest.param(n, marks=pytest.mark.ci) for n in (1, 5))])
def test_a_killed_batch_is_resumed(three, tmp_path, monkeypatch, saves):
    """Killed after the first save (of the first run alone), between two, or in a later one, it ends in the same bits,
    metrics and records as one that was not interrupted."""
    save, count = Checkpoints.save, []

    def killing(self, *arguments):
        save(self, *arguments)
        count.append(0)
        if len(count) == saves:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", killing)
    with pytest.raises(Killed):
        trained(tmp_path, *SMALL, "trainer.seeds=3")
    monkeypatch.setattr(Checkpoints, "save", save)
    for folder, whole in zip(trained(tmp_path, *SMALL, "trainer.seeds=3"), three, strict=True):
        run, other = load_run(folder), load_run(whole)
        for name, value in run.model().state_dict().items():
            assert torch.equal(value, other.model().state_dict()[name])
        assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
        assert run.history.stored == other.history.stored and verify(run, steps=30).differs_at is None
        assert files(folder) >= files(whole)


def test_a_signal_stops_all_at_one_step(tmp_path, monkeypatch, three):
    """Each run has a checkpoint of the step at which the signal came, and its status says preempted."""
    tick = together._tick

    def signalled(members, *arguments):
        if members[0].trainer.global_step == 11:
            members[0].module.watch.received = 15
        return tick(members, *arguments)

    monkeypatch.setattr(together, "_tick", signalled)
    with pytest.raises(SystemExit) as stopped:
        trained(tmp_path, *SMALL, "trainer.seeds=3")
    assert stopped.value.code == 143
    folders = [setup.folder for setup in prepared(tmp_path, *SMALL, "trainer.seeds=3")]
    states = [json.loads((folder / "status.json").read_text()) for folder in folders]
    assert [(state["status"], state["step"]) for state in states] == [("preempted", 12)] * 3
    monkeypatch.setattr(together, "_tick", tick)
    trained(tmp_path, *SMALL, "trainer.seeds=3")
    for folder, whole in zip(folders, three, strict=True):
        assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


def test_a_diverging_run_fails_alone(tmp_path, monkeypatch):
    """Its status is failed; the others end as they would have."""
    batch = together.Ensemble.update

    def broken(self, batches, *arguments):
        if 1 in self.members and not torch.isnan(self.theta[1]).any():
            self.theta.data[1] = torch.nan
        return batch(self, batches, *arguments)

    monkeypatch.setattr(together.Ensemble, "update", broken)
    with pytest.raises(NotFinite, match="training loss must be finite"):
        trained(tmp_path, *SMALL, "trainer.seeds=3")
    states = {path.parent.name[-1]: json.loads(path.read_text()) for path in tmp_path.rglob("status.json")}
    assert {seed: state["status"] for seed, state in states.items()} == {"0": "done", "1": "failed", "2": "done"}


@pytest.mark.ci
def test_a_diverged_run_holds_up_no_other_after_an_interruption(tmp_path, monkeypatch, three, capsys):
    """Killed long after one run has diverged, the others resume from their newest checkpoint to the same bits."""
    batch, save = together.Ensemble.update, Checkpoints.save

    def broken(self, batches, *arguments):
        if 1 in self.members:
            self.theta.data[1] = torch.nan
        return batch(self, batches, *arguments)

    def killing(self, trainer, module):
        save(self, trainer, module)
        if trainer.global_step >= 27:
            raise Killed

    monkeypatch.setattr(together.Ensemble, "update", broken)
    monkeypatch.setattr(Checkpoints, "save", killing)
    with pytest.raises(Killed):
        trained(tmp_path, *SMALL, "trainer.seeds=3")
    monkeypatch.setattr(Checkpoints, "save", save)
    capsys.readouterr()
    with pytest.raises(NotFinite):
        trained(tmp_path, *SMALL, "trainer.seeds=3")
    assert "resuming from step 18 of 30" in capsys.readouterr().out
    states = {path.parent.name[-1]: json.loads(path.read_text())["status"] for path in tmp_path.rglob("status.json")}
    assert states == {"0": "done", "1": "failed", "2": "done"}
    monkeypatch.setattr(together.Ensemble, "update", batch)
    for folder, whole in zip(trained(tmp_path, *SMALL, "trainer.seeds=3"), three, strict=True):
        assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


TOMITA = ("name=tomita-gru", "task=tomita", "task.words=200", "model=gru", "model.hidden=4", "trainer=smoke")
COPY = ("name=repeat_copy-lstm", "task.d=2", "task.s=2", "model=lstm", "model.hidden=4", "trainer=smoke")
REFUSED = {
    "dropout": ([*TOMITA, "model.layers=2", "model.dropout=0.1"], "functions of their parameters"),
    "lengths": (list(TOMITA), "must have one shape"),
    "no batching rule": (list(COPY), "batching rule"),
    "stop": ([*SMALL, "trainer.stop_at=0.9"], "all make the same optimiser steps"),
    "time": ([*SMALL, "trainer.max_time=00:00:01:00"], "all make the same optimiser steps"),
    "callback": (
        [*SMALL, "+callbacks.x={_target_: mechlab.training.progress.ShowProgress}"],
        "must run an analysis",
    ),
    "optimizer": ([*SMALL, "+optimizer.amsgrad=true"], "SGD, Adam or AdamW"),
    "learning rate": ([*SMALL, "seed=1", "optimizer.lr=${seed}"], "differ in nothing"),
    "twice": ([*SMALL, "trainer.seeds=[3,3]"], "list of different seeds"),
    "none": ([*SMALL, "trainer.seeds=0"], "at least 1"),
    "another seed": ([*SMALL, "trainer.seeds=[3,5]", "seed=4"], "one of the list or left out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_together_is_refused(case, tmp_path):
    words, message = REFUSED[case]
    words = words if any(word.startswith("trainer.seeds") for word in words) else [*words, "trainer.seeds=2"]
    with pytest.raises(ConfigError, match=message) as caught:
        prepared(tmp_path, *words)
    assert caught.value.fix and not list(tmp_path.rglob("status.json"))
