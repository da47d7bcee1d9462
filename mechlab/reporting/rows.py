"""The tables for machines: everything that the report knows, one row for each fact, as CSV."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mechlab.record.files import atomic
from mechlab.record.spreadsheet import as_text
from mechlab.reporting.cells import Cell, shown, value_of
from mechlab.reporting.record import Record
from mechlab.statistics.bootstrap import Summary, summarise

Row = dict[str, Any]


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows under columns, and under further ones that the rows have; numbers keep all their digits, and text
    that a spreadsheet would take for a formula is marked as text."""
    header = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with atomic(path) as temporary, open(temporary, "w", **options) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(_cell, header))
        writer.writerows([_cell(row.get(name, "")) for name in header] for row in rows)


def _cell(value: Any) -> Any:
    return as_text(value) if isinstance(value, str) else value


def write_tables(folder: Path, cells: Sequence[Cell], keys: Sequence[str]) -> list[Path]:
    """Write metrics.csv, claims.csv, expected.csv, runs.csv and failures.csv.

    Args:
        folder: where to.
        cells: all cells.
        keys: what differs between them; a column each.
    """
    start = ("cell", *keys)
    tables = {
        "metrics": ((*start, "metric", *SUMMARY), list(metric_rows(cells, keys))),
        "claims": ((*start, "analysis", "claim", "kind", "holds", *SUMMARY), list(claim_rows(cells, keys))),
        "expected": ((*start, "metric", "published", "corrected", "tolerance"), list(expected_rows(cells, keys))),
        "runs": (("run", "cell", "seed", "status"), list(run_rows(cells, keys))),
        "failures": (("run", "cell", "seed", "kind", "file", "reason"), list(failure_rows(cells))),
    }
    for name, (columns, rows) in tables.items():
        write_csv(folder / f"{name}.csv", columns, rows)
    return [folder / f"{name}.csv" for name in tables]


SUMMARY = ("n", "mean", "low", "high", "min", "max", "std")


def metric_rows(cells: Sequence[Cell], keys: Sequence[str]) -> Iterator[Row]:
    """Yield each metric and scalar of each cell."""
    for cell in cells:
        for name, summary in cell.numbers.items():
            yield {**_start(cell, keys), "metric": name, **_summary(summary)}


def claim_rows(cells: Sequence[Cell], keys: Sequence[str]) -> Iterator[Row]:
    """Yield each claim of each cell."""
    for cell in cells:
        for (analysis, slug), claims in cell.claims.items():
            values = [claim.value for claim in claims if claim.value is not None]
            thresholds = [claim.threshold for claim in claims if claim.threshold is not None]
            nulls = [claim.null for claim in claims if claim.null is not None]
            yield {
                **_start(cell, keys),
                "analysis": analysis,
                "claim": slug,
                "kind": claims[0].kind,
                "holds": sum(claim.holds for claim in claims),
                **(_summary(summarise(values)) if values else {}),
                "n": len(claims),
                **_ends("threshold", thresholds),
                **_ends("null", nulls),
                **_ends("interval_low", [claim.interval[0] for claim in claims if claim.interval is not None]),
                **_ends("interval_high", [claim.interval[1] for claim in claims if claim.interval is not None]),
                "statement": " / ".join(dict.fromkeys(claim.statement for claim in claims)),
            }


def expected_rows(cells: Sequence[Cell], keys: Sequence[str]) -> Iterator[Row]:
    """Yield each expected number of each cell beside the measured ones."""
    for cell in cells:
        for metric, rows in cell.expected.items():
            first = rows[0]
            measured = [row.measured for row in rows if row.measured is not None]
            deviations = [row.deviation for row in rows if row.deviation is not None]
            yield {
                **_start(cell, keys),
                "metric": metric,
                "published": first.published,
                "corrected": first.corrected,
                "tolerance": first.tolerance,
                **(_summary(summarise(measured)) if measured else {}),
                "n": len(measured),
                "deviation": summarise(deviations).mean if deviations else None,
                "within": sum(row.within is True for row in rows),
                "source": first.source,
                "reason": first.reason,
            }


def run_rows(cells: Sequence[Cell], keys: Sequence[str]) -> Iterator[Row]:
    """Yield each run with all its numbers."""
    for cell in cells:
        for record in cell.records:
            yield {
                **_run(cell, record),
                "status": record.state,
                "started": record.status.get("started"),
                "updated": record.status.get("updated"),
                **{key: shown(value_of(record, key)) for key in keys},
                "commit": record.environment.get("commit"),
                **record.numbers,
            }


def failure_rows(cells: Sequence[Cell]) -> Iterator[Row]:
    """Yield why runs failed, and what could not be read."""
    for cell in cells:
        for record in cell.records:
            for problem in record.problems:
                yield {**_run(cell, record), **problem._asdict()}


def _start(cell: Cell, keys: Sequence[str]) -> Row:
    return {"cell": cell.number, **{key: cell.value(key) for key in keys}}


def _run(cell: Cell, record: Record) -> Row:
    return {"run": str(record.folder), "cell": cell.number, "seed": record.seed}


def _summary(summary: Summary) -> Row:
    values = summary.values
    spread = statistics.stdev(values) if len(values) > 1 else None
    ends = {"min": min(values), "max": max(values)}
    return {"n": summary.n, "mean": summary.mean, "low": summary.low, "high": summary.high, **ends, "std": spread}


def _ends(name: str, values: list[float]) -> Row:
    return {f"{name}_min": min(values), f"{name}_max": max(values)} if values else {}
