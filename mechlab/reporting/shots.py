"""The saved figures of analyses in the page: which, with which captions, and within which limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mechlab.core.errors import MechlabError
from mechlab.record.answers import FINDING, FOLDER, MOMENTS
from mechlab.record.result import read_finding
from mechlab.reporting.cells import Cell
from mechlab.reporting.collect import DAMAGE, clean
from mechlab.reporting.pictures import Picture, animation, picture
from mechlab.reporting.record import Record
from mechlab.reporting.section import NOTHING, Section

SHOTS = 60  # figures in the page
BYTES = 6_000_000  # of them all
OPEN = 4  # figures of an analysis that stand beside its claims
FURTHER = 12  # figures of an analysis behind
HALF = (590, 780)  # pixels of figures of which two share a row


@dataclass(frozen=True)
class Shot:
    """A figure in the page.

    Args:
        picture: the figure.
        title: what is drawn.
        subject: network, task, seed and step that it is of.
    """

    picture: Picture
    title: str
    subject: str

    @property
    def caption(self) -> str:
        """The title and the subject."""
        return f"{self.title}: {self.subject}" if self.subject else self.title

    @property
    def half(self) -> bool:
        """True if two figures of this width share a row."""
        return HALF[0] < self.picture.width <= HALF[1]


@dataclass
class Shots:
    """The figures of one analysis of a task.

    Args:
        shown: beside the claims.
        further: behind.
        left: number of figures that are not in the page.
        folder: where the figures of the first cell lie.
    """

    shown: list[Shot] = field(default_factory=list)
    further: list[Shot] = field(default_factory=list)
    left: int = 0
    folder: Path = Path()


def choose_shots(sections: Sequence[Section]) -> dict[tuple[int, str], Shots]:
    """Return the figures to show of each analysis, by (index of the section, folder of the analysis).

    Each analysis gets its first figure before any gets its second, until there are enough.
    """
    waiting = {
        (index, folder): list(_of_analysis(section, folder))
        for index, section in enumerate(sections)
        for folder in folders(section)
    }
    chosen = {key: Shots(folder=places[0][1].parent) for key, places in waiting.items()}
    number = size = 0
    for turn in zip_longest(*([(key, place) for place in places] for key, places in waiting.items())):
        for (index, folder), (cell, path) in filter(None, turn):
            shots = chosen[index, folder]
            if number >= SHOTS or size > BYTES or len(shots.shown) + len(shots.further) >= OPEN + FURTHER:
                shots.left += 1
            elif (shot := _shot(sections[index], cell, path)) is not None:
                number, size = number + 1, size + len(shot.picture.source)
                moving = path.suffix == ".gif"
                (shots.further if moving or len(shots.shown) >= OPEN else shots.shown).append(shot)
    return chosen


def folders(section: Section) -> list[str]:
    """Return the folders of analyses that have figures, in order."""
    return list(dict.fromkeys(_folder(cell, path) for cell in section.done for path in cell.figures))


def _of_analysis(section: Section, folder: str) -> Iterator[tuple[Cell, Path]]:
    """Yield (cell, figure) of an analysis: all figures of the first cell, then those of the second."""
    for cell in section.done:
        yield from ((cell, path) for path in cell.figures if _folder(cell, path) == folder)


def _folder(cell: Cell, path: Path) -> str:
    return path.relative_to(cell.done[0].folder / FOLDER).parts[0]


def _shot(section: Section, cell: Cell, path: Path) -> Shot | None:
    """Return a figure for the page; None, with a note in the record, if it is damaged."""
    record = cell.done[0]
    try:
        made = animation(path) if path.suffix == ".gif" else picture(path)
    except DAMAGE as error:
        record.damaged(str(path.relative_to(record.folder)), _reason(error))
        return None
    return Shot(made, path.stem.replace("_", " "), _subject(section, cell, path))


def _reason(error: Exception) -> str:
    return error.brief if isinstance(error, MechlabError) else str(error)


def _subject(section: Section, cell: Cell, path: Path) -> str:
    """Return network, task, seed and step of a figure: as its finding names them, or from the configuration."""
    record = cell.done[0]
    folder = record.folder / FOLDER / _folder(cell, path)
    try:
        about: dict[str, Any] = clean(read_finding(folder / FINDING))
    except DAMAGE:
        about = {}
    varied = {key: cell.value(key) for key in section.varied if "." in key}
    values = [f"{key.rpartition('.')[2]} {value}" for key, value in varied.items() if value not in NOTHING]
    values = values or [record.setting] * bool(record.setting)
    own = f"{record.model} on {record.task}{' (' + ', '.join(values) + ')' if values else ''}, seed {record.seed}"
    subject = about.get("subject")
    moment = ", over training" if path.parent.name == MOMENTS else _step(record, about.get("at", "last"))
    return f"{subject if isinstance(subject, str) and subject else own}{moment}"


def _step(record: Record, at: Any) -> str:
    step = record.numbers.get("steps", record.status.get("step"))
    known = at == "last" and isinstance(step, int | float)
    return f", step {step:,.0f}" if known else "" if at == "last" else f", {at}"
