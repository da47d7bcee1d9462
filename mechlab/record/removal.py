"""Removing the record of a run, so that it can be made anew; what an interrupted removal leaves is never used again."""

from __future__ import annotations

import os
from pathlib import Path

from mechlab.core.errors import RunError
from mechlab.record.digests import DIGESTS
from mechlab.record.files import TEMPORARY, remove_temporaries
from mechlab.record.lock import RunLock
from mechlab.record.status import STATUS, read_status

FIRST = (DIGESTS, "result.json")  # without them a run does not look finished


def remove_record(lock: RunLock) -> None:
    """Remove all that is in a run directory, except hidden files.

    The status says that this has begun until it is over. Each file or folder is renamed before it is removed, so it is
    whole or not there.

    Raises:
        RunError: the directory cannot be written.
    """
    folder = lock.folder
    if not any(_record(folder)) and not (folder / STATUS).exists():
        return
    print(f"removing the record: {folder}", flush=True)
    try:
        remove_temporaries(folder)
        lock.status("pending", removing=True)
        for path in sorted(_record(folder), key=lambda path: path.name not in FIRST):
            os.rename(path, path.with_name(f".{path.name}{TEMPORARY}"))
        remove_temporaries(folder)
        (folder / STATUS).unlink()
    except OSError as error:
        must, fix = "the run directory must be writable", "see to its permissions; the same command goes on"
        raise RunError(must, got=str(error), key=str(folder), fix=fix) from error


def is_half_removed(folder: Path) -> bool:
    """Return whether the removal of a run's record was interrupted."""
    return "removing" in read_status(folder)


def _record(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != STATUS]
