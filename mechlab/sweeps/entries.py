"""Checked reading of a manifest's lines, which anybody who may write to the folder of the runs can have changed."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mechlab.core.errors import RunError
from mechlab.record.files import LINES_BYTES, parse_json, read_bytes
from mechlab.sweeps.code import PACKAGE


def read_entries(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a manifest, one job each, after checks of each value's kind and of their consistency.

    Raises:
        RunError: the manifest cannot be read, or a value is invalid; the error names its line and key.
    """
    try:
        lines = read_bytes(path, LINES_BYTES).removesuffix(b"\n").split(b"\n")
    except RunError as error:
        raise manifest_error(path, error.brief) from None
    entries = [_entry(path, number, line) for number, line in enumerate(lines, start=1)]
    runs: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        expected = {
            "index": number - 1,
            "run": f"{entry['config']['name']}/{entry['run_id']}-s{entry['config']['seed']}",
            **{key: entries[0][key] for key in ("commit", "packages", "code")},
        }
        for key, value in expected.items():
            if entry[key] != value:
                got = f"{reprlib.repr(entry[key])} in place of {reprlib.repr(value)}"
                raise manifest_error(path, f"line {number}, key {key}: {got}")
        if entry["run"] in runs:
            raise manifest_error(path, f"line {number}, key run: {reprlib.repr(entry['run'])} for the second time")
        runs.add(entry["run"])
    return entries


def manifest_error(path: Path, got: str) -> RunError:
    """Return the error for a manifest that differs from what a plan writes."""
    must = "a manifest must hold one JSON object per line, as `mechlab.sweep plan` wrote them"
    return RunError(must, got=got, key=str(path), fix="plan it again, which writes a new manifest")


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return one line of a manifest after checks of the kind of each value that is used."""
    try:
        entry = parse_json(line, path)
    except RunError as error:
        raise manifest_error(path, f"line {number}: {error.got}") from None
    if not isinstance(entry, dict):
        raise manifest_error(path, f"line {number}: {reprlib.repr(entry)}")
    for key, (kind, fits) in KINDS.items():
        value: Any = entry
        for word in key.split("."):
            if not isinstance(value, dict) or word not in value:
                raise manifest_error(path, f"line {number} without the key {key}")
            value = value[word]
        if not fits(value):
            raise manifest_error(path, f"line {number}, key {key}: {reprlib.repr(value)}, which is not {kind}")
    return entry


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


# the kinds of values that each line must have, by dotted keys
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "config": ("a configuration", lambda value: isinstance(value, dict)),
    "config.name": ("a name of letters, digits and -_.+", _matches(r"[\w.+-]*\w")),
    "config.seed": ("a seed", lambda value: type(value) is int and value >= 0),
    "config.allow_targets": ("a list of packages", lambda v: _words(v) and all(map(_matches(PACKAGE), v))),
    "config.trainer.accelerator": ("cpu or gpu", _matches("cpu|gpu")),
    "index": ("a whole number", lambda value: type(value) is int),
    "run_id": ("hexadecimal digits", _matches(r"[0-9a-f]{8,64}")),
    "run": ("NAME/RUN_ID-sSEED", _matches(r"[\w.+-]*\w/[0-9a-f]+-s\d+")),
    "overrides": ("a list of words", _words),
    "commit": ("a git commit or null", lambda value: value is None or _matches(r"[0-9a-f]{1,64}")(value)),
    "packages": (
        "versions by package",
        lambda value: isinstance(value, dict) and all(v is None or isinstance(v, str) for v in value.values()),
    ),
    "code": ("a SHA-256 digest", _matches(r"[0-9a-f]{64}")),
}
