"""Runs of 0 optimiser steps, as the commands make and read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from warm_process import command

from mechlab import load_run

LINEAR = ("task=digits", "model=linear", "trainer.max_steps=0", "history=replay")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run of a linear model that is solved and not trained."""
    folder = tmp_path_factory.mktemp("solved")
    done = command("train", *LINEAR, folder=folder)
    assert done.exit == 0, done.text
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> str:
    """The directory of the run, below the working directory."""
    (found,) = folder.glob("runs/*/*-s0")
    return str(found.relative_to(folder))


def test_it_has_metrics_history_and_weights_of_the_solution(folder, run):
    found = load_run(folder / run)
    metrics = found.results["metrics"]
    assert metrics["steps"] == 0 and metrics["train/accuracy"] > 0.9 and metrics["test/accuracy"] > 0.85
    assert found.metrics["step"].tolist() == [0] and found.history.steps == [0]
    assert found.model()(found.evaluation("test").inputs).argmax(1).eq(found.evaluation("test").targets).any()


def test_it_is_reused_verified_shown_and_reported(folder, run):
    again = command("train", *LINEAR, folder=folder)
    assert again.exit == 0 and "is done already" in again.out
    verified = command("runs", "verify", run, folder=folder)
    assert verified.exit == 0 and "1 recorded step(s) from 0 to 0 are bit-equal" in verified.out
    shown = command("runs", "show", run, folder=folder)
    assert shown.exit == 0 and "1 recorded steps, 0 to 0" in shown.out
    report = command("report", "runs=runs/*/*", folder=folder)
    assert report.exit == 0, report.text


def test_of_weights_from_another_run_there_is_nothing_to_train_again(folder, run):
    done = command("train", *LINEAR, f"init_from={run}", folder=folder)
    assert done.exit == 0, done.text
    verified = command("runs", "verify", done.out.splitlines()[-1].removeprefix("run: "), folder=folder)
    assert verified.exit == 0 and "no optimiser steps" in verified.out


def test_a_solved_model_is_not_drawn_at_random(folder):
    done = command("train", *LINEAR, "init_std=0.1", folder=folder)
    assert done.exit != 0 and "key:   init_std" in done.text
