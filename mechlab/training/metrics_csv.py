"""metrics.csv: every logged metric against the optimiser step, one row per step."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

from mechlab.core.errors import RunError
from mechlab.core.files import write_text


class MetricsCSV(Logger):
    """Writes one row per optimiser step; metrics logged at the same step share a row.

    Args:
        path: the file.
        resume_at: optimiser step that training goes on from; rows beyond it are removed.
    """

    def __init__(self, path: Path, resume_at: int = 0):
        super().__init__()
        self.path = path
        self._rows: list[dict[str, str]] = []
        if path.exists():
            self._rows = [row for row in _read(path) if int(row["step"]) <= resume_at]
        self._columns = list(dict.fromkeys(name for row in self._rows for name in row)) or ["step"]
        self._rewrite()

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
            self._rows.append({"step": str(step)})
        self._rows[-1] |= {name: repr(float(value)) for name, value in metrics.items()}

    def log_hyperparams(self, *_arguments: Any, **_options: Any) -> None:
        """Hyper-parameters are kept in the run's provenance."""

    def save(self) -> None:
        """Write what has been logged since the last time."""
        columns = list(dict.fromkeys([*self._columns, *(name for row in self._rows for name in row)]))
        if columns != self._columns:
            first = int(self._rows[0]["step"])
            self._rows = [*(row for row in _read(self.path) if int(row["step"]) < first), *self._rows]
            self._columns = columns
            self._rewrite()
            return
        self._append()

    def latest(self, prefix: str) -> dict[str, float]:
        """Return the last logged value of every metric whose name starts with `prefix`."""
        self.save()
        found: dict[str, float] = {}
        for row in _read(self.path):
            found |= {name: float(value) for name, value in row.items() if name.startswith(prefix) and value}
        return found

    def finalize(self, status: str) -> None:
        """Write the rest."""
        self.save()

    def _rewrite(self) -> None:
        text = _table(self._columns, self._rows, header=True)
        write_text(self.path, text)
        self._keep_last(len(text.encode()))

    def _append(self) -> None:
        if not self._rows:
            return
        text = _table(self._columns, self._rows, header=False)
        with open(self.path, "r+", encoding="utf-8", newline="") as file:
            file.seek(self._offset)
            file.write(text)
            file.truncate()  # not before: the last row that is there belongs to a checkpoint
        self._keep_last(self._offset + len(text.encode()))

    def _keep_last(self, end: int) -> None:
        """Keep the last row open, since more may be logged at its step, and remember where it starts in the file."""
        self._rows = self._rows[-1:]
        self._offset = end - len(_table(self._columns, self._rows, header=False).encode())


def _table(columns: list[str], rows: list[dict[str, str]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read(path: Path) -> list[dict[str, str]]:
    """Return the rows of the file, without a last line that its writer did not finish."""
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
        for row in rows:
            int(row["step"])
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        got, fix = f"{type(error).__name__}: {error}", "restore it, or delete the run directory to train from the start"
        raise RunError("metrics.csv must be a table with a column `step`", got=got, key=str(path), fix=fix) from None
    return rows
