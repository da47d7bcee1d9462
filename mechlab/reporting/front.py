"""The tables of the page about a task: few columns, and of the cells what distinguishes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mechlab.reporting.cells import ABSENT, Cell, shown, value_of
from mechlab.reporting.entries import Code, Entry, Mean, Number, Verdict
from mechlab.reporting.paper import (
    MEASURES,
    NUMBERS,
    expected_entries,
    held,
    number_entries,
)
from mechlab.reporting.section import Section, cut, short
from mechlab.reporting.table import Table

KEYS = 4  # of the configuration in a table of results
METRICS = 3  # in a table of results
SIDE_BY_SIDE = 4  # cells whose numbers stand in a column each
VALUE = 60  # letters of a config value


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


def expected(section: Section) -> Table:
    """Return the expected numbers beside the measured ones."""
    rows = [[cell_name(section, cell), *entries] for cell, entries in expected_entries(section)]
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
        cells = [f"{cell_name(section, cell)} (n = {len(cell.done)})" for cell in section.done]
        return Table("numbers", f"{caption}: means [95 % interval]", ["name", *cells], [(None, rows)])
    groups: list[Any] = []
    for name in names:
        cells = [cell for cell in section.done if name in cell.numbers]
        groups.append((name, [[cell_name(section, cell), *number_entries(cell, name)] for cell in cells]))
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
    if len(section.cells) == 1 and (setting := section.cells[0].records[0].setting):
        words.append(setting)
    seeds = list(dict.fromkeys(shown(value_of(run, "seed")) for cell in section.cells for run in cell.records))
    whole = all(seed.isdecimal() and len(seed) < 10 for seed in seeds)
    listed = cut(ranges(map(int, seeds)), VALUE) if whole else ", ".join(seeds[:4]) + (", …" if len(seeds) > 4 else "")
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


def cell_name(section: Section, cell: Cell) -> str:
    """Return a cell's number and label."""
    return f"{cell.number} {section.label(cell)}"
