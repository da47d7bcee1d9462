"""What the page shows of a task: verdict, results, claims beside figures, and everything else behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mechlab.record.answers import FOLDER
from mechlab.record.files import write_text
from mechlab.reporting import front
from mechlab.reporting.cells import Cell
from mechlab.reporting.claims import claims_in_each, claims_of, notes_of
from mechlab.reporting.drawn import Drawer, Plot
from mechlab.reporting.entries import Code, Mean, Verdict
from mechlab.reporting.evidence import WIDE, Evidence
from mechlab.reporting.listings import read_listings
from mechlab.reporting.paper import paper_tables
from mechlab.reporting.record import title
from mechlab.reporting.section import Section
from mechlab.reporting.shots import Shots, choose_shots
from mechlab.reporting.table import Table
from mechlab.reporting.verdict import Line, verdict

CURVES = 20  # figures of learning curves in the page
SCALARS = 8  # of an analysis without claims
ROWS = 20  # of a table that stands open
LONGEST = 300  # rows of a table behind
EXPECTED = 12  # expected numbers that stand open
SEEDS = 20  # of a cell that are listed


@dataclass
class AnalysisPart(Evidence):
    """What the page shows of an analysis.

    Args:
        name: of the analysis, with the parameters that differ from the configured ones.
        verdict: how many of its claims hold.
        each: claims in each cell, behind.
        plots: claims of the cells side by side, behind.
    """

    name: str = ""
    verdict: Verdict | None = None
    each: Table | None = None
    plots: list[Plot] = field(default_factory=list)


@dataclass
class CellPart:
    """What the page shows of how a cell was made."""

    number: int
    label: str
    runs: str
    commands: list[str]


@dataclass
class Learned:
    """Learning curves of some cells, and their labels."""

    labels: list[str]
    plots: list[Plot]


@dataclass
class Chapter:
    """What the page shows of a task; `left` counts cells whose learning curves are left out."""

    name: str
    task: str
    finished: bool
    verdict: list[Line]
    varies: str
    results: Table
    plot: Plot | None
    analyses: list[AnalysisPart]
    expected: Table
    numbers: Table | None
    differences: Table
    learned: list[Learned]
    left: int
    cells: list[CellPart]

    @property
    def first_results(self) -> Table:
        """The rows of the results that stand open."""
        return self.results.first(ROWS)

    @property
    def all_results(self) -> Table | None:
        """The rows of the results behind, if some are left out before."""
        return self.results.first(LONGEST) if self.results.rows > ROWS else None

    @property
    def expected_open(self) -> bool:
        """True if the expected numbers stand open."""
        return self.expected.rows <= EXPECTED


def make_chapters(sections: Sequence[Section], folder: Path) -> Iterator[Chapter]:
    """Yield the chapters of tasks, and write their figures and their tables for a paper into a folder."""
    shots = choose_shots(sections)
    room = CURVES
    for index, section in enumerate(sections):
        name = f"task-{index + 1}"
        for table in paper_tables(section):
            write_text(folder / f"{table.name}-{name}.tex", table.latex())
        drawer = Drawer(section, folder / "figures", name)
        own = {analysis: shots for (place, analysis), shots in shots.items() if place == index}
        learned, left = _learned(section, drawer, room)
        room -= sum(len(part.plots) for part in learned)
        yield Chapter(
            name,
            section.task,
            bool(section.done),
            verdict([section]) if len(sections) > 1 else [],
            front.varies(section),
            front.results(section),
            drawer.metric(),
            list(_analyses(section, drawer, own)),
            front.expected(section),
            front.numbers(section),
            front.differences(section),
            learned,
            left,
            [_cell(section, cell) for cell in section.cells],
        )


def _analyses(section: Section, drawer: Drawer, shots: dict[str, Shots]) -> Iterator[AnalysisPart]:
    """Yield the analyses of a task, those with figures and claims first; analyses of scalars alone are left out."""
    runs = [run for cell in section.done for run in cell.done]
    keys = [*section.claims, *(key for run in runs for key in run.notes)]
    names = list(dict.fromkeys(analysis for analysis, _ in keys))
    names += [folder for folder in shots if folder not in map(_folder, names)]
    parts = []
    for name in names:
        made = [cell.claims.get(key, ()) for key in section.claims if key[0] == name for cell in section.done]
        claims = [claim for claims in made for claim in claims]
        part = AnalysisPart([], notes_of(section, name), shots.get(_folder(name), Shots()), title(name))
        if claims:
            part.verdict = Verdict(sum(claim.holds for claim in claims), len(claims))
            part.tables.append(claims_of(section, name))
            part.each = claims_in_each(section, name)
            part.plots = list(drawer.claims(name))
        elif (scalars := _scalars(section, name)) is not None:
            part.tables.append(scalars)
        if section.done:
            first = section.done[0]
            part.listings = read_listings(first.done[0].folder / FOLDER / _folder(name), section.label(first))
        part.shots.shown.sort(key=lambda shot: shot.picture.width > WIDE)
        if len(section.done) > 1:
            part.one_row_below()
        parts.append(part)
    return iter(sorted(parts, key=lambda part: -2 * bool(part.shots.shown) - (part.verdict is not None)))


def _scalars(section: Section, analysis: str) -> Table | None:
    """Return the first scalars of an analysis that makes no claim, of a single cell."""
    if len(section.done) != 1:
        return None
    found = {name: value for name, value in section.done[0].numbers.items() if name.startswith(f"{analysis}/")}
    rows = [[Code(name.removeprefix(f"{analysis}/")), Mean(value)] for name, value in list(found.items())[:SCALARS]]
    return Table("scalars", f"{analysis}: final metrics", ["scalar", "mean"], [(None, rows)]) if rows else None


def _folder(analysis: str) -> str:
    """Return the folder of an analysis that is named with the parameters that differ."""
    return analysis.partition(" (")[0]


def _learned(section: Section, drawer: Drawer, room: int) -> tuple[list[Learned], int]:
    """Return learning curves, and the number of cells whose curves are left out since there is no room."""
    parts: list[Learned] = []
    for cells, plots in drawer.curves():
        if sum(len(part.plots) for part in parts) + len(plots) > room:
            return parts, len(section.done) - section.done.index(cells[0])
        parts.append(Learned([section.label(cell) for cell in cells], plots))
    return parts, 0


def _cell(section: Section, cell: Cell) -> CellPart:
    states = Counter(record.state for record in cell.records)
    seeds = ", ".join(str(run.seed) for run in cell.records[:SEEDS]) + (", …" if len(cell.records) > SEEDS else "")
    by_state = ", ".join(f"{number} {state}" for state, number in states.most_common())
    runs = f"{by_state}; seed{'s' if len(cell.records) > 1 else ''} {seeds}"
    return CellPart(cell.number, section.label(cell), runs, cell.commands())
