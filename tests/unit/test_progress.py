"""Progress lines of long computations, and the progress of a sweep read from its run directories."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from mechlab.core import progress
from mechlab.core.progress import ProgressLine
from mechlab.record.lock import RunLock
from mechlab.sweeps.manifest import Job, Sweep
from mechlab.sweeps.progress import SweepProgress


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PRINT_EVERY", 0.005)
    monkeypatch.setattr(progress, "REWRITE_EVERY", 0.005)


def wait_for(called: list[int], number: int) -> None:
    """Wait until the progress line has been asked for so many times."""
    while len(called) < number:
        time.sleep(0.001)


def test_plain_lines_come_now_and_then(often: None, capsys: pytest.CaptureFixture) -> None:
    called: list[int] = []
    with ProgressLine(lambda: f"step {called.append(0) or len(called)}") as line:
        wait_for(called, 2)
        line.print("a chunk is done")
    printed = capsys.readouterr().out.splitlines()
    assert {"step 1", "a chunk is done"} <= set(printed) and "\033" not in "".join(printed)


def test_a_terminal_has_one_line_of_its_width_which_is_removed(
    often: None, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    called: list[int] = []
    with ProgressLine(lambda: called.append(0) or "0123456789" * 3):
        wait_for(called, 3)
    printed = capsys.readouterr().out
    assert "\r\033[K0123456789012345..." in printed and "\n" not in printed and printed.endswith("\r\033[K")


def test_a_quick_block_shows_nothing(capsys: pytest.CaptureFixture) -> None:
    with ProgressLine(lambda: "step"):
        pass
    assert capsys.readouterr().out == ""


def test_a_sweep_counts_what_has_ended_since(tmp_path: Path) -> None:
    jobs = [Job(number, f"copy-rnn/0123456789-s{number}", "0123456789", [], {}) for number in range(4)]
    sweep = Sweep(tmp_path / "_sweeps" / "0123456789", jobs, None, {}, "")
    folders = [sweep.root / job.run for job in jobs]
    with RunLock(folders[0]) as lock:
        lock.status("failed", reason="of an earlier attempt")
    shown = SweepProgress(sweep, [0, 1, 2, 3])
    assert shown.line() == "0/4 jobs: 0 done, 0 failed; running: none"
    with RunLock(folders[0]) as lock, RunLock(folders[1]) as other:
        lock.status("running")
        other.status("done", step=5)
        assert shown.line().endswith("0 failed; running: copy-rnn/0123456789-s0, copy-rnn/0123456789-s1")
        lock.status("failed", reason="again")
    for _ in range(2):  # counted once
        assert shown.line().startswith("2/4 jobs: 1 done, 1 failed, about 1 s left; running: none")
