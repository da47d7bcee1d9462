"""Answers about sets of runs, as far as all their runs are reported."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechlab.core.errors import MechlabError, RunError
from mechlab.record import sets
from mechlab.record.files import TABLE_BYTES, open_regular, refuse_links
from mechlab.record.spreadsheet import from_text
from mechlab.reporting.collect import DAMAGE, clean, numbers_of, read_claims, read_expected
from mechlab.reporting.entries import Entry, Mean, Number
from mechlab.reporting.pictures import file_name
from mechlab.reporting.record import ExpectedNumber, Problem, Record, ReportedClaim
from mechlab.reporting.table import Table
from mechlab.statistics.bootstrap import Summary

LOW, HIGH = "_low", "_high"  # endings of the columns that hold the ends of a column's interval


@dataclass
class SetAnswer:
    """The answer of an analysis about a set of runs.

    Args:
        folder: where it lies.
        runs: the runs, as `<task>-<model>/<run_id>-s<seed>`.
        parameters: of the analysis.
        numbers: scalars by name.
        claims: by slug.
        notes: sentences by slug.
        expected: expected numbers by `<analysis>/<scalar>`.
        subject: what the runs are of; empty if that is not recorded.
    """

    folder: Path
    runs: list[str]
    parameters: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    claims: dict[str, ReportedClaim] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    expected: dict[str, ExpectedNumber] = field(default_factory=dict)
    subject: str = ""

    @property
    def analysis(self) -> str:
        """The analysis's name."""
        return self.folder.name

    @property
    def name(self) -> str:
        """The analysis's name and the hash of the set, for names of files."""
        return file_name(f"{self.analysis}-{self.folder.parent.name}")

    def files(self, ending: str) -> list[Path]:
        """Return the saved files of an ending, such as csv, in order."""
        return sorted(self.folder.glob(f"*.{ending}"))


def read_sets(records: Sequence[Record]) -> tuple[list[SetAnswer], list[Problem]]:
    """Return the answers about sets of the given runs that are up to date, and the problems of the others."""
    roots: dict[Path, list[str]] = {}
    for record in records:
        roots.setdefault(record.folder.parent.parent, []).append(sets.run_name(record.folder))
    answers, problems = [], []
    for root, runs in roots.items():
        for folder in sets.answers_about(root, runs):
            try:
                answers.append(_read(root, folder))
            except DAMAGE as error:
                reason = error.brief if isinstance(error, MechlabError) else f"{type(error).__name__}: {error}"
                kind = "out of date" if isinstance(error, OutOfDate) else "damaged"
                problems.append(Problem(str(folder), kind, "finding.json", reason))
    return answers, problems


class OutOfDate(RunError):
    """The record of a run has changed since an answer was read from it."""


def _read(root: Path, folder: Path) -> SetAnswer:
    refuse_links(folder.parent)
    about, finding = (clean(part) for part in sets.read_answer(folder))
    if not sets.is_current(root, about):
        must = "the runs of a set must be as they were when the analysis was run"
        fix = f"python -m mechlab.analyze run=RUNS analysis={folder.name}"
        raise OutOfDate(must, got="another record", fix=fix)
    parameters = {key: value for key, value in about.get("parameters", {}).items() if key != "_target_"}
    numbers, notes = numbers_of(finding["scalars"]), finding.get("notes", {})
    expected = read_expected(about.get("expected", {}))
    subject = finding.get("subject")
    named = subject if isinstance(subject, str) else ""
    return SetAnswer(folder, list(about["runs"]), parameters, numbers, read_claims(finding), notes, expected, named)


def table_of(path: Path, caption: str, most: int) -> Table | None:
    """Read a CSV table for the page, with `X`, `X_low` and `X_high` as one column; None if it has too many rows.

    Args:
        path: the CSV file.
        caption: what it shows.
        most: rows that it may have.
    """
    with open_regular(path, most=TABLE_BYTES, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        header = [from_text(name) for name in rows.fieldnames or ()]
        rows.fieldnames = header
        lines = []
        for row in rows:
            if len(lines) == most:
                return None
            lines.append({name: from_text(row[name] or "") for name in header})
    ends = {f"{name}{end}" for name in header for end in (LOW, HIGH) if {f"{name}{LOW}", f"{name}{HIGH}"} <= {*header}}
    columns = [name for name in header if name not in ends]
    numeric = {name for name in columns if all(not line[name] or _number(line[name]) is not None for line in lines)}
    entries = [[_entry(line, name, name in numeric) for name in columns] for line in lines]
    groups, shown = _groups(entries), [clean(name).replace("_", " ") for name in columns]
    return Table(path.stem, caption, shown if groups[0][0] is None else shown[1:], groups)


def _groups(rows: list[list[Entry]]) -> list[tuple[str | None, list[list[Entry]]]]:
    """Return rows in groups of the same first entry, if that is text that repeats."""
    names = [row[0] for row in rows if row and isinstance(row[0], str)]
    if not rows or len(names) < len(rows) or 2 * len(set(names)) > len(rows):
        return [(None, rows)]
    return [(str(name), [row[1:] for row in rows if row[0] == name]) for name in dict.fromkeys(names)]


def _entry(line: Mapping[str, str], name: str, numeric: bool) -> Entry:
    value = _number(line[name])
    if not numeric:
        return clean(line[name])
    if f"{name}{LOW}" not in line or f"{name}{HIGH}" not in line or value is None:
        return Number(value)
    return Mean(Summary((), value, _number(line[f"{name}{LOW}"]), _number(line[f"{name}{HIGH}"])))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def scalar_rows(answer: SetAnswer) -> Iterator[list[Entry]]:
    """Yield a row for each scalar, `name_low` and `name_high` as the interval of `name`."""
    for name, value in answer.numbers.items():
        low, high = answer.numbers.get(f"{name}{LOW}"), answer.numbers.get(f"{name}{HIGH}")
        base = name.removesuffix(LOW) if name.endswith(LOW) else name.removesuffix(HIGH)
        if base != name and {base, f"{base}{LOW}", f"{base}{HIGH}"} <= answer.numbers.keys():
            continue
        ends = (None, None) if low is None or high is None else (low, high)
        yield [name, Mean(Summary((), value, *ends))]
