"""A run that receives a stopping signal writes a checkpoint at a step boundary, prints the step, and resumes there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from faults import STEP, Fault
from records import STEPS, Uninterrupted, arguments, finishes_like, run_folder, status
from warm_process import command

VALIDATION = "mechlab.training.module.TrainingModule.validation_step"


@pytest.mark.parametrize(
    ("fault", "exit", "step"),
    [
        (Fault(STEP, nth=33, does="term"), 143, 33),
        pytest.param(Fault(STEP, nth=44, does="usr1"), 143, 44, marks=pytest.mark.ci),
        pytest.param(Fault(STEP, nth=52, does="int"), 130, 52, marks=pytest.mark.ci),
        (Fault(VALIDATION, nth=2, does="term"), 143, 34),
    ],
    ids=str,
)
def test_a_signal_ends_with_a_checkpoint_at_the_next_step_boundary(
    fault: Fault, exit: int, step: int, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    done = command("train", *arguments("repeat_copy"), folder=tmp_path, before=fault)
    assert done.exit == exit, done.text
    assert f"after step {step}; the same command resumes from there" in done.out
    assert done.out.splitlines()[-1] == f"run: {run_folder(tmp_path).relative_to(tmp_path)}"
    assert "Traceback" not in done.err
    assert (status(tmp_path)["status"], status(tmp_path)["step"]) == ("preempted", step)
    assert torch.load(run_folder(tmp_path) / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == step
    out = finishes_like(uninterrupted("repeat_copy"), "repeat_copy", tmp_path)
    assert f"resuming from step {step} of {STEPS}" in out


@pytest.mark.parametrize("task", [pytest.param("tomita", marks=pytest.mark.ci), "modular_addition"])
def test_every_task_goes_on_after_a_signal(task: str, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    done = command("train", *arguments(task), folder=tmp_path, before=Fault(STEP, nth=29, does="term"))
    assert done.exit == 143, done.text
    finishes_like(uninterrupted(task), task, tmp_path)


def test_a_signal_during_a_validation_of_several_portions_lets_it_end(tmp_path: Path) -> None:
    line = (*arguments("repeat_copy"), "trainer.eval_examples=2500")
    done = command("train", *line, folder=tmp_path, before=Fault(VALIDATION, nth=4, does="term"))
    assert done.exit == 143, done.text
    assert (status(tmp_path)["status"], status(tmp_path)["step"]) == ("preempted", 34)


def test_a_second_interrupt_stops_at_once_and_the_run_goes_on_from_the_last_checkpoint(
    tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    done = command("train", *arguments("repeat_copy"), folder=tmp_path, before=Fault(STEP, nth=43, does="int twice"))
    assert done.exit == 130, done.text
    assert "stopped by SIGINT at once; the same command resumes from the last checkpoint" in done.out
    assert status(tmp_path)["status"] == "preempted"
    assert f"resuming from step 40 of {STEPS}" in finishes_like(uninterrupted("repeat_copy"), "repeat_copy", tmp_path)


def test_a_signal_outside_of_training_ends_as_preempted_too(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    fault = Fault("mechlab.jobs.execute.run_missing_analyses", does="term")
    task = "repeat_copy and spectrum"
    done = command("train", *arguments(task), folder=tmp_path, before=fault)
    assert done.exit == 143, done.text
    assert status(tmp_path)["status"] == "preempted"
    finishes_like(uninterrupted(task), task, tmp_path)


def test_a_signal_during_the_last_step_lets_the_run_finish(tmp_path: Path) -> None:
    fault = Fault(STEP, nth=STEPS, does="term")
    done = command("train", *arguments("repeat_copy"), folder=tmp_path, before=fault)
    assert (done.exit, status(tmp_path)["status"]) == (0, "done"), done.text
