"""metrics.csv: every logged metric against the optimiser step, one row per step."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

from mechlab.core.errors import RunError
from mechlab.record.files import open_regular, write_text

START = ""  # the digest of a table without rows


class MetricsCSV(Logger):
    """Writes one row per optimiser step; metrics logged at the same step share a row.

    Args:
        path: the file.
        resume_at: optimiser step that training resumes from; later rows are removed.
        state: what `state` returned when the checkpoint was written; None if it was not saved.

    Raises:
        RunError: the file is no such table, or its rows are not those of the checkpoint.
    """

    def __init__(self, path: Path, resume_at: int = 0, state: Mapping[str, Any] | None = None):
        super().__init__()
        self.path = path
        rows = read_rows(path, resume_at) if path.exists() else []
        self._columns = list(dict.fromkeys(name for row in rows for name in row)) or ["step"]
        if state is not None:
            rows = _as_saved(path, rows, state)
        self._digest, self._cells = START, 0
        self._latest: dict[str, str] = {}
        for row in rows[:-1]:
            self._close(row)
        if rows:
            self._latest |= rows[-1]
        self._write_all(self._columns, rows)

    @property
    def name(self) -> str:
        """The logger's name."""
        return "metrics"

    @property
    def version(self) -> str:
        """The logger's version, which has no meaning here."""
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of an optimiser step."""
        if not self._rows or self._rows[-1]["step"] != str(step):
            if self._rows:
                self._close(self._rows[-1])
            self._rows.append({"step": str(step)})
        values = {name: repr(float(value)) for name, value in metrics.items()}
        self._rows[-1] |= values
        self._latest |= values

    def log_hyperparams(self, *_arguments: Any, **_options: Any) -> None:
        """Do nothing: hyper-parameters are in the run's provenance."""

    def save(self) -> None:
        """Write what has been logged since the last time."""
        columns = list(dict.fromkeys([*self._columns, *(name for row in self._rows for name in row)]))
        if columns != self._columns:
            first = int(self._rows[0]["step"])
            rows = [*(row for row in _read(self.path) if int(row["step"]) < first), *self._rows]
            self._write_all(columns, _as_saved(self.path, rows, {"digest": self._digest, "last": rows[-1]}))
            self._columns = columns  # not before the header has been written
            return
        self._append()

    def sync(self) -> dict[str, Any]:
        """Write what has been logged, have it reach the disk, and return what a checkpoint keeps of the table: the last
        row, the digest of those before it, and the number of their cells."""
        self.save()
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())
        return {"digest": self._digest, "last": dict(self._rows[-1]) if self._rows else {}, "cells": self._cells}

    def latest(self, prefix: str) -> dict[str, float]:
        """Return the last logged value of every metric whose name starts with `prefix`."""
        return {name: float(value) for name, value in self._latest.items() if name.startswith(prefix)}

    def finalize(self, status: str) -> None:
        """Write the rest."""
        self.save()

    def _close(self, row: Mapping[str, str]) -> None:
        """Add a complete row to the digest."""
        self._digest = digest_with(self._digest, row)
        self._cells += sum(bool(value) for value in row.values())
        self._latest |= row

    def _write_all(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        text = _table(columns, rows, header=True)
        write_text(self.path, text)
        self._keep_last(columns, rows, len(text.encode()))

    def _append(self) -> None:
        if not self._rows:
            return
        text = _table(self._columns, self._rows, header=False)
        with open_regular(self.path, "r+", os.O_RDWR, encoding="utf-8", newline="") as file:
            file.seek(self._offset)
            file.write(text)
            file.truncate()  # not before: the last row that is there belongs to a checkpoint
        self._keep_last(self._columns, self._rows, self._offset + len(text.encode()))

    def _keep_last(self, columns: list[str], rows: list[dict[str, str]], end: int) -> None:
        """Keep the last row open, since more may be logged at its step, and remember where it starts in the file."""
        self._rows = rows[-1:]
        self._offset = end - len(_table(columns, self._rows, header=False).encode())


def digest_with(digest: str, row: Mapping[str, str]) -> str:
    """Return the digest of a table with one more row, given that of the rows before it."""
    filled = sorted((name, value) for name, value in row.items() if value)
    return hashlib.sha256(f"{digest} {json.dumps(filled)}".encode()).hexdigest()


def _as_saved(path: Path, rows: list[dict[str, str]], state: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows that a checkpoint was written with, or raise RunError if they are not all there."""
    last = dict(state["last"])
    before = [row for row in rows if row["step"] != last.get("step")]
    digest = START
    for row in before:
        digest = digest_with(digest, row)
    if digest != state["digest"] or (last and (len(rows) == len(before) or not last.items() <= rows[-1].items())):
        must = "metrics.csv must hold the rows that the checkpoint was written with"
        raise RunError(must, got="other rows", key=str(path), fix="train the run anew with rerun=true")
    return [*before, last] if last else before


def _table(columns: list[str], rows: list[dict[str, str]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: Path, step: int) -> list[dict[str, str]]:
    """Return the filled cells of each row up to an optimiser step; see `_read`."""
    return [{name: value for name, value in row.items() if value} for row in _read(path) if int(row["step"]) <= step]


def final_metrics(path: Path) -> dict[str, float]:
    """Return the last value of each metric of training, validation and test in a finished run's table."""
    latest = {name: value for row in _read(path) for name, value in row.items() if value}
    return {name: float(value) for name, value in latest.items() if name.startswith(("train/", "val/", "test/"))}


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a whole table."""
    columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
    write_text(path, _table(columns, rows, header=True))


def _read(path: Path) -> list[dict[str, str]]:
    """Return the rows of the file, without a last line that its writer did not finish."""
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
        for row in rows:
            int(row["step"])
            if None in row or None in row.values():
                raise ValueError(f"the row of step {row['step']} has another number of cells than the header")
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        got, fix = f"{type(error).__name__}: {error}", "restore it, or train the run anew with rerun=true"
        raise RunError("metrics.csv must be a table with a column `step`", got=got, key=str(path), fix=fix) from None
    return rows
