"""The recorded stages of a curriculum: the file history/stages.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mechlab.core.curriculum import Stage
from mechlab.core.errors import RunError
from mechlab.record.files import read_mapping, write_json

STAGES = "stages.json"
VERSION = 1


def write_stages(folder: Path, stages: Sequence[Stage]) -> None:
    """Write the stages into a run's history/ folder."""
    write_json(folder / STAGES, {"version": VERSION, "stages": [list(stage) for stage in stages]})


def read_stages(folder: Path) -> list[Stage] | None:
    """Return the stages in a run's history/ folder; None where none are recorded.

    Raises:
        RunError: the file is damaged, or of a format that is not known.
    """
    path = folder / STAGES
    if not path.exists():
        return None
    content = read_mapping(path)
    stages = content.get("stages")
    try:
        pairs = [(int(first), int(length)) for first, length in stages]
    except (TypeError, ValueError):
        pairs = []
    if content.get("version") != VERSION or not pairs:
        must, fix = "the stages of a curriculum must be [first step, length] each", "restore the file, or train again"
        raise RunError(must, got=stages, key=str(path), fix=fix)
    return pairs
