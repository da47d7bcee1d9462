"""The exclusive lock of a run directory: one process works on a run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO, Any

from mechlab.core.errors import MechlabError, RunError
from mechlab.record import answers
from mechlab.record.files import FULL, open_regular, refuse_links
from mechlab.record.status import STATUS, Status, write_over, write_status


class Held(MechlabError):
    """Another process is working on the run."""


class RunLock:
    """Exclusive lock of a run directory, released when the block ends or the process dies. Entering completes the
    replacement of an answer that a killed process began.

    Args:
        folder: the run directory; made if need be.

    Raises:
        Held: another process holds it; the message is `run is held by HOST:PID`.
        RunError: it cannot be written, or something below it is a link.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._file: IO[str] | None = None

    def __enter__(self) -> RunLock:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock, flags = self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_APPEND
            file = open_regular(lock, "a+", flags, encoding="utf-8")
        except OSError as error:
            fix = "choose another folder with paths.root=DIR"
            raise RunError("the folder for runs must be writable", got=str(error), key="paths.root", fix=fix) from None
        if not _lock(file):
            with file:
                raise Held(f"run is held by {_holder(file)}")
        try:
            refuse_links(self.folder)
        except RunError:
            file.close()
            raise
        file.seek(0)
        file.truncate()
        file.write(f"{socket.gethostname()}:{os.getpid()}")
        file.flush()
        self._file = file
        answers.complete(self.folder)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.truncate(0)  # the next process must not read this process's name as the holder
        self._file.close()

    @property
    def in_place(self) -> bool:
        """True if the run directory is still where it was claimed."""
        try:
            return os.path.samestat(os.stat(self.folder / ".lock"), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def check_in_place(self) -> None:
        """Raise RunError if the run directory has been moved or removed since it was claimed."""
        if not self.in_place:
            must = "the run directory must stay where it is while a process works on it"
            fix = "move it back, in place of what may have been written there since, and repeat the command"
            raise RunError(must, got="it has been moved or removed", key=str(self.folder), fix=fix)

    def status(self, status: Status, **details: Any) -> None:
        """Write status.json; details (step, traceback, ...) are added to the times, host and process.

        On a full disk it is written over the one before, which takes no room, without a traceback.

        Raises:
            RunError: the run directory has been moved or removed.
        """
        self.check_in_place()
        try:
            write_status(self.folder, status, **details)
        except OSError as error:
            if error.errno not in FULL or not (self.folder / STATUS).is_file():
                raise
            write_over(self.folder, status, **details)


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


def is_held(folder: Path) -> bool:
    """True if a process, on any machine, holds the lock of the run directory at this moment."""
    try:
        with open_regular(folder / ".lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, RunError):  # none, or none that a process could hold
        return False
    return False


def complete(folder: Path) -> None:
    """End the replacements of answers that a killed process began, unless another process is working on the run or the
    folder cannot be written: those are left as they are."""
    if not answers.is_complete(folder):
        with contextlib.suppress(Held, RunError, OSError), RunLock(folder):
            pass
