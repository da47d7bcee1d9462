"""Code that has changed since a run: said on reuse, refused on resuming, and left behind by rerun=true."""

from __future__ import annotations

import json
import signal
import site
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from warm_process import Done, command

sys.path.insert(0, str(Path(__file__).parents[1] / "recovery"))
from faults import STEP, Fault

TASK = '''"""A task of the user's own."""

from dataclasses import replace

from mechlab.tasks.repeat_copy import RepeatCopy

FACTOR = 1.0


def stretched(x):
    return FACTOR * x


class Stretched(RepeatCopy):
    """Repeat copy with longer inputs."""

    def generate(self, n, split, rng):
        batch = super().generate(n, split, rng)
        return replace(batch, inputs=stretched(batch.inputs))
'''
LINE = (
    "task._target_=lab.Stretched",
    "allow_targets=[lab]",
    "task.d=2",
    "task.s=2",
    "model.hidden=8",
    "trainer.max_steps=30",
    "trainer.chunk=5",
    "trainer.checkpoint_every=10",
    "trainer.eval_examples=20",
    "~analysis.spectrum",
)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with the user's module."""
    (tmp_path / "lab.py").write_text(TASK)
    return tmp_path


def edit(folder: Path, old: str, new: str) -> None:
    """Replace text in the user's module, by more or less text, so that Python does not take it for the same file."""
    text = (folder / "lab.py").read_text()
    assert old in text and len(old) != len(new)
    (folder / "lab.py").write_text(text.replace(old, new))


def train(folder: Path, *words: str, fault: Fault | None = None) -> Done:
    """Run the command where the user's module is."""
    return command("train", *LINE, *words, folder=folder, before=partial(_begin, str(folder), fault))


def _begin(folder: str, fault: Fault | None) -> None:
    site.addsitedir(folder)
    if fault is not None:
        fault()


def run_of(folder: Path) -> Path:
    """Return the one run directory."""
    [found] = [path.parent for path in folder.glob("runs/*/*/status.json")]
    return found


def read(folder: Path, name: str) -> dict:
    """Return the content of a JSON file of the run."""
    return json.loads((run_of(folder) / name).read_text())


@pytest.mark.ci
def test_reuse_says_what_has_changed_since(lab: Path) -> None:
    assert train(lab).exit == 0
    first = read(lab, "provenance/sources.json")["sources"]
    assert {"Stretched", "RepeatCopy", "FACTOR", "stretched", "RNN", "update"} <= set(first)
    edit(lab, "Repeat copy with longer inputs.", "Repeat copy, stretched.")
    again = train(lab)
    assert "the run is done already" in again.out and "changed" not in again.out, again.text
    edit(lab, "FACTOR = 1.0", "FACTOR = 10.0")
    again = train(lab)
    assert "its code has changed since: FACTOR; rerun=true trains it anew\n" in again.out, again.text
    weights = (run_of(lab) / "checkpoints" / "weights.safetensors").read_bytes()
    (run_of(lab) / "provenance" / "old").touch()
    rerun = train(lab, "rerun=true")
    assert rerun.exit == 0 and "training repeat_copy-rnn for 30 steps" in rerun.out, rerun.text
    assert not (run_of(lab) / "provenance" / "old").exists()
    assert (run_of(lab) / "checkpoints" / "weights.safetensors").read_bytes() != weights
    assert "rerun" not in (run_of(lab) / "provenance" / "config.yaml").read_text()
    (run_of(lab) / "provenance" / "sources.json").write_text("{")  # it must not be made again from other code
    edit(lab, "FACTOR = 10.0", "FACTOR = 1")
    again = train(lab)
    assert "whether its code has changed since is not recorded" in again.out and again.exit == 0, again.text


@pytest.mark.ci
def test_an_interrupted_run_goes_on_with_its_own_code_only(lab: Path) -> None:
    assert train(lab, fault=Fault(STEP, nth=24)).exit == -signal.SIGKILL
    before = read(lab, "status.json")
    edit(lab, "return FACTOR * x", "return 2 * FACTOR * x")
    refused = train(lab)
    assert refused.exit == 1 and refused.err.count("error: ") == 1 and "Traceback" not in refused.text, refused.text
    assert "changed since: stretched\n" in refused.err and "code=accept" in refused.err and "rerun=true" in refused.err
    assert "training" not in refused.out and read(lab, "status.json") == before
    accepted = train(lab, "code=accept", fault=Fault(STEP, nth=8))
    assert accepted.exit == -signal.SIGKILL and "resuming from step 20" in accepted.out, accepted.text
    done = train(lab)
    assert done.exit == 0 and "resuming from step 20" in done.out, done.text
    parts = [read(lab, f"provenance/{name}sources.json")["sources"] for name in ("", "resumed-1-", "resumed-2-")]
    assert parts[0]["stretched"] != parts[1]["stretched"] == parts[2]["stretched"]
    assert "its code has changed since: stretched;" in train(lab).out  # a part of it was trained with other code


@pytest.mark.ci
def test_an_interrupted_run_may_begin_anew(lab: Path) -> None:
    assert train(lab, "paths.root=other").exit == 0
    assert train(lab, fault=Fault(STEP, nth=24)).exit == -signal.SIGKILL
    done = train(lab, "rerun=true")
    assert done.exit == 0 and "resuming" not in done.out, done.text
    [other] = lab.glob("other/*/*/checkpoints/weights.safetensors")
    assert (run_of(lab) / "checkpoints" / "weights.safetensors").read_bytes() == other.read_bytes()


@pytest.mark.ci
def test_a_users_code_leaves_a_trace(lab: Path) -> None:
    """A copy of what defines the run; in a repository the commit and a patch, new files among it."""
    assert train(lab, "paths.root=first").exit == 0
    [first] = lab.glob("first/*/*/provenance")
    assert json.loads((first / "environment.json").read_text())["user_code"] == {
        "lab": {"commit": None, "copy": "sources"}
    }
    assert {path.name for path in first.glob("sources/*")} == {"lab.py"}
    assert (first / "sources" / "lab.py").read_text() == TASK
    (lab / "README").touch()
    for words in ("init", "add README", "-c user.name=a -c user.email=a@b commit -m first"):
        subprocess.run(["git", *words.split()], cwd=lab, check=True, capture_output=True)
    assert train(lab).exit == 0
    about = read(lab, "provenance/environment.json")["user_code"]["lab"]
    assert len(about["commit"]) == 40 and about["patch"] == "code-lab.patch"
    patch = (run_of(lab) / "provenance" / "code-lab.patch").read_text()
    assert "+FACTOR = 1.0" in patch and "status.json" not in patch


@pytest.mark.ci
def test_a_run_that_stops_early_is_not_the_one_that_does_not(lab: Path) -> None:
    stop = "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss, "
    words = (f"{stop}stopping_threshold: 100}}", "allow_targets=[lab,pytorch_lightning]", "trainer.steps_per_epoch=10")
    short, long = train(lab, *words), train(lab, *words[1:])
    assert short.exit == long.exit == 0, short.text + long.text
    assert sorted(json.loads(path.read_text())["metrics"]["steps"] for path in lab.glob("runs/*/*/result.json")) == [
        10,
        30,
    ]
    assert "not run" not in long.out


@pytest.mark.ci
def test_a_sweep_s_copy_of_the_code_has_the_same_hashes(lab: Path) -> None:
    def sweep(*words: str) -> str:
        done = command("sweep", *words, folder=lab, before=partial(_begin, str(lab), None))
        assert done.exit == 0, done.text
        return done.out

    ran = sweep("run", *LINE)  # in a process that imports nothing but the copy
    assert "1 jobs: 1 done" in ran, ran
    assert read(lab, "provenance/environment.json")["user_code"] == {"lab": {"commit": None, "copy": "sources"}}
    again = train(lab)
    assert "the run is done already" in again.out and "changed" not in again.out, again.text
    edit(lab, "FACTOR = 1.0", "FACTOR = 10.0")
    name = sweep("plan", *LINE, "rerun=true").split()[-1]
    chunk = ("run", name, "allow_targets=[lab]", "--index", "0")
    assert "training" in sweep(*chunk)
    assert "the run is done already" in sweep(*chunk)  # a requeued job does not begin anew
    assert "changed" not in train(lab).out


def test_the_rule_of_a_dynamical_system_is_among_the_recorded_sources():
    """A rule that is changed is then noticed like any other class or function of the run."""
    from mechlab.config.build import prepare
    from mechlab.core.task import Task
    from mechlab.record.sources import hashes
    from mechlab.tasks.dynamical_system import copy_oldest

    path = "mechlab.tasks.dynamical_system"
    task = prepare({"_target_": f"{path}.DynamicalSystem", "rule": f"{path}.copy_oldest"}, "task", Task)
    assert copy_oldest in task.targets()
    assert any("copy_oldest" in str(name) for name in hashes(task.targets()))
