"""The list of runs as text: aligned columns for other programs, a rich table on a terminal."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mechlab.core.printable import printable
from mechlab.listing.difference import differing_keys
from mechlab.listing.row import Row, shown

STYLES = {
    "done": "green",
    "failed": "red",
    "damaged": "red",
    "killed": "yellow",
    "preempted": "yellow",
    "running": "cyan",
}
WIDEST = 1000  # letters of a line
LONGEST = 24  # letters of a value


def print_table(rows: Sequence[Row], metrics: Sequence[str], console: Console) -> None:
    """Print a line for each run: on a terminal a table of its width, else aligned columns without blanks in a cell."""
    keys = differing_keys(rows)
    if console.is_terminal:
        _print_rich(rows, metrics, keys, console)
        return
    lines = [["status", "date", "size", "steps", *metrics, "claims", "differs", "run"]]
    for row in rows:
        differs = ",".join(_pairs(row, keys)) or "-"
        lines.append([row.status, row.values["date"] or "-", *_numbers(row, metrics), differs, row.run])
    lines = [[printable(cell).replace(" ", "_") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(rows: Sequence[Row], metrics: Sequence[str], keys: Sequence[str], console: Console) -> None:
    """Print a table; on a terminal that is too narrow for it, each run directory stands below the line of its run."""
    runs = [printable(row.run) for row in rows]
    pairs = [_pairs(row, keys) for row in rows]
    differs = {"differs": [Text("  ".join(words), "dim") for words in pairs]} if keys else {}
    whole = _table(rows, metrics, {**differs, "run": runs})
    if console.measure(whole, options=console.options.update(max_width=WIDEST)).maximum <= console.width:
        console.print(whole)
        return
    with console.capture() as captured:
        console.print(_table(rows, metrics))
    lines = captured.get().splitlines()
    heads = len(lines) - len(rows)
    print("\n".join(lines[:heads]))
    for line, run, words in zip(lines[heads:], runs, pairs, strict=True):
        print(line)
        fitting = Text("  ".join(_fitting(words, console.width - len(run) - 4)), "dim")
        console.print(Text(f"  {run}  ") + fitting, soft_wrap=True)


def _table(
    rows: Sequence[Row], metrics: Sequence[str], more: Mapping[str, Sequence[str | Text]] | None = None
) -> Table:
    more = more or {}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("status", "date", "size", "steps", *metrics, "claims", *more):
        left = name in ("status", "date", *more)
        table.add_column(_header(name), justify="left" if left else "right", no_wrap=True)
    for i, row in enumerate(rows):
        cells = [Text(row.status, STYLES.get(row.status, "")), _date(row.values["date"]), *_numbers(row, metrics, " ")]
        table.add_row(*cells, *(column[i] for column in more.values()))
    return table


def _fitting(pairs: Sequence[str], room: int) -> list[str]:
    """Return the first pairs that fit into so many letters, and how many more there are."""
    for n in range(len(pairs), -1, -1):
        shown = [*pairs[:n], *([f"+{len(pairs) - n}"] if n < len(pairs) else [])]
        if len("  ".join(shown)) <= room:
            return shown
    return []


def as_json(rows: Sequence[Row]) -> str:
    """Return one JSON document with all that is known of each run."""
    document = {"differs": differing_keys(rows), "runs": [row.as_dict() for row in rows]}
    return json.dumps(_finite(document), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return plain data with null for numbers that JSON cannot express."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def readable_size(size: int) -> str:
    """Return a number of bytes with a unit of the SI.

    >>> readable_size(5_690_000)
    '5.7 MB'
    """
    value, units = float(size), iter(("kB", "MB", "GB", "TB"))
    unit = "B"
    while value >= 999.5 and (next_unit := next(units, None)):
        value, unit = value / 1000, next_unit
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"


def _numbers(row: Row, metrics: Sequence[str], blank: str = "") -> list[str]:
    """Return size, steps, metrics and claims of a run as text."""
    held, claims = row.claims
    size = readable_size(row.size).replace(" ", blank)
    values = [_shown(row.values.get(name)) for name in ("steps", *metrics)]
    return [size, *values, f"{held}/{claims}" if claims else "-"]


def _pairs(row: Row, keys: Sequence[str]) -> list[str]:
    return [f"{key}={_shown(row.values[key])}" for key in keys if row.values.get(key) is not None]


def _shown(value: Any) -> str:
    text = printable(shown(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _header(name: str) -> str:
    """Return a column's name, broken at a slash: test/accuracy is wider than any accuracy."""
    return name.replace("/", "/\n")


def _date(time: str | None) -> str:
    """Return the local time of an ISO 8601 time, the year in place of the time of day if it is another year."""
    try:
        local = datetime.datetime.fromisoformat(str(time)).astimezone()
    except ValueError:
        return "-"
    this_year = local.year == datetime.datetime.now().year
    return f"{local:%b %d %H:%M}" if this_year else f"{local:%b %d  %Y}"
