"""A run that is killed and started again by the same command ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import STEP, Fault
from records import STEPS, TASKS, Uninterrupted, arguments, check_record, finishes_like, killed

KILLS = int(os.environ.get("MECHLAB_KILLS", "0"))  # how many kills at random steps and moments, for each task
CHECKPOINTS = "mechlab.training.checkpoints.Checkpoints"
PLACES = [
    Fault(STEP, nth=1),
    Fault(STEP, nth=9),
    Fault("mechlab.training.module.TrainingModule.validation_step", nth=2),
    Fault(f"{CHECKPOINTS}.on_train_batch_end", nth=8),
    Fault(f"{CHECKPOINTS}.save", nth=3, when="after"),
    Fault("pytorch_lightning.Trainer.save_checkpoint", nth=5, when="after"),
    Fault("os.replace", about="best.ckpt", nth=2),
    Fault("os.replace", about="previous.ckpt", nth=2, when="after"),
    Fault("os.replace", about="weights.safetensors"),
    Fault("mechlab.jobs.execute.finish"),
    Fault("mechlab.jobs.execute.finish", when="after"),
]


@pytest.mark.parametrize("task", [pytest.param(task, marks=[pytest.mark.ci] * (task == "tomita")) for task in TASKS])
def test_an_uninterrupted_run_records_every_step_once(task: str, uninterrupted: Uninterrupted) -> None:
    check_record(uninterrupted(task))


@pytest.mark.ci
@pytest.mark.parametrize("fault", PLACES, ids=str)
def test_killed_at_a_delicate_moment_a_run_ends_as_if_uninterrupted(
    fault: Fault, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    task = "repeat_copy and spectrum" if "finish" in fault.target else "repeat_copy"
    killed(task, fault, tmp_path)
    finishes_like(uninterrupted(task), task, tmp_path)


@pytest.mark.parametrize(
    "task",
    [
        pytest.param("repeat_copy", marks=pytest.mark.ci),
        pytest.param("tomita", marks=pytest.mark.ci),
        "modular_addition",
        "replay",
    ],
)
def test_killed_twice_at_random_steps_a_run_ends_as_if_uninterrupted(
    task: str, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    steps = random.Random(task)
    first = steps.randrange(10, STEPS - 20)
    killed(task, Fault(STEP, nth=first), tmp_path)
    killed(task, Fault(STEP, nth=10), tmp_path)
    finishes_like(uninterrupted(task), task, tmp_path)


@pytest.mark.ci
@pytest.mark.parametrize("nth", range(1, 7))
def test_killed_while_it_tidies_up_after_a_kill_a_run_ends_as_if_uninterrupted(
    nth: int, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    killed("repeat_copy", Fault(STEP, nth=31), tmp_path)
    killed("repeat_copy", Fault("os.unlink" if nth % 2 else "os.replace", nth=(nth + 1) // 2), tmp_path)
    finishes_like(uninterrupted("repeat_copy"), "repeat_copy", tmp_path)


@pytest.mark.skipif(not KILLS, reason="set MECHLAB_KILLS=10 to kill each task at so many random steps")
@pytest.mark.parametrize("kill", range(KILLS))
@pytest.mark.parametrize("task", TASKS)
def test_killed_at_any_step_a_run_ends_as_if_uninterrupted(
    task: str, kill: int, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    step = random.SystemRandom().randrange(1, STEPS + 1)
    print(f"{task}: killed at step {step}")
    killed(task, Fault(STEP, nth=step), tmp_path)
    finishes_like(uninterrupted(task), task, tmp_path)


@pytest.mark.skipif(not KILLS, reason="set MECHLAB_KILLS=10 to kill each task at so many random moments")
@pytest.mark.parametrize("task", TASKS)
def test_killed_again_and_again_at_any_moment_a_run_ends_as_if_uninterrupted(
    task: str, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    wanted = uninterrupted(task)
    line = [sys.executable, "-m", "mechlab.train", *arguments(task)]
    for _ in range(KILLS):
        process = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # it has begun
        time.sleep(random.SystemRandom().uniform(0, 1.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finishes_like(wanted, task, tmp_path)
