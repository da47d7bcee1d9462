"""Reading of a run's files for the report; damaged files are listed, and the others are read."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from mechlab.core.errors import MechlabError, RunError
from mechlab.core.printable import printable
from mechlab.record.digests import CONFIG, check_file
from mechlab.record.files import TABLE_BYTES, open_regular, read_json, read_yaml, refuse_links
from mechlab.record.result import read_result
from mechlab.record.status import DAMAGED, read_status
from mechlab.reporting.record import DONE, ExpectedNumber, Problem, Record, ReportedClaim

DAMAGE = (MechlabError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error)


def read_run(folder: Path) -> Record:
    """Return the data of a run that the report shows; nothing in it is imported or executed."""
    record = Record(folder, {"status": DAMAGED})
    with _damage_noted(record, "."):
        refuse_links(folder)
        record.status = clean(read_status(folder))
    if record.problems:
        return record
    if record.state == DAMAGED:
        record.damaged("status.json", record.status["reason"])
    _read_provenance(record)
    if (folder / "result.json").exists() or record.state == DONE:
        with _damage_noted(record, "result.json"):
            _read_result(record, clean(read_result(folder)))
    if record.state == "failed":
        reason = _last_line(record.status.get("traceback")) or _last_line(record.status["reason"])
        record.problems.append(Problem(str(folder), "failed", "status.json", reason))
    return record


def read_curves(
    record: Record, names: Callable[[list[str]], list[str]], file_name: str = "metrics.csv"
) -> dict[str, tuple[list[int], list[float]]]:
    """Read columns of metrics.csv, or of another table with a column `step`.

    Args:
        record: the run.
        names: from the columns that there are to the ones that are wanted.
        file_name: the table, in the run directory.

    Returns:
        For each column (steps, values), where it has a finite value.
    """
    curves: dict[str, tuple[list[int], list[float]]] = {}
    with _damage_noted(record, file_name), _checked(record.folder, file_name) as file:
        rows = csv.reader(file)
        header = [printable(name) for name in next(rows, [])]
        if "step" not in header:
            raise ValueError("there is no column `step`")
        at = header.index("step")
        wanted = [(header.index(name), curves.setdefault(name, ([], []))) for name in names(header)]
        for row in rows:
            for column, (steps, values) in wanted:
                if len(row) == len(header) and row[column] and math.isfinite(value := float(row[column])):
                    steps.append(int(row[at]))
                    values.append(value)
    return curves


def _checked(folder: Path, name: str) -> TextIO:
    check_file(folder, name)
    return open_regular(folder / name, most=TABLE_BYTES, encoding="utf-8", newline="")


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of a nested mapping; lists are values."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


class _damage_noted:
    """Adds a damaged file to the problems of the run, and continues after the block."""

    def __init__(self, record: Record, file: str):
        self.record, self.file = record, file

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, DAMAGE):
            return False
        reason = error.brief if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        self.record.damaged(self.file, reason)
        return True


def _read_provenance(record: Record) -> None:
    provenance = record.folder / "provenance"
    if not provenance.is_dir() and record.state == "pending":
        return
    with _damage_noted(record, CONFIG):
        check_file(record.folder, CONFIG)
    with _damage_noted(record, CONFIG):
        record.config = dict(flat(clean(_mapping(read_yaml(provenance / "config.yaml")))))
    with _damage_noted(record, "provenance/overrides.json"):
        words = read_json(provenance / "overrides.json")
        if not isinstance(words, list | None):
            raise ValueError("it must hold a list")
        record.overrides = None if words is None else [printable(word) for word in words]
    with _damage_noted(record, "provenance/environment.json"):
        environment = _mapping(read_json(provenance / "environment.json"))
        versions = _mapping(environment.get("packages") or {})
        values = {name: environment.get(name) for name in ("command", "commit")} | {"torch": versions.get("torch")}
        record.environment = {name: printable(value or "") for name, value in values.items()}


def _read_result(record: Record, result: dict[str, Any]) -> None:
    record.numbers = numbers_of(result["metrics"])
    for folder, finding in result.get("findings", {}).items():
        differs = ", ".join(f"{name}={value}" for name, value in finding.get("differs", {}).items())
        analysis = f"{folder} ({differs})" if differs else folder  # other parameters than the configured ones
        record.numbers |= {f"{analysis}/{name}": value for name, value in numbers_of(finding["scalars"]).items()}
        record.claims |= {(analysis, slug): claim for slug, claim in read_claims(finding).items()}
        record.notes |= {(analysis, slug): note for slug, note in finding.get("notes", {}).items()}
    record.expected = read_expected(result.get("expected", {}))


def read_claims(finding: Mapping[str, Any]) -> dict[str, ReportedClaim]:
    """Return the claims of a finding by slug."""
    names = [name for name in ReportedClaim._fields if name != "interval"]
    claims = {}
    for slug, claim in finding["claims"].items():
        ends = claim.get("interval")
        interval = None if ends is None or None in ends else (float(ends[0]), float(ends[1]))
        claims[slug] = ReportedClaim(**{name: claim[name] for name in names}, interval=interval)
    return claims


def read_expected(rows: Mapping[str, Any]) -> dict[str, ExpectedNumber]:
    """Return expected numbers by metric."""
    fields = {metric: {name: row[name] for name in ExpectedNumber._fields} for metric, row in rows.items()}
    texts = ("source", "reason")
    return {
        metric: ExpectedNumber(**values | {name: values[name] or "" for name in texts})
        for metric, values in fields.items()
    }


def clean(value: Any) -> Any:
    """Return plain data in which all text prints: control characters and the like are escaped."""
    if isinstance(value, dict):
        return {printable(key): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return printable(value, lines=True) if isinstance(value, str) else value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"it must hold a mapping where it has {json.dumps(value, default=str)[:60]}")
    return value


def numbers_of(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the numbers that are known."""
    return {name: float(value) for name, value in values.items() if value is not None}


def _last_line(text: Any) -> str:
    lines = [line.strip() for line in str(text or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""
