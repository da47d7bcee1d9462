"""What Hydra users expect of a command line, and what the keys of the trainer do."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from warm_process import Done, command

from mechlab import load_run
from mechlab.record.run import Run

COPY = ("task.d=2", "task.s=2", "task.repeats=2", "model.hidden=16", "~analysis.spectrum", "trainer.eval_examples=50")
WITHOUT_TORCH = """
import sys
from mechlab.train import main
sys.argv[0] = "mechlab.train"
try:
    main()
finally:
    heavy = sorted({"torch", "pytorch_lightning", "sklearn", "matplotlib", "pandas"} & set(sys.modules))
    print("heavy:", heavy, file=sys.stderr)
"""


def light(*arguments: str, folder: Path, **environment: str) -> str:
    """Run the program in a fresh process, assert that it imported nothing heavy, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr.strip() == "heavy: []", done.stderr
    return done.stdout


def trained(folder: Path, *arguments: str) -> tuple[Done, Run]:
    """Train in `folder`; return how the command ended, and the run."""
    done = command("train", *arguments, folder=folder)
    assert done.exit == 0, done.text
    last = done.out.splitlines()[-1]
    assert last.startswith("run: ")
    return done, load_run(folder / last.removeprefix("run: "))


@pytest.mark.ci
@pytest.mark.parametrize(
    ("arguments", "shows"),
    [
        (("--cfg", "job"), "_target_: mechlab.tasks.repeat_copy.RepeatCopy"),
        (("--cfg", "job", "task=tomita", "model=gru"), "_target_: mechlab.models.gru.GRU"),
        (("--cfg", "job", "+callbacks=ambiguity", "task=tomita"), "mechlab.training.callbacks.AnalysisCallback"),
        (("--help",), "== Groups: choose one with group=name =="),
        (("--info", "defaults"), "trainer"),
        (("--info", "config"), "RepeatCopy"),
    ],
)
def test_looking_at_the_configuration_imports_nothing_heavy(
    arguments: tuple[str, ...], shows: str, tmp_path: Path
) -> None:
    assert shows in light(*arguments, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", ["python -m mechlab.train", "/bin/python3.11 -m mechlab.train", "mechlab train"])
@pytest.mark.parametrize(
    ("typed", "offers"),
    [
        ("task=to", ["task=tomita"]),
        ("trainer.max_s", ["trainer.max_steps="]),
        ("model=ls", ["model=lstm"]),
    ],
)
def test_tab_completion_offers_groups_and_keys(typed: str, offers: list[str], program: str, tmp_path: Path) -> None:
    line = f"{program} {typed}"
    out = light("-sc", "query=bash", folder=tmp_path, COMP_LINE=line, COMP_POINT=str(len(line)))
    assert out.split() == offers


def test_a_warm_start_begins_from_the_other_runs_weights(tmp_path: Path) -> None:
    _, first = trained(tmp_path, *COPY, "trainer.max_steps=20")
    _, second = trained(tmp_path, *COPY, "trainer.max_steps=5", "history=full", f"init_from={first.folder}")
    ends, begins = first.model().state_dict(), second.history.params(0)
    assert ends.keys() == begins.keys()
    assert all(torch.equal(ends[name], begins[name]) for name in ends)
    assert second.folder != first.folder


def test_precision_64_trains_and_keeps_float64(tmp_path: Path) -> None:
    _, run = trained(tmp_path, *COPY, "trainer.max_steps=5", "trainer.precision=64")
    assert {value.dtype for value in run.model().state_dict().values()} == {torch.float64}
    assert run.evaluation("val").inputs.dtype == torch.float64


def test_max_epochs_counts_epochs(tmp_path: Path) -> None:
    _, run = trained(tmp_path, *COPY, "trainer.max_epochs=3", "trainer.steps_per_epoch=7")
    assert run.results["metrics"]["steps"] == 21
    assert run.metrics.dropna(subset="val/loss")["step"].tolist() == [7, 14, 21]


def test_max_epochs_counts_passes_over_a_fixed_set(tmp_path: Path) -> None:
    line = ("task=modular_addition", "task.p=7", "model=mlp", "trainer.steps_per_epoch=null", "trainer.batch_size=5")
    _, run = trained(tmp_path, *line, "trainer.max_epochs=2")
    assert run.results["metrics"]["steps"] == 2 * math.ceil(len(run.task.examples("train")) / 5)


LEARNED = ("task=digits", "task.classes=[0,1]", "model=mlp", "model.hidden=16", "trainer.steps_per_epoch=10")


def test_stop_at_ends_training_once_the_task_is_learned(tmp_path: Path) -> None:
    stop = ("trainer.stop_at=0.9", "trainer.stop_patience=2", "trainer.max_steps=400", "trainer.checkpoint_every=10")
    _, run = trained(tmp_path, *LEARNED, *stop)
    rows = run.metrics.dropna(subset="val/accuracy")
    good = (rows["val/accuracy"] >= 0.9).tolist()
    assert run.results["metrics"]["steps"] == rows["step"].iloc[-1] < 400
    assert good[-2:] == [True, True]
    assert not any(a and b for a, b in itertools.pairwise(good[:-1]))


@pytest.mark.ci
def test_max_time_ends_training_early_with_results(tmp_path: Path) -> None:
    limits = ("trainer.max_time=00:00:00:01", "trainer.max_steps=1000000", "trainer.chunk=10")
    _, run = trained(tmp_path, *COPY, *limits)
    steps = run.results["metrics"]["steps"]
    assert 0 < steps < 1000000
    assert math.isfinite(run.results["metrics"]["test/loss"])
    assert run.history.steps[-1] == steps
    again = command("train", *COPY, *limits, folder=tmp_path)
    assert "the run is done already" in again.out


def test_the_logged_learning_rate_is_the_cosine_of_the_schedule(tmp_path: Path) -> None:
    schedule = ("schedule.kind=cosine", "schedule.warmup=4", "schedule.final=0.1", "optimizer.lr=0.01")
    _, run = trained(tmp_path, *COPY, *schedule, "trainer.max_steps=20", "trainer.log_every=1", "history=full")
    for step, rate in run.metrics.dropna(subset="train/learning_rate")[["step", "train/learning_rate"]].values:
        step = int(step) - 1  # logged after the update
        if step < 4:
            wanted = 0.01 * (step + 1) / 4
        else:
            wanted = 0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * (step - 4) / 15)) / 2)
        assert rate == pytest.approx(wanted, rel=1e-12)
        assert run.history.rates(step)[0] == pytest.approx(wanted, rel=1e-12)


def test_debug_overfit_learns_the_first_batch(tmp_path: Path) -> None:
    line = ("task=digits", "model=mlp", "debug=overfit", "trainer.max_steps=200", "optimizer.lr=0.01")
    _, run = trained(tmp_path, *line)
    assert run.results["metrics"]["train/accuracy"] == 1.0
    assert run.results["metrics"]["train/loss"] < 0.01
    assert run.results["metrics"]["test/accuracy"] < 1.0


def test_debug_one_step_makes_one_step(tmp_path: Path) -> None:
    _, run = trained(tmp_path, *COPY, "debug=one_step")
    assert run.results["metrics"]["steps"] == 1
    assert run.history.steps == [0, 1]


def test_no_analysis_is_asked_with_an_empty_list(tmp_path: Path) -> None:
    line = [word for word in COPY if not word.startswith("~")]
    _, run = trained(tmp_path, *line, "analysis=[]", "trainer.max_steps=2")
    assert run.results["findings"] == {}


@pytest.mark.ci
def test_a_multirun_prints_a_line_for_each_run_and_does_nothing_when_repeated(tmp_path: Path) -> None:
    line = ("-m", *COPY, "trainer=smoke", "trainer.max_steps=6", "seed=range(3)")
    for repeat in range(2):
        done = command("train", *line, folder=tmp_path)
        assert done.exit == 0, done.text
        lines = done.out.splitlines()
        assert sum(text.startswith("run: ") for text in lines) == 3
        assert sum(text.startswith("training ") for text in lines) == (0 if repeat else 3)
    assert len(list(tmp_path.glob("runs/repeat_copy-rnn/*-s[012]"))) == 3


def test_a_run_knows_its_own_folder_and_seed_in_its_result(tmp_path: Path) -> None:
    _, run = trained(tmp_path, *COPY, "trainer.max_steps=2", "seed=5")
    result = json.loads((run.folder / "result.json").read_text())
    assert (result["run"], result["seed"], result["status"]) == (str(run.folder.relative_to(tmp_path)), 5, "done")
    assert isinstance(run.metrics, pd.DataFrame)


@pytest.mark.ci
def test_weights_alone_in_half_precision_at_chosen_steps(tmp_path: Path) -> None:
    """What the command announces, records, verifies and shows of a history that is neither whole nor exact."""
    keys = ("history.steps=[0,3]", "history.optimizer=false", "history.dtype=float16", "trainer=smoke")
    done, run = trained(tmp_path, *COPY, *keys)
    end = run.recipe.max_steps
    assert "history: sparse, 3 steps, weights only, stored in float16" in done.out
    assert run.history.steps == [0, 3, end]
    for name, value in run.history.params(end).items():
        assert torch.equal(value, run.model().state_dict()[name].half().float())
    done = command("runs", "verify", str(run.folder), "--steps", str(end), folder=tmp_path)
    assert done.exit == 0 and "are bit-equal, parameters alone, rounded to float16" in done.out, done.text
    done = command("runs", "verify", str(run.folder), "--start", "3", folder=tmp_path)
    assert done.exit == 1 and "train again with history.optimizer=true history.dtype=null" in done.err, done.text
    done = command("runs", "show", str(run.folder), folder=tmp_path)
    assert "3 recorded steps, 0 to" in done.out and "weights only, stored in float16" in done.out
