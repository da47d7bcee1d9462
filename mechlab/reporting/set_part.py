"""What the page shows of a set of runs: claims beside figures, tables, and everything else behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mechlab.record.files import atomic, read_bytes, write_text
from mechlab.reporting.cells import shown
from mechlab.reporting.claims import direction
from mechlab.reporting.collect import DAMAGE
from mechlab.reporting.entries import Bound, Code, Entry, Heading, Mean, Number, Span, Truth, Verdict, rounded
from mechlab.reporting.evidence import Evidence
from mechlab.reporting.front import without_empty
from mechlab.reporting.listings import read_listings
from mechlab.reporting.pictures import picture
from mechlab.reporting.record import Problem, ReportedClaim
from mechlab.reporting.sets import SetAnswer, scalar_rows, table_of
from mechlab.reporting.shots import OPEN, Shot, Shots
from mechlab.reporting.table import Table, count
from mechlab.statistics.bootstrap import Summary

ROWS = 300  # of a table in the page
OPEN_ROWS = 12  # of a table that is shown open
NAMED = 3  # columns that hold the same in every row, in a caption
COLUMNS = 8  # of a table in the page
RUNS = 60  # that are named
SHOWN = 24  # answers in the page
FILE_BYTES = 2**26  # of a table or figure


@dataclass
class SetPart(Evidence):
    """What the page shows of an answer about a set of runs.

    Args:
        answer: the answer.
        verdict: how many of its claims hold.
        expected: expected numbers.
        open, closed: tables that it saved, short ones and others.
        long: names of tables that are too long for the page.
        scalars: all of them.
    """

    answer: SetAnswer = field(kw_only=True)
    verdict: Verdict | None = None
    expected: Table | None = None
    open: list[Table] = field(default_factory=list)
    closed: list[Table] = field(default_factory=list)
    long: list[str] = field(default_factory=list)
    scalars: Table = field(kw_only=True)

    @property
    def title(self) -> str:
        """The analysis and the size of the set."""
        return f"{self.answer.analysis} of {count(len(self.answer.runs), 'run')}"

    @property
    def parameters(self) -> str:
        """The parameters of the analysis, as key=value words."""
        return ", ".join(f"{name}={shown(value)}" for name, value in self.answer.parameters.items())


def make_set_part(answer: SetAnswer, folder: Path, problems: list[Problem]) -> SetPart:
    """Return the part of the page about an answer, and write its figures and tables.

    Args:
        answer: the answer.
        folder: where tables and figures go.
        problems: gets what is damaged.
    """
    claims, expected = _claims(answer), _expected(answer)
    scalars = Table("scalars", f"{answer.analysis}: every scalar", ["scalar", "value"], [])
    scalars.groups.append((None, list(scalar_rows(answer))))
    for table in filter(None, (_paper_claims(answer), expected, scalars)):
        write_text(folder / f"{answer.name}-{table.name}.tex", table.latex())
    held = [claim.holds for claim in answer.claims.values()]
    shots = Shots(folder=answer.folder)
    for shot in _shots(answer, folder, problems):
        (shots.shown if len(shots.shown) < OPEN else shots.further).append(shot)
    tables, long = _tables(answer, folder)
    return SetPart(
        [claims] if claims else [],
        list(answer.notes.values()),
        shots,
        answer=answer,
        verdict=Verdict(sum(held), len(held)) if held else None,
        expected=without_empty(expected) if expected else None,
        open=[table for table in tables if table.rows <= OPEN_ROWS],
        closed=[table for table in tables if table.rows > OPEN_ROWS],
        long=long,
        scalars=scalars,
        listings=read_listings(answer.folder),
    )


def _claims(answer: SetAnswer) -> Table | None:
    groups: list = [
        (Heading(claim.statement, f"{slug}, {claim.kind}"), [_brief(claim)]) for slug, claim in answer.claims.items()
    ]
    columns = ["holds", "measured [interval]", "threshold", "chance"]
    return without_empty(Table("claims", f"{answer.analysis}: claims", columns, groups)) if groups else None


def _paper_claims(answer: SetAnswer) -> Table | None:
    rows: list[list[Entry]] = []
    for slug, claim in answer.claims.items():
        verdict, measured, *_ = _brief(claim)
        rows.append([slug, verdict, measured, Number(claim.threshold), Number(claim.null), claim.statement])
    columns = ["claim", "holds", "measured [interval]", "threshold", "chance", "statement"]
    return Table("claims", f"{answer.analysis}: claims about the set", columns, [(None, rows)]) if rows else None


def _brief(claim: ReportedClaim) -> list[Entry]:
    low, high = claim.interval or (None, None)
    measured = Mean(None if claim.value is None else Summary((), claim.value, low, high))
    threshold, null = (() if value is None else (value,) for value in (claim.threshold, claim.null))
    return [Truth(int(claim.holds), 1), measured, Bound(threshold, sign=direction([claim])), Span(null)]


def _expected(answer: SetAnswer) -> Table | None:
    rows: list[list[Entry]] = []
    for name, row in answer.expected.items():
        verdict = "not measured" if row.within is None else Truth(int(row.within), 1)
        numbers = [Number(row.published), Number(row.corrected), Number(row.measured), Number(row.deviation, True)]
        rows.append([Code(name), *numbers, Number(row.tolerance), verdict, row.source, row.reason])
    columns = ["scalar", "published", "corrected", "measured", "deviation", "tolerance", "within", "source", "reason"]
    caption = f"{answer.analysis}: expected numbers beside the measured ones"
    return Table("expected", caption, columns, [(None, rows)]) if rows else None


def _tables(answer: SetAnswer, folder: Path) -> tuple[list[Table], list[str]]:
    """Return the tables that an answer saved as the page shows them, and the names of those that are too long."""
    tables, long = [], []
    for path in answer.files("csv"):
        name = f"{answer.name}-{path.name}"
        _copy(path, folder / name)
        table = table_of(path, f"{answer.analysis}: {path.stem.replace('_', ' ')}", ROWS)
        if table is None:
            long.append(name)
        elif table.rows:
            write_text(folder / f"{answer.name}-{table.name}.tex", table.latex())
            tables.append(narrow(table, name))
    return tables, long


def narrow(table: Table, file: str) -> Table:
    """Return a table without the columns that hold the same in every row, which its caption then names, and of the
    others the first; `file` has all."""
    rows = [row for _, group in table.groups for row in group]
    places = list(range(len(table.columns)))
    if len(places) > COLUMNS and len(rows) > 1:
        places = [place for place in places if any(row[place] != rows[0][place] for row in rows)]
    alike = [place for place in range(len(rows[0])) if place not in places]
    same = [f"{table.columns[place]} {_plain(rows[0][place])}" for place in alike[:NAMED]]
    chosen, left = places[:COLUMNS], len(table.columns) - len(places[:COLUMNS]) - len(same)
    caption = table.caption + (f"; in all rows {', '.join(same)}" if same else "")
    caption += f"; {count(left, 'further column')} in {file}" if left else ""
    groups = [(heading, [[row[place] for place in chosen] for row in group]) for heading, group in table.groups]
    return Table(table.name, caption, [table.columns[place] for place in chosen], groups)


def _plain(entry: Entry) -> str:
    if isinstance(entry, str):
        return entry
    return " … ".join(rounded(digits.value) for digits in getattr(entry, "main", ())) or "–"


def _shots(answer: SetAnswer, folder: Path, problems: list[Problem]) -> Iterator[Shot]:
    """Yield the figures of an answer, and copy them as SVG and PDF."""
    for path in answer.files("png"):
        for other in (path.with_suffix(".svg"), path.with_suffix(".pdf")):
            if other.is_file():
                _copy(other, folder / "figures" / f"{answer.name}-{other.name}")
        try:
            made = picture(path)
        except DAMAGE as error:
            problems.append(Problem(str(answer.folder), "damaged", path.name, str(error)))
            continue
        subject = answer.subject or count(len(answer.runs), "run")
        yield Shot(made, path.stem.replace("_", " "), subject)


def _copy(path: Path, target: Path) -> None:
    content = read_bytes(path, FILE_BYTES)
    with atomic(target) as temporary:
        temporary.write_bytes(content)
