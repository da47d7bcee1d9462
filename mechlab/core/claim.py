"""Claiming a run directory: one process at a time, and a status that tells what became of it."""

from __future__ import annotations

import datetime
import fcntl
import os
import socket
from pathlib import Path
from typing import IO, Any, Literal

from mechlab.core.errors import MechlabError
from mechlab.core.files import read_json, write_json

Status = Literal["pending", "running", "preempted", "failed", "done"]


class Held(MechlabError):
    """Another process is working on the run."""


class Claim:
    """Exclusive hold of a run directory, given back when the block ends or the process dies.

    Args:
        folder: the run directory; made if need be.

    Raises:
        Held: another process holds it; the message is `run is held by HOST:PID`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._file: IO[str] | None = None

    def __enter__(self) -> Claim:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = open(self.folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115 (open as long as the claim)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise Held(f"run is held by {holder}") from None
        file.seek(0)
        file.truncate()
        file.write(f"{socket.gethostname()}:{os.getpid()}")
        file.flush()
        self._file = file
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def status(self, status: Status, **details: Any) -> None:
        """Write status.json; details (step, traceback, ...) are added to the times, host and process."""
        write_status(self.folder, status, **details)


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
        return read_json(folder / "status.json")
    except MechlabError:
        return {"status": "pending"}
