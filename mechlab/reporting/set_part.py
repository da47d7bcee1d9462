"""The parts of the page about sets of runs, one for each answer: claims, notes, tables and figures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from pathlib import Path

from mechlab.record.files import atomic, read_bytes, write_text
from mechlab.reporting.cells import shown
from mechlab.reporting.pictures import small
from mechlab.reporting.record import Problem, ReportedClaim
from mechlab.reporting.sets import SetAnswer, scalar_rows, table_of
from mechlab.reporting.table import Code, Entry, Mean, Number, Table, Verdict, count
from mechlab.statistics.bootstrap import Summary

ROWS = 300  # of a table in the page
OPEN = 30  # rows of a table that is shown open
RUNS = 60  # that are named
SHOWN = 24  # answers in the page
FILE_BYTES = 2**26  # of a table or figure
VECTOR_BYTES = 300_000  # of a figure that is in the page as SVG; others are there as pixels


class SetParts:
    """Writes the parts of the page about sets of runs.

    Args:
        folder: where tables and figures go.
        problems: gets what is damaged.
    """

    def __init__(self, folder: Path, problems: list[Problem]):
        self.folder, self.problems = folder, problems

    def html(self, number: int, answer: SetAnswer) -> Iterator[str]:
        """Yield the part about an answer, and write its figures and tables."""
        runs = count(len(answer.runs), "run")
        yield f'<section id="set-{number}">\n<h2>{escape(answer.analysis)} of {runs}</h2>\n'
        given = ", ".join(f"{name}={shown(value)}" for name, value in answer.parameters.items())
        yield f"<p><code>{escape(given)}</code></p>\n" if given else ""
        yield "".join(f"<p>{escape(note)}</p>\n" for note in answer.notes.values())
        for table in filter(None, (self._claims(answer), self._expected(answer))):
            yield self._table(answer, table)
        yield from self._tables(answer)
        yield from self._figures(answer)
        yield '<details class="more"><summary>All scalars and runs</summary>\n'
        caption, rows = f"{answer.analysis}: every scalar", list(scalar_rows(answer))
        yield self._table(answer, Table("scalars", caption, ["scalar", "value"], [(None, rows)]))
        yield f"<p>{', '.join(f'<code>{escape(run)}</code>' for run in answer.runs[:RUNS])}"
        yield f" and {len(answer.runs) - RUNS} more" if len(answer.runs) > RUNS else ""
        yield f"</p>\n<p>Answer: <code>{escape(str(answer.folder))}</code></p></details>\n</section>\n"

    def _table(self, answer: SetAnswer, table: Table) -> str:
        write_text(self.folder / f"{answer.name}-{table.name}.tex", table.latex())
        return table.html()

    def _claims(self, answer: SetAnswer) -> Table | None:
        rows = [[slug, *_claim(claim)] for slug, claim in answer.claims.items()]
        columns = ["claim", "holds", "measured [interval]", "threshold", "chance", "statement"]
        return Table("claims", f"{answer.analysis}: claims about the set", columns, [(None, rows)]) if rows else None

    def _expected(self, answer: SetAnswer) -> Table | None:
        rows: list[list[Entry]] = []
        for name, row in answer.expected.items():
            verdict = "not measured" if row.within is None else Verdict(int(row.within), 1)
            numbers = [Number(row.published), Number(row.corrected), Number(row.measured), Number(row.deviation, True)]
            rows.append([Code(name), *numbers, Number(row.tolerance), verdict, row.source])
        columns = ["scalar", "published", "corrected", "measured", "deviation", "tolerance", "within", "source"]
        caption = f"{answer.analysis}: expected numbers beside the measured ones"
        return Table("expected", caption, columns, [(None, rows)]) if rows else None

    def _tables(self, answer: SetAnswer) -> Iterator[str]:
        long = []
        for path in answer.files("csv"):
            self._copy(path, self.folder / f"{answer.name}-{path.name}")
            table = table_of(path, f"{answer.analysis}: {path.stem.replace('_', ' ')}", ROWS)
            if table is None:
                long.append(f"{answer.name}-{path.name}")
            elif rows := sum(len(group) for _, group in table.groups):
                summary = f"<summary>{escape(table.caption)}, {rows} rows</summary>"
                html = self._table(answer, table)
                yield html if rows <= OPEN else f'<details class="more">{summary}{html}</details>\n'
        if long:
            files = ", ".join(f"<code>{escape(name)}</code>" for name in long)
            yield f"<p>Tables of more than {ROWS} rows: {files}.</p>\n"

    def _figures(self, answer: SetAnswer) -> Iterator[str]:
        yield '<div class="shots">'
        for path in answer.files("png"):
            for other in (path.with_suffix(".svg"), path.with_suffix(".pdf")):
                if other.is_file():
                    self._copy(other, self.folder / "figures" / f"{answer.name}-{other.name}")
            try:
                source, width, height = small(path)
            except ValueError as error:
                self.problems.append(Problem(str(answer.folder), "damaged", path.name, str(error)))
                continue
            title = escape(f"{answer.analysis} {path.stem.replace('_', ' ')}")
            yield f'<details class="zoom"><summary><figure><img src="{_vector(path) or source}" alt="{title}" '
            yield f'loading="lazy" width="{width}" height="{height}"><figcaption>{title}</figcaption>'
            yield "</figure></summary></details>\n"
        yield "</div>\n"

    def _copy(self, path: Path, target: Path) -> None:
        content = read_bytes(path, FILE_BYTES)
        with atomic(target) as temporary:
            temporary.write_bytes(content)


def _claim(claim: ReportedClaim) -> list[Entry]:
    low, high = claim.interval or (None, None)
    measured = Mean(None if claim.value is None else Summary((), claim.value, low, high))
    verdict = Verdict(int(claim.holds), 1)
    return [verdict, measured, Number(claim.threshold), Number(claim.null), claim.statement]


def _vector(path: Path) -> str | None:
    """Return the SVG beside a PNG as a data URI, which as an image runs no scripts and loads nothing; None where it is
    large or missing."""
    svg = path.with_suffix(".svg")
    if not svg.is_file() or svg.stat().st_size > VECTOR_BYTES:
        return None
    return f"data:image/svg+xml;base64,{base64.b64encode(read_bytes(svg, VECTOR_BYTES)).decode()}"
