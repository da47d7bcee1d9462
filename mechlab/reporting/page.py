"""The page: one HTML file that needs no server, no network and no script."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mechlab.record.files import write_text
from mechlab.reporting import front
from mechlab.reporting.cells import Cell
from mechlab.reporting.chapter import Chapter, make_chapters
from mechlab.reporting.entries import Code, Entry, Mean, Span
from mechlab.reporting.record import DONE, Problem, Record
from mechlab.reporting.request import Request
from mechlab.reporting.rows import failure_rows
from mechlab.reporting.section import Section
from mechlab.reporting.set_part import SHOWN, SetPart, make_set_part
from mechlab.reporting.sets import SetAnswer
from mechlab.reporting.table import Table, count, join
from mechlab.reporting.verdict import Line, claims_held, expected_met, verdict
from mechlab.statistics.bootstrap import RESAMPLES

LONGEST = 300  # rows of the lists of runs and of problems
NAMES = 6  # tasks or models that are named
MARKS = (  # the markers of curves, as the plots have them
    "M10 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "M10 2h8v8h-8z",
    "M14 1l5 9h-10z",
    "M14 1l5 5-5 5-5-5z",
    "M14 11l5-9h-10z",
    "M12 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "M10 4l2-2 2 2 2-2 2 2-2 2 2 2-2 2-2-2-2 2-2-2 2-2z",
    "M14 1l1.3 3.6h3.7l-3 2.2 1.2 3.7-3.2-2.3-3.2 2.3 1.2-3.7-3-2.2h3.7z",
)


@dataclass
class Page:
    """A report being written.

    Args:
        request: the runs, and the keys by which they are grouped.
        sections: the cells by task.
        folder: where tables and figures go.
        out: the HTML file.
        sets: answers about sets of these runs.
        problems: answers about sets that cannot be shown.
    """

    request: Request
    sections: list[Section]
    folder: Path
    out: Path
    sets: list[SetAnswer] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells."""
        return [cell for section in self.sections for cell in section.cells]

    @cached_property
    def records(self) -> list[Record]:
        """All runs."""
        return [record for cell in self.cells for record in cell.records]

    @cached_property
    def chapters(self) -> list[Chapter]:
        """The part about each task; their figures and tables are written with them."""
        return list(make_chapters(self.sections, self.folder))

    @cached_property
    def set_parts(self) -> list[SetPart]:
        """The part about each answer about a set of runs, as many as are shown."""
        return [make_set_part(answer, self.folder, self.problems) for answer in self.sets[:SHOWN]]

    def write(self) -> None:
        """Write the page, the figures in it, and its tables for a paper."""
        chapters, set_parts = self.chapters, self.set_parts  # before the lists of problems that they met
        values = {"page": self, "chapters": chapters, "set_parts": set_parts, "resamples": RESAMPLES, "marks": MARKS}
        write_text(self.out, _templates().get_template("page.html").render(values))

    @property
    def title(self) -> str:
        """The number of runs and their tasks."""
        tasks = [section.task for section in self.sections]
        return f"{count(len(self.records), 'run')} of {join(tasks) if len(tasks) <= 4 else f'{len(tasks)} tasks'}"

    @property
    def verdict(self) -> list[Line]:
        """The verdict on all runs."""
        return verdict(self.sections, self.sets, self.problems)

    @property
    def varies(self) -> str:
        """What varies among all runs, in words; empty if task and network are the same."""
        names = {"task": {cell.task: None for cell in self.cells}, "network": {cell.model: None for cell in self.cells}}
        return "; ".join(f"{name} {_some(list(values))}" for name, values in names.items() if len(values) > 1)

    @property
    def overview(self) -> list[tuple[str, list[Entry]]]:
        """The id of each task's part, and its row of the overview."""
        return [(f"task-{number}", _row(section)) for number, section in enumerate(self.sections, 1)]

    @property
    def failures(self) -> Table:
        """Why runs failed, and what is damaged."""
        failures = [*failure_rows(self.cells), *(problem._asdict() for problem in self.problems)]
        rows: list[list[Entry]] = [
            [Code(row["run"]), row["kind"], Code(row["file"]), row["reason"]] for row in failures
        ]
        caption = "Runs that failed, with the last line of the traceback, and files that could not be read"
        return Table("failures", caption, ["run", "kind", "file", "reason"], [(None, rows)])

    @property
    def unfinished(self) -> Table:
        """The runs that are in no mean since they have not ended."""
        keys = ("step", "updated", "host")
        rows: list[list[Entry]] = [
            [Code(str(run.folder)), run.state, *(str(run.status.get(key) or "–") for key in keys)]
            for run in self.records
            if run.state not in (DONE, "failed")
        ]
        caption = "Runs that are pending, running or preempted; they are in no mean"
        return Table("unfinished", caption, ["run", "status", *keys], [(None, rows)])

    @property
    def runs(self) -> Table:
        """Every run."""
        rows: list[list[Entry]] = [
            [Code(str(run.folder)), f"{cell.number}", str(run.seed), run.state]
            for cell in self.cells
            for run in cell.records
        ]
        return Table("runs", "Every run that was read", ["run", "cell", "seed", "status"], [(None, rows)])

    @property
    def longest(self) -> int:
        """The number of rows of these tables that are in the page."""
        return LONGEST

    @property
    def made_with(self) -> str:
        """The date, the code and the version of PyTorch, in words."""
        environments = [record.environment for record in self.records if record.environment]
        commits = Counter(environment["commit"][:12] or "no commit recorded" for environment in environments)
        versions = sorted({environment["torch"] for environment in environments})
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        code = ", ".join(f"{name} ({count(times, 'run')})" for name, times in commits.most_common(5))
        return f"Written on {today}. Code: {code or 'not recorded'}. PyTorch: {', '.join(versions) or 'not recorded'}."


def _templates() -> Environment:
    """Return the templates; whatever comes from a record is escaped where it is written."""
    return Environment(
        loader=PackageLoader("mechlab.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _row(section: Section) -> list[Entry]:
    """Return a task's row of the overview: what varies, its runs, its main metric, claims and expected numbers."""
    records = [record for cell in section.cells for record in cell.records]
    done = sum(len(cell.done) for cell in section.done)
    metric = next(iter(section.main_metrics), "")
    means = [cell.numbers[metric] for cell in section.done if metric in cell.numbers]
    value = Mean(means[0]) if len(means) == 1 else Span(tuple(summary.mean for summary in means))
    claims, met = claims_held([section]), expected_met([section])
    return [
        front.varies(section),
        f"{len(section.cells)}",
        f"{done} of {len(records)}",
        metric or "–",
        value,
        claims if claims.n else "–",
        met if met.n else "–",
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")
