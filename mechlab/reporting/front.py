"""The tables of the page about a task: few columns, and of the cells what distinguishes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mechlab.reporting.cells import ABSENT, Cell, shown, value_of
from mechlab.reporting.paper import (
    CLAIM,
    MEASURES,
    NUMBERS,
    claim_entries,
    expected_entries,
    held,
    known,
    number_entries,
    statement_of,
)
from mechlab.reporting.record import ReportedClaim
from mechlab.reporting.section import Section, cut, short
from mechlab.reporting.table import Bound, Code, Entry, Heading, Mean, Number, Span, Table, Truth, Verdict
from mechlab.statistics.bootstrap import Summary, summarise

KEYS = 4  # of the configuration in a table of results
METRICS = 3  # in a table of results
STATEMENTS = 6  # claims of an analysis that stand with their statements, a row for each cell
CLAIM_ROWS = 16  # of a table of claims that has a row for each cell
EACH_ROWS = 600  # of the claims of an analysis in each cell
SIDE_BY_SIDE = 4  # cells whose numbers stand in a column each
VALUE = 60  # letters of a config value
SHORT = 3  # digits of ranges
OPPOSITE = {"≤": "≥", "≥": "≤"}
SIGNS = {"at most": "≤", "at least": "≥"}


def results(section: Section) -> Table:
    """Return the main metrics of each cell beside what distinguishes it."""
    keys, metrics = section.varied[:KEYS], section.main_metrics[:METRICS]
    rows: list[list[Entry]] = []
    for cell in section.cells:
        start = [f"{cell.number}", *(_value(cell, key) for key in keys)]
        means = [Mean(cell.numbers.get(name)) for name in metrics]
        rows.append([*start, Number(len(cell.done)), *means, held(cell)])
    columns = ["cell", *map(short, keys), "n", *metrics, "claims hold"]
    caption = "Final metrics: mean [95 % bootstrap interval] over n finished runs"
    return Table("results", caption, columns, [(None, rows)])


def claims_of(section: Section, analysis: str) -> Table:
    """Return the claims of an analysis: a row for each cell, or a row for each claim where those would be too many."""
    made = _made(section, analysis)
    caption = f"{analysis}: claims over all cells, from the least to the greatest"
    if len(made) > STATEMENTS:
        groups: list[Any] = [(None, [[Code(slug), *_brief(_joined(cells))] for (_, slug), cells in made.items()])]
        return without_empty(Table("claims", caption, ["claim", *BRIEF], groups))
    if not _in_rows(made):
        groups = [
            (_heading(key, cells), [[f"{len(cells)} cells", *_brief(_joined(cells))]]) for key, cells in made.items()
        ]
        return without_empty(Table("claims", caption, ["cell", *BRIEF], groups))
    named = len(section.done) > 1
    groups = []
    for key, cells in made.items():
        joined = _joined(cells)
        rows = [[*([_name(section, cell)] if named else []), *_brief(claims, joined)] for cell, claims in cells]
        groups.append((_heading(key, cells), rows))
    return without_empty(Table("claims", f"{analysis}: claims", [*(["cell"] if named else []), *BRIEF], groups))


BRIEF = ("holds", "measured", "threshold", "chance")


def claims_in_each(section: Section, analysis: str) -> Table | None:
    """Return the claims of an analysis in each cell with all that is known; None if that is too long for the page, or
    is no more than `claims_of` shows."""
    made = _made(section, analysis)
    if _in_rows(made) and all(len(claims) == 1 for cells in made.values() for _, claims in cells):
        return None
    groups: list[Any] = []
    for (_, slug), cells in made.items():
        rows = [[_name(section, cell), *claim_entries(claims)] for cell, claims in cells]
        groups.append((Heading(statement_of(_joined(cells)), slug), rows))
    table = without_empty(Table("each", f"{analysis}: claims in each cell", ["cell", *CLAIM], groups))
    return table if table.rows <= EACH_ROWS else None


def direction(claims: Sequence[ReportedClaim]) -> str:
    """Return on which side of its threshold a claim holds, ≤ or ≥, = where it was met exactly, or nothing.

    It is read from the statement, and where that names none or both sides, from the values of claims that hold, or
    else of those that fail.
    """
    words = {sign for words, sign in SIGNS.items() for claim in claims if words in claim.statement}
    if len(words) == 1:
        return words.pop()
    sides = Counter(side(claim) for claim in claims if claim.holds)
    sides = sides or Counter(OPPOSITE.get(side(claim), "") for claim in claims)
    return sides.most_common(1)[0][0] if sides else ""


def side(claim: ReportedClaim) -> str:
    """Return how a claim's value compares with its threshold, or nothing where one of them is not known."""
    if claim.value is None or claim.threshold is None:
        return ""
    return "=" if claim.value == claim.threshold else "≤" if claim.value < claim.threshold else "≥"


def notes_of(section: Section, analysis: str) -> list[str]:
    """Return each note of an analysis, with the cells whose runs have it."""
    cells: dict[str, list[int]] = {}
    for cell in section.done:
        for note in dict.fromkeys(note for run in cell.done for key, note in run.notes.items() if key[0] == analysis):
            cells.setdefault(note, []).append(cell.number)
    if len(section.done) == 1:
        return list(cells)
    return [f"{note} (cell {ranges(numbers)})" for note, numbers in cells.items()]


def expected(section: Section) -> Table:
    """Return the expected numbers beside the measured ones."""
    rows = [[_name(section, cell), *entries] for cell, entries in expected_entries(section)]
    caption = "Expected numbers beside the measured ones"
    return without_empty(Table("expected", caption, ["cell", *MEASURES], [(None, rows)]))


def numbers(section: Section) -> Table | None:
    """Return every metric and scalar of each cell; None if they are too many for the page."""
    names = dict.fromkeys(name for cell in section.done for name in cell.numbers)
    columns = ["n", "mean [95 % interval]", "least … greatest"]
    caption = "Every metric and scalar"
    if len(section.done) == 1:
        rows: list[list[Entry]] = [[Code(name), *number_entries(section.done[0], name)] for name in names]
        return Table("numbers", caption, ["name", *columns], [(None, rows)])
    if len(section.done) <= SIDE_BY_SIDE:
        rows = [[Code(name), *(Mean(cell.numbers.get(name)) for cell in section.done)] for name in names]
        cells = [f"{_name(section, cell)} (n = {len(cell.done)})" for cell in section.done]
        return Table("numbers", f"{caption}: means [95 % interval]", ["name", *cells], [(None, rows)])
    groups: list[Any] = []
    for name in names:
        cells = [cell for cell in section.done if name in cell.numbers]
        groups.append((name, [[_name(section, cell), *number_entries(cell, name)] for cell in cells]))
    table = Table("numbers", caption, ["cell", *columns], groups)
    return table if table.rows <= NUMBERS else None


def differences(section: Section) -> Table:
    """Return the values of every config key in which the cells differ, and the cells that have them."""
    rows: list[list[Entry]] = []
    for key in section.keys:
        cells: dict[str, list[int]] = {}
        for cell in section.cells:
            cells.setdefault(cut(cell.value(key), VALUE), []).append(cell.number)
        rows += [[Code(key), value, ranges(numbers)] for value, numbers in cells.items()]
    return Table("differences", "Configuration: what the cells differ in", ["key", "value", "cells"], [(None, rows)])


def varies(section: Section) -> str:
    """Return in words what varies among the runs of a task: the keys that separate its cells, and the seed."""
    words = []
    for key in section.varied:
        values = list(dict.fromkeys(cut(cell.value(key), VALUE) for cell in section.cells))
        if key == "model" or len(values) > 1:
            listed = ", ".join(values) if len(values) <= 4 else f"({len(values)} values)"
            words.append(f"{short(key)} {listed}")
    seeds = list(dict.fromkeys(shown(value_of(run, "seed")) for cell in section.cells for run in cell.records))
    whole = all(seed.isdecimal() and len(seed) < 10 for seed in seeds)
    listed = ranges(map(int, seeds)) if whole else ", ".join(seeds[:4]) + (", …" if len(seeds) > 4 else "")
    return "; ".join([*words, f"seed{'s' if len(seeds) > 1 else ''} {listed}"])


def ranges(numbers: Iterable[int]) -> str:
    """Return whole numbers as a reader lists them.

    >>> ranges([4, 1, 2, 3, 7, 8])
    '1–4, 7, 8'
    """
    groups: list[list[int]] = []
    for number in sorted(set(numbers)):
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    words = [f"{group[0]}–{group[-1]}" if len(group) > 2 else ", ".join(map(str, group)) for group in groups]
    return ", ".join(words)


def without_empty(table: Table) -> Table:
    """Return a table without the columns that hold nothing."""
    rows = [row for _, group in table.groups for row in group]
    full = [any(not _is_empty(row[place]) for row in rows) for place in range(len(table.columns))]
    chosen = [place for place, filled in enumerate(full) if filled]
    groups = [(heading, [[row[place] for place in chosen] for row in group]) for heading, group in table.groups]
    return Table(table.name, table.caption, [table.columns[place] for place in chosen], groups)


def _value(cell: Cell, key: str) -> str:
    value = cell.value(key)
    return ABSENT if value == "null" else cut(value, VALUE)


def _is_empty(entry: Entry) -> bool:
    return entry == "" or (not isinstance(entry, str | Code | Verdict) and not entry.main and not entry.interval)


def _in_rows(made: dict[tuple[str, str], list]) -> bool:
    """True if claims stand with their statements, a row for each cell."""
    return len(made) <= STATEMENTS and sum(map(len, made.values())) <= CLAIM_ROWS


def _made(section: Section, analysis: str) -> dict[tuple[str, str], list[tuple[Cell, list[ReportedClaim]]]]:
    """Return the cells that make each claim of an analysis, and the claims of their runs."""
    return {
        key: [(cell, cell.claims[key]) for cell in section.done if key in cell.claims]
        for key in section.claims
        if key[0] == analysis
    }


def _heading(key: tuple[str, str], cells: Sequence[tuple[Cell, list[ReportedClaim]]]) -> Heading:
    """Return a claim's statement, and its slug and kind as the remark."""
    joined = _joined(cells)
    return Heading(statement_of(joined), f"{key[1]}, {' or '.join(dict.fromkeys(claim.kind for claim in joined))}")


def _joined(cells: Sequence[tuple[Cell, list[ReportedClaim]]]) -> list[ReportedClaim]:
    return [claim for _, claims in cells for claim in claims]


def _brief(claims: list[ReportedClaim], all_of_them: list[ReportedClaim] | None = None) -> list[Entry]:
    """Return the entries in the order of BRIEF: of the runs of one cell, or of all cells (`all_of_them` is None)."""
    values = known(claims, "value")
    measured: Entry = Span(values, SHORT)
    if all_of_them is not None:
        low, high = (claims[0].interval or (None, None)) if len(claims) == 1 else (None, None)
        alone = Summary(values, values[0], low, high) if len(values) == 1 else None
        measured = Mean(alone or (summarise(values) if values else None))
    bound = Bound(known(claims, "threshold"), SHORT, direction(all_of_them or claims))
    return [
        Truth(sum(claim.holds for claim in claims), len(claims)),
        measured,
        bound,
        Span(known(claims, "null"), SHORT),
    ]


def _name(section: Section, cell: Cell) -> str:
    return f"{cell.number} {section.label(cell)}"
