"""One process works on a run at a time, and a run that failed is tried again."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from faults import STEP, Fault
from records import Uninterrupted, arguments, check_same, record, run_folder, status
from warm_process import Command, command

TASK = "repeat_copy"


def test_while_one_process_trains_another_says_who_holds_the_run(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    first = Command("train", *arguments(TASK), folder=tmp_path, before=Fault(STEP, nth=20, does="wait"))
    while "training" not in first.output():
        time.sleep(0.01)
    second = command("train", *arguments(TASK), folder=tmp_path)
    assert second.exit == 0, second.text
    assert second.out.splitlines() == [
        f"run is held by {socket.gethostname()}:{first.process.pid}",
        f"run: {run_folder(tmp_path).relative_to(tmp_path)}",
    ]
    (tmp_path / "go").touch()
    assert first.wait().exit == 0
    check_same(record(tmp_path), uninterrupted(TASK))


def test_of_two_processes_started_together_exactly_one_trains(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    both = [Command("train", *arguments(TASK), folder=tmp_path) for _ in range(2)]
    done = [process.wait() for process in both]
    assert [one.exit for one in done] == [0, 0], done
    assert sorted("training " in one.out for one in done) == [False, True]
    other = next(one.out for one in done if "training " not in one.out)
    assert "run is held by " in other or "the run is done already" in other  # as the machine had it
    check_same(record(tmp_path), uninterrupted(TASK))


@pytest.mark.parametrize(
    ("task", "step"),
    [
        (("task=repeat_copy", "task.d=2", "task.s=2", "model.activation=relu", "trainer.gradient_clip=null"), None),
        (("task=digits", "model=mlp"), 1),
    ],
    ids=["repeat_copy", "digits"],
)
def test_a_loss_that_is_not_finite_fails_with_the_step_and_the_next_command_tries_again(
    task: tuple[str, ...], step: int | None, tmp_path: Path
) -> None:
    line = (*task, "optimizer=sgd", "optimizer.lr=1e30", "trainer.max_steps=40", "trainer.steps_per_epoch=20")
    for _ in range(2):
        done = command("train", *line, folder=tmp_path)
        assert done.exit == 1, done.text
        assert "error: the training loss must be finite" in done.err
        assert "at optimiser step" in done.err if step is None else f"at optimiser step {step}" in done.err
        assert "lower optimizer.lr" in done.err
        assert "Traceback" not in done.err
        assert "training " in done.out
        assert status(tmp_path)["status"] == "failed"
        assert "NotFinite" in status(tmp_path)["traceback"]
        assert "at optimiser step" in status(tmp_path)["reason"]
