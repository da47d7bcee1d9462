"""The command lines that have planned a sweep: the status of the same words needs no expansion of the grid."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from mechlab.core.errors import MechlabError
from mechlab.record.files import LINES_BYTES, read_bytes
from mechlab.sweeps.manifest import FOLDER, Sweep, load

FILE = "commands.jsonl"


def record_command(sweep: Sweep, overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Note in the sweep's folder that it was planned, just now, with these overrides and configuration folders."""
    line = _line(overrides, folders)
    handle = os.open(sweep.folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as file:
        if line not in _lines(sweep.folder):
            file.write(line + b"\n")
    os.utime(sweep.folder / FILE)


def last_planned(overrides: Sequence[str], folders: Sequence[Path]) -> Sweep | None:
    """Return the sweep that was planned last with these overrides and configuration folders; None if there is none in
    the folder of runs that the overrides name."""
    roots = [word.partition("=")[2] for word in overrides if word.startswith("paths.root=")]
    paths = (Path(roots[-1] if roots else "runs") / FOLDER).glob(f"[!.]*/{FILE}")
    line = _line(overrides, folders)
    try:
        planned = {path.stat().st_mtime_ns: path.parent for path in paths if line in _lines(path.parent)}
        return load(planned[max(planned)], Path()) if planned else None
    except (MechlabError, OSError):  # planned again, with a message about what is wrong
        return None


def _line(overrides: Sequence[str], folders: Sequence[Path]) -> bytes:
    return json.dumps([list(overrides), [str(folder.resolve()) for folder in folders]]).encode()


def _lines(folder: Path) -> list[bytes]:
    try:
        return read_bytes(folder / FILE, LINES_BYTES).splitlines()
    except MechlabError:
        return []
