"""status.json: whether a run is pending, running, preempted, failed or done, since when, where and why."""

from __future__ import annotations

import datetime
import os
import socket
from pathlib import Path
from typing import Any, Literal, get_args

from mechlab.core.errors import MechlabError, RunError
from mechlab.record.files import json_text, open_regular, read_mapping, write_json
from mechlab.record.result import NUMBER, TEXT_OR_NULL, fits

Status = Literal["pending", "running", "preempted", "failed", "done"]
STATUS = "status.json"
DAMAGED = "damaged"  # read from a status.json that cannot be read; never written
LETTERS = 500  # of a reason on a full disk: status.json has a block of 4096 bytes already
TEXTS = ("reason", "traceback", "host", "started", "updated")
NUMBERS = ("step", "seconds", "pid")


def write_status(folder: Path, status: Status, **details: Any) -> None:
    """Write status.json, keeping the time of the first start."""
    write_json(folder / STATUS, _content(folder, status, details))


def write_over(folder: Path, status: Status, **details: Any) -> None:
    brief = {name: value[:LETTERS] if isinstance(value, str) else value for name, value in details.items()}
    content = json_text(_content(folder, status, brief | {"traceback": None}))
    with open_regular(folder / STATUS, "r+", os.O_RDWR, encoding="utf-8") as file:
        file.write(content)
        file.truncate()


def _content(folder: Path, status: Status, details: dict[str, Any]) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    before = read_status(folder)
    return {
        "status": status,
        "started": before.get("started") or now,
        "updated": now,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        **details,
    }


def read_status(folder: Path) -> dict[str, Any]:
    """Return the content of status.json, its times, texts and numbers of the right types.

    Without the file the run is pending. Where it cannot be read, or is not what a process writes, the status is
    "damaged", with the `reason`; a claim can be made anew all the same.
    """
    try:
        if not has_status(folder):
            return {"status": "pending"}
        found = read_mapping(folder / STATUS)
    except MechlabError as error:
        return {"status": DAMAGED, "reason": error.brief}
    if found.get("status") not in get_args(Status):
        return _damaged(folder, "status must be one of " + ", ".join(get_args(Status)))
    for name, kind in (*dict.fromkeys(TEXTS, TEXT_OR_NULL).items(), *dict.fromkeys(NUMBERS, NUMBER).items()):
        if not fits(found.get(name), kind):
            return _damaged(folder, f"{name} must be {kind}")
    if found["status"] == "failed":
        found["reason"] = found.get("reason") or "not recorded"
    return found


def _damaged(folder: Path, must: str) -> dict[str, Any]:
    return {"status": DAMAGED, "reason": RunError(must, key=str(folder / STATUS)).brief}


def has_status(folder: Path) -> bool:
    """Tell whether there is a status.json of any kind, which makes a folder a run directory."""
    try:
        os.lstat(folder / STATUS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it cannot be looked at, which reading it will tell
        return True
    return True
