"""A removal of a run's record that is killed at any operation: the next command makes a new run and mixes nothing."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import Fault
from operations import KilledAt
from records import Uninterrupted, arguments, check_same, record, run_folder, status
from warm_process import Done, command

TASK = "repeat_copy"


def rerun(folder: Path, fault: Callable[[], None] | None = None, *words: str) -> Done:
    """Run the command again."""
    return command("train", *arguments(TASK), *words, folder=folder, before=fault)


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A finished run without checkpoints to resume from, as `runs gc` leaves it, with a mark in all its folders."""
    assert rerun(tmp_path).exit == 0
    run = run_folder(tmp_path)
    for name in ("last", "previous"):
        (run / "checkpoints" / f"{name}.ckpt").unlink()
    for name in (".", "checkpoints", "history", "tb", "provenance", "analyses/spectrum"):
        (run / name).mkdir(parents=True, exist_ok=True)
        (run / name / "old").touch()
    return tmp_path


@pytest.mark.ci
def test_killed_at_every_operation_the_removal_is_completed(marked: Path, uninterrupted: Uninterrupted) -> None:
    """By the same command or by one that does not ask for it; before its first operation the run is as it was."""
    words, run = ["rerun=true"], run_folder(marked)
    killed = rerun(marked, Fault("os.replace", about="status.json"), *words)
    assert killed.exit == -signal.SIGKILL and status(marked)["status"] == "done", killed.text
    exits = []
    for target, when in (("os.replace", "after"), *[("os.rename", "after")] * 4, ("shutil.rmtree", "before")):
        killed = rerun(marked, Fault(target, when=when), *words)
        exits.append(killed.exit)
        assert "training" not in killed.out and (run / "status.json").exists(), killed.text
        words = []
    killed = rerun(marked, Fault("shutil.rmtree", nth=3, when="after"))
    done = rerun(marked, Fault("os.unlink", about="status.json", nth=2, when="after"))
    assert [*exits, killed.exit, done.exit] == [-signal.SIGKILL] * 8
    done = rerun(marked)
    assert done.exit == 0 and "resuming" not in done.out, done.text
    assert not list(run.rglob("old"))
    check_same(record(marked), uninterrupted(TASK))


@pytest.mark.ci
def test_killed_before_any_operation_the_removal_is_completed(marked: Path, uninterrupted: Uninterrupted) -> None:
    run, log = run_folder(marked), marked / "log"
    shutil.copytree(run, marked / "before")
    assert rerun(marked, KilledAt(log), "rerun=true").exit == 0
    operations = [line.split() for line in log.read_text().splitlines()]
    last = next(
        i for i, (event, path) in enumerate(operations) if (event, Path(path).name) == ("os.remove", "status.json")
    )
    assert last > 20
    for nth in range(1, last + 3):
        shutil.rmtree(run)
        shutil.copytree(marked / "before", run)
        assert rerun(marked, KilledAt(log, nth), "rerun=true").exit == -signal.SIGKILL
        done = rerun(marked)
        assert done.exit == 0 and "resuming" not in done.out, f"{operations[nth - 1]}: {done.text}"
        if "the run is done already" in done.out:
            assert len(list(run.rglob("old"))) == 6, operations[nth - 1]
        else:
            assert not list(run.rglob("old")), operations[nth - 1]
            check_same(record(marked), uninterrupted(TASK))
