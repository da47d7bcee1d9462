"""The command `mechlab.runs ls`: which runs, in which order, and what is printed of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mechlab.core.errors import ConfigError
from mechlab.core.printable import printable
from mechlab.listing.condition import check_keys, in_order, parse_condition
from mechlab.listing.row import Row, read_row
from mechlab.record.status import DAMAGED

SHOWN = 3  # copies that are named
METRICS = ("test/accuracy", "test/loss")  # the column without --metric: the first that a run has


@dataclass(frozen=True)
class Selection:
    """Which runs to list and how.

    Args:
        where: conditions, all of which must hold.
        metrics: columns of numbers; those of METRICS that a run has if empty.
        sort: the value to sort by; by directory if None.
        reverse: in descending order.
        limit: largest number of runs; all if None.
        json: print a JSON document in place of a table.
    """

    where: Sequence[str] = ()
    metrics: Sequence[str] = ()
    sort: str | None = None
    reverse: bool = False
    limit: int | None = None
    json: bool = False


def print_list(folders: Sequence[Path], selection: Selection) -> int:
    """Print a line for each run; return 1 if the record of one is damaged.

    Raises:
        ConfigError: a condition is no comparison, or a name is unknown.
    """
    conditions = []
    for text in selection.where:
        if (condition := parse_condition(text)) is None:
            fix = "--where task=tomita --where 'test/accuracy>0.9'"
            raise ConfigError(
                "a condition must be KEY=VALUE, or have one of != < <= > >=", got=text, key="--where", fix=fix
            )
        conditions.append(condition)
    every = [read_row(folder) for folder in folders]
    check_keys(every, [condition.key for condition in conditions], "--where")
    check_keys(every, selection.metrics, "--metric")
    check_keys(every, [selection.sort] if selection.sort else [], "--sort")
    rows = [row for row in every if all(condition.holds(row) for condition in conditions)]
    sort = selection.sort or "run"
    rows = in_order(rows, sort, selection.reverse)
    matching = len(rows)
    rows = rows[: selection.limit]
    _print(rows, selection)
    if not selection.json:
        _print_summary(rows, matching, len(every))
    return int(any(row.damages for row in rows))


def _print(rows: Sequence[Row], selection: Selection) -> None:
    from mechlab.listing.table import as_json, print_table

    if selection.json:
        print(as_json(rows))
        return
    from rich.console import Console

    metrics = selection.metrics or [name for name in METRICS if any(name in row.record.numbers for row in rows)][:1]
    print_table(rows, metrics, Console(highlight=False))


def _print_summary(rows: Sequence[Row], matching: int, every: int) -> None:
    """Print how many runs there are, and why some failed or cannot be read, where it disturbs no other program."""
    sys.stdout.flush()
    for row in rows:
        for reason in (*row.damages, *row.failures):
            print(printable(f"{row.status}: {row.run}: {reason}"), file=sys.stderr)
    copies = _copies(rows)
    for run, original in copies[:SHOWN]:
        print(printable(f"copy: {run} has the configuration and seed of {original}"), file=sys.stderr)
    if len(copies) > SHOWN:
        print(f"copy: {len(copies) - SHOWN} more runs", file=sys.stderr)
    of = "" if matching == every else f" of {every}"
    shown = "" if len(rows) == matching else f", {len(rows)} of them listed"
    damaged = sum(row.status == DAMAGED for row in rows)
    counted = f", {damaged} damaged" if damaged else ""
    runs = "run" if every == 1 else "runs"
    print(f"{matching}{of} {runs}{shown}{counted}; sizes include histories of training", file=sys.stderr)
    print("next:\n  show   python -m mechlab.runs show RUN", file=sys.stderr)


def _copies(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return each run whose recorded configuration is that of another listed one, with that one."""
    first: dict[str, str] = {}
    known = [(row.run, repr(row.record.config)) for row in rows if row.record.config]
    return [(run, original) for run, text in known if (original := first.setdefault(text, run)) != run]
