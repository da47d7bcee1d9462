"""The part of the page about one task: tables, figures, and each cell with its command and saved figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from mechlab.record.files import write_text
from mechlab.reporting.cells import Cell
from mechlab.reporting.pictures import drawn, small
from mechlab.reporting.section import FOREST_ROWS, Section
from mechlab.reporting.table import Table, count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOTS = 48  # saved figures in the page
BYTES = 2_500_000  # of them all
CURVES = 20  # figures of learning curves
NOTES = 40  # sentences of findings
OPEN = 12  # cells that are shown open
MARKS = (  # the markers of curves, as the plots have them
    "<circle cx='14' cy='6' r='4'/>",
    "<path d='M10 2h8v8h-8z'/>",
    "<path d='M14 1l5 9h-10z'/>",
    "<path d='M14 1l5 5-5 5-5-5z'/>",
    "<path d='M14 11l5-9h-10z'/>",
    "<path d='M12 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z'/>",
    "<path d='M10 4l2-2 2 2 2-2 2 2-2 2 2 2-2 2-2-2-2 2-2-2 2-2z'/>",
    "<path d='M14 1l1.3 3.6h3.7l-3 2.2 1.2 3.7-3.2-2.3-3.2 2.3 1.2-3.7-3-2.2h3.7z'/>",
)


class Chapters:
    """Writes the parts of the page, one for each task.

    Args:
        cells: all cells of the report.
        folder: where tables and figures go.
    """

    def __init__(self, cells: Sequence[Cell], folder: Path):
        self.folder = folder
        self.opened = len(cells) <= OPEN
        self._shots = _choose_shots(cells)
        self._learned = 0

    def html(self, number: int, section: Section) -> Iterator[str]:
        """Yield the part about a task, and write its figures and tables."""
        name = f"task-{number}"
        yield f'<section id="{name}">\n<h2>{escape(section.task)}</h2>\n'
        if not section.done:
            yield "<p>No run of this task has finished, so there is nothing to average.</p>\n"
        else:
            yield self._table(section.results(), name)
            yield from self._forests(section, name)
            for heading, table in (("Expected numbers", section.expected()), ("Claims", section.claims())):
                if table is not None:
                    yield f"<h3>{heading}</h3>\n{self._table(table, name)}"
            if notes := section.notes():
                lines = "".join(f"<li>{escape(note)}</li>" for note in notes[:NOTES])
                more = f"<li>and {len(notes) - NOTES} more</li>" if len(notes) > NOTES else ""
                yield f'<h3>Notes</h3>\n<ul class="notes">{lines}{more}</ul>\n'
            yield from self._curves(section, name)
            yield from self._all_numbers(section, name)
        yield "<h3>What was run</h3>\n"
        for cell in section.cells:
            yield from self._cell(section, cell)
        yield "</section>\n"

    def _table(self, table: Table, name: str) -> str:
        write_text(self.folder / f"{table.name}-{name}.tex", table.latex())
        return table.html()

    def _forests(self, section: Section, name: str) -> Iterator[str]:
        yield '<div class="plots">\n'
        for file, figure, text in section.forests():
            yield self._figure(section, name, file, figure, text)
        yield "</div>\n<figcaption>Dots are means, bars their 95 % intervals, ticks single runs; "
        yield "a dashed line is a claim's threshold."
        if len(section.done) > FOREST_ROWS:
            yield f" The first {FOREST_ROWS} of {len(section.done)} cells; the table has all."
        yield "</figcaption>\n"

    def _curves(self, section: Section, name: str) -> Iterator[str]:
        yield "<h3>Learning curves</h3>\n"
        for cells, figures in section.curves():
            if self._learned + len(figures) > CURVES:
                left = len(section.done) - section.done.index(cells[0])
                yield f"<p>The curves of {count(left, 'further cell')} are left out; "
                yield "<code>metrics.csv</code> in each run has them.</p>\n"
                return
            self._learned += len(figures)
            yield '<ul class="legend">'
            for place, cell in enumerate(cells):
                yield f'<li><svg viewBox="0 0 28 12" aria-hidden="true" style="color:var(--plot-{place})">'
                yield f'<path d="M0 6h28" stroke-width="2"/>{MARKS[place]}</svg>{escape(section.label(cell))}</li>'
            yield '</ul>\n<div class="plots">\n'
            for file, figure, text in figures:
                yield self._figure(section, name, file, figure, text)
            yield "</div>\n"
        yield "<figcaption>Means over seeds; bands reach from the least to the greatest run.</figcaption>\n"

    def _figure(self, section: Section, name: str, file: str, figure: Figure, text: str) -> str:
        path = self.folder / "figures" / f"{name}-{file}"
        return f"<figure>{drawn(figure, path, f'{section.task}: {text}')}</figure>\n"

    def _all_numbers(self, section: Section, name: str) -> Iterator[str]:
        table = section.numbers()
        if table is None:
            yield f"<p>All metrics and scalars are in <code>{escape(self.folder.name)}/metrics.csv</code>.</p>\n"
            return
        yield '<details class="more"><summary>All metrics and scalars</summary>'
        yield f"{self._table(table, name)}</details>\n"

    def _cell(self, section: Section, cell: Cell) -> Iterator[str]:
        opened = " open" if self.opened else ""
        yield f'<details class="cell" id="cell-{cell.number}"{opened}><summary><b>{cell.number}</b> '
        yield f"{escape(section.label(cell))} <span>{escape(_states(cell))}</span></summary>\n"
        yield from (f'<pre tabindex="0">{escape(command)}</pre>\n' for command in cell.commands())
        shots = [(path, *self._shots[path]) for path in cell.figures if path in self._shots]
        if shots:
            seed = escape(str(cell.done[0].seed))
            yield '<div class="shots">'
            for path, source, width, height in shots:
                words = path.relative_to(cell.done[0].folder / "analyses").with_suffix("").parts
                title = f"{escape(' '.join(dict.fromkeys(words)))}, seed {seed}"
                yield f'<details class="zoom"><summary><figure><img src="{source}" alt="{title}" loading="lazy" '
                yield f'width="{width}" height="{height}"><figcaption>{title}</figcaption>'
                yield "</figure></summary></details>\n"
            yield "</div>\n"
        left = len(cell.figures) - len(shots)
        if left:
            yield f"<p>{count(left, 'figure')} left out: "
            yield f"<code>{escape(str(cell.done[0].folder / 'analyses'))}</code></p>\n"
        yield "</details>\n"


def _choose_shots(cells: Sequence[Cell]) -> dict[Path, tuple[str, int, int]]:
    """Return saved figures to show: of each cell the first, then of each the second, until there are enough."""
    figures = [(rank, cell.number, cell, path) for cell in cells for rank, path in enumerate(cell.figures)]
    shots: dict[Path, tuple[str, int, int]] = {}
    for _, _, cell, path in sorted(figures, key=lambda entry: entry[:2])[:SHOTS]:
        if sum(len(source) for source, _, _ in shots.values()) > BYTES:
            break
        try:
            shots[path] = small(path)
        except ValueError as error:
            cell.done[0].damaged(str(path.relative_to(cell.done[0].folder)), str(error))
    return shots


def _states(cell: Cell) -> str:
    states = Counter(record.state for record in cell.records)
    seeds = ", ".join(str(record.seed) for record in cell.records[:20]) + (", …" if len(cell.records) > 20 else "")
    by_state = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return f"{by_state}; seed{'s' if len(cell.records) > 1 else ''} {seeds}"
