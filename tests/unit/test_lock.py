"""A lock on a run directory writes its status, on a full disk as well, and never beside the directory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mechlab.core.errors import RunError
from mechlab.record import status as module
from mechlab.record.files import writing
from mechlab.record.lock import RunLock
from mechlab.record.status import read_status


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_the_status_is_written_over_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLock(tmp_path) as lock:
        lock.status("running")
        inode = (tmp_path / "status.json").stat().st_ino
        monkeypatch.setattr(module, "write_json", full)
        lock.status("failed", reason="ü" * 5000, traceback="x" * 50_000)
    found = read_status(tmp_path)
    assert found["status"] == "failed" and found["reason"] == "ü" * 500
    path = tmp_path / "status.json"
    assert path.stat().st_ino == inode and path.stat().st_size <= 4096


def test_on_a_full_disk_without_a_status_the_error_is_that_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(RunError, match="make room on the disk"), RunLock(tmp_path) as lock, writing(tmp_path):
        lock.status("running")


@pytest.mark.parametrize("removed", [True, False])
def test_a_directory_that_is_gone_is_not_written_again(tmp_path: Path, removed: bool) -> None:
    run = tmp_path / "run"
    with RunLock(run) as lock:
        lock.status("running")
        run.rename(tmp_path / "moved")
        if not removed:
            run.mkdir()
        with pytest.raises(RunError, match="moved or removed"):
            lock.status("done")
    assert not (run / "status.json").exists()
    assert read_status(tmp_path / "moved")["status"] == "running"


def test_what_is_no_full_disk_is_not_told_to_make_room(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="must be writable") as caught, writing(tmp_path):
        (tmp_path / "no" / "file").touch()
    assert "room" not in str(caught.value) and str(tmp_path) in str(caught.value)
