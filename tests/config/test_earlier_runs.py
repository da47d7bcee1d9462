"""Runs that an earlier version of mechlab recorded (tests/data/recorded_runs) are read, analysed, verified and reused.

One is a GRU on Tomita 3 with a sparse history and an answer of `conformance`, the other an MLP on addition modulo 7
with a replay history. Both were trained before the packages `record` and `jobs` existed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from warm_process import command

from mechlab import load_run
from mechlab.record.files import read_json

DATA = Path(__file__).parents[1] / "data" / "recorded_runs"
TOMITA, ADDITION = "tomita-gru/5a74412561-s0", "modular_addition-mlp/c835c8b2a1-s0"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with copies of the recorded runs."""
    shutil.copytree(DATA, tmp_path / "recorded")
    return tmp_path


@pytest.mark.parametrize(("run", "stored"), [(TOMITA, 20), (ADDITION, 9)])
def test_weights_history_metrics_and_result_are_read(run: str, stored: int, lab: Path) -> None:
    opened = load_run(lab / "recorded" / run)
    history = opened.history
    assert (history.steps[0], history.steps[-1], len(history.stored)) == (0, 60, stored)
    end = opened.model().state_dict()
    assert all(torch.equal(value, end[name]) for name, value in history.params(60).items())
    assert opened.results["metrics"]["steps"] == 60
    assert opened.metrics["step"].iloc[-1] == 60


def test_the_recorded_weights_give_the_recorded_loss(lab: Path) -> None:
    run = load_run(lab / "recorded" / ADDITION)
    batch = run.evaluation("test")
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(run.model()(batch.inputs), batch.targets)
    assert abs(float(loss) - run.results["metrics"]["test/loss"]) < 1e-5


def test_an_analysis_gives_the_recorded_answer_again(lab: Path) -> None:
    folder = lab / "recorded" / TOMITA
    before = read_json(folder / "analyses" / "conformance" / "finding.json")["scalars"]
    done = command("analyze", f"run={folder}", "analysis=conformance", "analysis.conformance.words=200", folder=lab)
    assert done.exit == 0, done.text
    after = read_json(folder / "analyses" / "conformance" / "finding.json")["scalars"]
    assert after == pytest.approx(before, abs=0.02)  # a word may lie on a decision boundary


@pytest.mark.parametrize("run", [TOMITA, ADDITION])
def test_verification_compares_files_and_training(run: str, lab: Path) -> None:
    """On another processor training again may part from the record in the last bits, which verify then reports."""
    done = command("runs", "verify", f"recorded/{run}", folder=lab)
    assert "verified: every file is as it was written" in done.out, done.text
    assert "are bit-equal, parameters and optimizer state" in done.out or "compared 1 recorded step(s)" in done.out


@pytest.mark.parametrize("run", [TOMITA, ADDITION])
def test_the_command_of_the_run_finds_it_done_and_names_changed_code(run: str, lab: Path) -> None:
    words = read_json(lab / "recorded" / run / "provenance" / "overrides.json")
    done = command("train", *words, folder=lab)
    assert done.exit == 0, done.text
    assert f"the run is done already, so it is not trained again: recorded/{run}" in done.out
    assert done.out.splitlines()[-1] == f"run: recorded/{run}"
