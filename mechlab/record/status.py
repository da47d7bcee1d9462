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
    """Overwrite status.json in place, without a traceback: on a full disk this takes no further room."""
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

    Without the file the run is pending. Where the file cannot be read, or does not have the right shape, the status is
    "damaged", with the `reason`; the run can be locked and trained all the same.
    """
    try:
        if not has_status(folder):
            return {"status": "pending"}
        content = read_mapping(folder / STATUS)
    except MechlabError as error:
        return {"status": DAMAGED, "reason": error.brief}
    if content.get("status") not in get_args(Status):
        return _damaged(folder, "status must be one of " + ", ".join(get_args(Status)))
    for name, kind in (*dict.fromkeys(TEXTS, TEXT_OR_NULL).items(), *dict.fromkeys(NUMBERS, NUMBER).items()):
        if not fits(content.get(name), kind):
            return _damaged(folder, f"{name} must be {kind}")
    if content["status"] == "failed":
        content["reason"] = content.get("reason") or "not recorded"
    return content


def _damaged(folder: Path, must: str) -> dict[str, Any]:
    return {"status": DAMAGED, "reason": RunError(must, key=str(folder / STATUS)).brief}


def has_status(folder: Path) -> bool:
    """True if there is a status.json of any kind, which makes a folder a run directory."""
    try:
        os.lstat(folder / STATUS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it exists and cannot be examined; reading it raises the error
        return True
    return True
