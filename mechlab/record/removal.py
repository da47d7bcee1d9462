"""Removal of a run's record before it is trained anew; the remains of an interrupted removal are never used."""

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
    """Remove everything in a run directory except hidden files.

    status.json marks the removal as begun until it is complete. Each file or folder is renamed before it is removed, so
    that no half of it remains under its name.

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
        must, fix = "the run directory must be writable", "change its permissions, then repeat the command"
        raise RunError(must, got=str(error), key=str(folder), fix=fix) from error


def is_half_removed(folder: Path) -> bool:
    """True if the removal of a run's record was interrupted."""
    return "removing" in read_status(folder)


def _record(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != STATUS]
