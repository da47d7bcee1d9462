"""The config keys in which listed runs differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mechlab.listing.row import Row

OTHER = ("name", "paths", "objective", "allow_targets", "analysis", "callbacks", "loggers", "published", "expected")
ORDER = (
    "experiment",
    "task",
    "model",
    "optimizer",
    "schedule",
    "curriculum",
    "init_from",
    "trainer",
    "history",
    "seed",
)


def differing_keys(rows: Sequence[Row]) -> list[str]:
    """Return the keys that distinguish runs: those typed on a command line in which runs differ, and where these leave
    runs of the same task and model alike, all in which such runs differ. Experiment, task and model come first, the
    seed last."""
    typed = list(dict.fromkeys(key for row in rows for key in row.typed if key not in ("task", "model")))
    differing = [key for key in _configured(typed) if _differ(rows, key)]
    alike: dict[tuple, list[Row]] = {}
    for row in rows:
        alike.setdefault((row.record.name, *(_text(row, key) for key in differing)), []).append(row)
    for group in (group for group in alike.values() if len(group) > 1):
        keys = dict.fromkeys(key for row in group for key in row.record.config if not key.endswith("._target_"))
        differing += [key for key in _configured(keys) if key not in differing and _differ(group, key)]
    return sorted(differing, key=_place)


def _configured(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if key.split(".")[0] not in OTHER]


def _differ(rows: Sequence[Row], key: str) -> bool:
    """True if runs of the same name differ in a key, or those runs of different names that have it."""
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row.record.name, set()).add(_text(row, key))
    anywhere = {_text(row, key) for row in rows if row.values.get(key) is not None}
    return len(anywhere) > 1 or any(len(texts) > 1 for texts in groups.values())


def _text(row: Row, key: str) -> str:
    return repr(row.values.get(key))


def _place(key: str) -> float:
    first = key.split(".")[0]
    return ORDER.index(first) if first in ORDER else ORDER.index("seed") - 0.5
