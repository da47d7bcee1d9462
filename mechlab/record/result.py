"""The schema of result.json and finding.json, checked where they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mechlab.core.errors import RunError
from mechlab.record.files import REPEAT, read_mapping

NUMBER = "a number or null"
TEXT_OR_NULL = "text or null"
INTERVAL = "two numbers or null"
ANY = "anything"
CLAIM = {
    "statement": "text",
    "value": NUMBER,
    "threshold": NUMBER,
    "holds": "true or false",
    "kind": "text",
    "null": NUMBER,
    "interval": INTERVAL,
}
FINDING = {"scalars": [NUMBER], "claims": [CLAIM], "notes": ["text"], "differs": [ANY], "files": ["text"]}
EXPECTED = {
    **dict.fromkeys(("published", "corrected", "tolerance", "measured", "deviation"), NUMBER),
    **dict.fromkeys(("source", "quantity", "correction", "reason"), TEXT_OR_NULL),
    "within": "true, false or null",
}
RESULT = {"metrics": [NUMBER], "findings": [FINDING], "expected": [EXPECTED]}
SET = {"analysis": "text", "runs": [{"files": ["text"]}], "reads": ANY, "expected": [EXPECTED]}
OPTIONAL = ("findings", "expected", "notes", "differs", "files")  # absent until they are known, or where empty

Shape = str | list[Any] | dict[str, Any]  # of a value; of all values of a mapping; of a mapping's values by name


def read_result(folder: Path) -> dict[str, Any]:
    """Return the content of a run's result.json; values that may be null and are absent are null.

    Raises:
        RunError: it is missing or damaged: a value has the wrong type, or a key is absent.
    """
    return _read(folder / "result.json", RESULT)


def read_finding(path: Path) -> dict[str, Any]:
    """Return the content of a finding.json; see `read_result`."""
    return _read(path, FINDING)


def read_set(path: Path) -> dict[str, Any]:
    """Return the content of a set.json, which lists the runs of a set; see `read_result`."""
    return _read(path, SET)


def _read(path: Path, shape: Shape) -> dict[str, Any]:
    value = read_mapping(path)
    if (wrong := _wrong(value, shape, path.stem)) is not None:
        raise RunError("the file must be a whole record", got=wrong, key=str(path), fix=REPEAT)
    return value


def _wrong(value: Any, shape: Shape, place: str) -> str | None:
    """Return the first mistake in a value, or None; absent keys that may be null are filled in."""
    if isinstance(shape, str):
        return None if fits(value, shape) else f"{place} must be {shape}, and is {str(value)[:40]!r}"
    if not isinstance(value, dict):
        return f"{place} must be a mapping, and is {str(value)[:40]!r}"
    pairs = [(name, shape[0]) for name in value] if isinstance(shape, list) else shape.items()
    for name, inner in pairs:
        if name in value:
            mistake = _wrong(value[name], inner, f"{place}.{name}")
        else:
            absent = isinstance(inner, str) and "null" in inner
            mistake = None if absent or name in OPTIONAL else f"{place} has no {name}"
            if absent:
                value[name] = None
        if mistake is not None:
            return mistake
    return None


def fits(value: Any, kind: str) -> bool:
    """True if a value is of a kind: "text", "a number", "true or false", or null where the kind mentions it."""
    if value is None or kind == ANY:
        return "null" in kind or kind == ANY
    if kind == INTERVAL:
        return isinstance(value, list) and len(value) == 2 and all(fits(end, NUMBER) for end in value)
    if "text" in kind:
        return isinstance(value, str)
    if "true" in kind:
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e308
