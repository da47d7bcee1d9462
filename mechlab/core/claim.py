"""Claiming a run directory: one process at a time, and a status that tells what became of it."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO, Any, Literal

from mechlab.core import answers
from mechlab.core.errors import MechlabError, RunError
from mechlab.core.files import read_json, write_json

Status = Literal["pending", "running", "preempted", "failed", "done"]


class Held(MechlabError):
    """Another process is working on the run."""


class Claim:
    """Exclusive hold of a run directory, given back when the block ends or the process dies. The replacement of an
    answer that a killed process began is ended first.

    Args:
        folder: the run directory; made if need be.

    Raises:
        Held: another process holds it; the message is `run is held by HOST:PID`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._file: IO[str] | None = None

    def __enter__(self) -> Claim:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = open(self.folder / ".lock", "a+", encoding="utf-8")
        except OSError as error:
            fix = "choose another folder with paths.root=DIR"
            raise RunError("the folder for runs must be writable", got=str(error), key="paths.root", fix=fix) from None
        if not _lock(file):
            with file:
                raise Held(f"run is held by {_holder(file)}")
        file.seek(0)
        file.truncate()
        file.write(f"{socket.gethostname()}:{os.getpid()}")
        file.flush()
        self._file = file
        answers.complete(self.folder)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.truncate(0)  # whoever finds the file locked next must not read this process's name
        self._file.close()

    def status(self, status: Status, **details: Any) -> None:
        """Write status.json; details (step, traceback, ...) are added to the times, host and process."""
        write_status(self.folder, status, **details)


def _lock(file: IO[str]) -> bool:
    """Lock the file, unless a process keeps it locked for longer than `is_held` takes to look."""
    for _ in range(5):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


def _holder(file: IO[str]) -> str:
    """Return HOST:PID of the process that has locked the file, which writes it right after locking."""
    for _ in range(100):
        file.seek(0)
        if holder := file.read().strip():
            return holder
        time.sleep(0.01)
    return "another process"


def write_status(folder: Path, status: Status, **details: Any) -> None:
    """Write status.json, keeping the time of the first start."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    before = read_status(folder)
    values = {
        "status": status,
        "started": before.get("started", now),
        "updated": now,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        **details,
    }
    write_json(folder / "status.json", values)


def read_status(folder: Path) -> dict[str, Any]:
    """Read status.json; a missing or damaged one reads as pending, since a claim can always be made anew."""
    try:
        found = read_json(folder / "status.json")
    except MechlabError:
        found = None
    return found if isinstance(found, dict) and "status" in found else {"status": "pending"}


def is_held(folder: Path) -> bool:
    """Tell whether a process, on whatever machine, is working on the run directory at this moment."""
    try:
        with open(folder / ".lock", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def complete(folder: Path) -> None:
    """End the replacements of answers that a killed process began, unless another process is working on the run or the
    folder cannot be written: those are left as they are."""
    if not answers.is_complete(folder):
        with contextlib.suppress(Held, RunError, OSError), Claim(folder):
            pass
