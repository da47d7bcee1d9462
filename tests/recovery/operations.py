"""Every operation on files below a folder, as Python announces it: counted, and a process killed before the n-th."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink", "os.chmod"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class KilledAt:
    """Calling it has the process killed before the n-th operation that changes files below a folder.

    Args:
        log: a file that gets a line for each such operation, outside of the folder.
        nth: the operation to be killed before, counted from 1; 0 to be left alone.
        below: the folder, in the working directory.
    """

    log: Path
    nth: int = 0
    below: str = "runs"

    def __call__(self) -> None:
        folder, count = str(Path.cwd() / self.below), 0
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event not in CHANGES and not (event == "open" and _writes(arguments)):
                return
            path = arguments[0]
            if not isinstance(path, str | os.PathLike) or not _absolute(path, event, arguments).startswith(folder):
                return
            count += 1
            os.write(log, f"{event} {os.path.relpath(_absolute(path, event, arguments), folder)}\n".encode())
            if count == self.nth:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    return any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & WRITES)


def _absolute(path: Any, event: str, arguments: tuple[Any, ...]) -> str:
    """Return where a path leads; shutil.rmtree names files relative to a folder that it has opened."""
    folder = arguments[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
    if isinstance(folder, int) and folder >= 0:
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    return os.path.abspath(path)
