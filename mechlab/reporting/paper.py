"""The tables of a task for a paper: every cell with all keys that differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mechlab.reporting.cells import Cell
from mechlab.reporting.entries import Code, Ends, Entry, Mean, Number, Span, Truth, Verdict
from mechlab.reporting.section import Section, short
from mechlab.reporting.table import Table, count
from mechlab.statistics.bootstrap import summarise

CLAIM = ("holds", "measured", "least … greatest", "intervals of runs", "threshold", "chance")
MEASURES = ("metric", "published", "corrected", "measured", "deviation", "tolerance", "within", "source", "reason")
NUMBERS = 1500  # rows of the table of all numbers


def paper_tables(section: Section) -> Iterator[Table]:
    """Yield the tables of final metrics, expected numbers, claims, and all numbers, as far as there are some."""
    if section.done:
        yield _results(section)
        yield from (table for table in (_expected(section), _claims(section), _numbers(section)) if table.rows)


def _results(section: Section) -> Table:
    rows: list[list[Entry]] = []
    for cell in section.cells:
        means = [Mean(cell.numbers.get(name)) for name in section.main_metrics]
        rows.append([*_start(section, cell), Number(len(cell.done)), *means, held(cell)])
    columns = [*_columns(section), "n", *section.main_metrics, "claims hold"]
    caption = f"{section.task}: final metrics, mean [95 % bootstrap interval] over n finished runs"
    return Table("results", caption, columns, [(None, rows)])


def _claims(section: Section) -> Table:
    groups: list[tuple[Any, list[list[Entry]]]] = []
    for key in section.claims:
        made = [(cell, cell.claims[key]) for cell in section.done if key in cell.claims]
        statement = statement_of([claim for _, claims in made for claim in claims])
        kinds = dict.fromkeys(claim.kind for _, claims in made for claim in claims)
        rows = [[*_start(section, cell), *claim_entries(claims)] for cell, claims in made]
        groups.append((f"{'/'.join(key)}, {' or '.join(kinds)}: {statement}", rows))
    about = "with the number of runs of which they hold and the outer ends of these runs' intervals"
    return Table("claims", f"{section.task}: claims, {about}", [*_columns(section), *CLAIM], groups)


def _expected(section: Section) -> Table:
    caption = f"{section.task}: expected numbers beside the measured ones"
    rows = [[*_start(section, cell), *entries] for cell, entries in expected_entries(section)]
    return Table("expected", caption, [*_columns(section), *MEASURES], [(None, rows)])


def _numbers(section: Section) -> Table:
    """Return the table of all metrics and scalars, without rows where it is too long."""
    groups: list[tuple[Any, list[list[Entry]]]] = []
    for name in dict.fromkeys(name for cell in section.done for name in cell.numbers):
        cells = [cell for cell in section.done if name in cell.numbers]
        groups.append((name, [[*_start(section, cell), *number_entries(cell, name)] for cell in cells]))
    columns = [*_columns(section), "n", "mean [95 % interval]", "least … greatest"]
    fits = sum(len(rows) for _, rows in groups) <= NUMBERS
    return Table("numbers", f"{section.task}: every metric and scalar", columns, groups if fits else [])


def held(cell: Cell) -> Entry:
    """Return of how many claims of a cell's runs hold."""
    claims = [claim.holds for made in cell.claims.values() for claim in made]
    return Verdict(sum(claims), len(claims)) if claims else "–"


def statement_of(claims: list[Any]) -> str:
    """Return the first statement of claims of the same slug, and how many others there are."""
    statements = list(dict.fromkeys(claim.statement for claim in claims))
    return statements[0] + (f" (and {count(len(statements) - 1, 'variant')})" if len(statements) > 1 else "")


def claim_entries(claims: list[Any]) -> list[Entry]:
    """Return the entries of a claim of a cell's runs, in the order of CLAIM."""
    values, thresholds, nulls = (known(claims, name) for name in ("value", "threshold", "null"))
    intervals = [claim.interval for claim in claims if claim.interval is not None]
    low = min((ends[0] for ends in intervals), default=None)
    high = max((ends[1] for ends in intervals), default=None)
    measured = Mean(summarise(values) if values else None)
    verdict = Verdict(sum(claim.holds for claim in claims), len(claims))
    return [verdict, measured, Span(values), Ends(low, high), Span(thresholds), Span(nulls)]


def known(claims: list[Any], name: str) -> tuple[float, ...]:
    """Return a number of each claim that has it."""
    return tuple(value for claim in claims if (value := getattr(claim, name)) is not None)


def expected_entries(section: Section) -> Iterator[tuple[Cell, list[Entry]]]:
    """Yield (cell, entries in the order of MEASURES) of each expected number."""
    for cell in section.done:
        for metric, compared in cell.expected.items():
            first = compared[0]
            measured = known(compared, "measured")
            deviations, verdicts = known(compared, "deviation"), known(compared, "within")
            yield (
                cell,
                [
                    Code(metric),
                    Number(first.published),
                    Number(first.corrected),
                    Mean(summarise(measured) if measured else None),
                    Number(summarise(deviations).mean if deviations else None, signed=True),
                    Number(first.tolerance),
                    Truth(sum(verdicts), len(verdicts)) if verdicts else "not measured",
                    first.source,
                    first.reason,
                ],
            )


def number_entries(cell: Cell, name: str) -> list[Entry]:
    """Return n, mean and range of a number of a cell."""
    summary = cell.numbers[name]
    return [Number(summary.n), Mean(summary), Span(summary.values)]


def _start(section: Section, cell: Cell) -> list[Entry]:
    return [f"{cell.number}", *(cell.value(key) for key in section.keys)]


def _columns(section: Section) -> list[str]:
    return ["cell", *map(short, section.keys)]
