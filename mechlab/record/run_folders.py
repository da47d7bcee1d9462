"""Where a path leads that should be a run directory and is none."""

from __future__ import annotations

import difflib
import glob
from pathlib import Path

from mechlab.core.errors import RunError
from mechlab.core.printable import printable, quoted
from mechlab.record.digests import CONFIG
from mechlab.record.status import has_status

LISTS = "python -m mechlab.runs ls lists the runs"


def check_run_folder(path: str | Path, key: str | None = None) -> None:
    """Raise RunError, with what the path is instead, unless it is a run directory.

    Args:
        path: a path; a glob that matched nothing is one, too.
        key: the config key that names it, if there is one.
    """
    path = Path(path)
    if (path / CONFIG).is_file():
        return
    word = "" if key is None else f"{key}="
    inside = next((run for pattern in ("*", "*/*") for run in sorted(path.glob(pattern)) if has_status(run)), None)
    if not path.exists() and glob.has_magic(str(path)):
        must, got, fix = "a pattern must match at least one run directory", f"{path} matches nothing", LISTS
    elif not path.exists():
        must, got, fix = "a run directory must exist", f"there is no {path}", _near(path)
    elif inside is not None:
        must, got = "a run directory is asked for, not a folder of runs", f"{path} holds runs, such as {inside}"
        pattern = f"{path}{'/*' * len(inside.relative_to(path).parts)}"
        fix = quoted(word, inside if key == "init_from" else pattern)
    elif has_status(path):
        must, got, fix = f"a run directory must hold {CONFIG}", f"{path} has lost it", "restore it, or train again"
    else:
        must, got, fix = f"a run directory holds {CONFIG}", f"none in {path}", LISTS
    raise RunError(must, got=printable(got), key=key, fix=fix)


def _near(path: Path) -> str:
    """Return what to type instead of a path that does not exist: the nearest names in the folder where it ends."""
    wanted = path
    while not wanted.parent.is_dir() and wanted != wanted.parent:
        wanted = wanted.parent
    names = [entry.name for entry in wanted.parent.glob("*") if entry.is_dir() and entry.name[0] not in "._"]
    close = difflib.get_close_matches(wanted.name, names, n=1)
    return f"did you mean {str(wanted.parent / close[0])!r}? {LISTS}" if close else LISTS
