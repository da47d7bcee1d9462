"""The page: one HTML file that needs no server, no network and no script."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from mechlab.record.files import write_text
from mechlab.reporting.cells import Cell
from mechlab.reporting.chapter import Chapters
from mechlab.reporting.record import DONE, Problem, Record
from mechlab.reporting.request import Request
from mechlab.reporting.rows import failure_rows
from mechlab.reporting.section import Section
from mechlab.reporting.set_part import SHOWN, SetParts
from mechlab.reporting.sets import SetAnswer
from mechlab.reporting.table import Code, Table, count, join
from mechlab.statistics.bootstrap import RESAMPLES

LONGEST = 300  # rows of the lists of runs and of problems
STYLE = Path(__file__).with_name("page.css")
METHOD = f"""\
<p>A mean is taken over the finished runs of a cell. Its interval is the percentile bootstrap over those runs:
{RESAMPLES:,} resamples, seeded. A single run has no interval, and that of two or three runs is too narrow, since no
resample leaves their range. Numbers are shown to the digits that their interval supports, and in full in the tables in
<code>FOLDER/</code>: <code>metrics.csv</code>, <code>claims.csv</code>, <code>expected.csv</code>,
<code>runs.csv</code> and <code>failures.csv</code>. There are also the tables of this page as <code>.tex</code>, and
its figures as <code>.pdf</code> and <code>.svg</code>.</p>
"""


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

    @property
    def cells(self) -> list[Cell]:
        """All cells."""
        return [cell for section in self.sections for cell in section.cells]

    @property
    def records(self) -> list[Record]:
        """All runs."""
        return [record for cell in self.cells for record in cell.records]

    def write(self) -> None:
        """Write the page, the figures in it, and its tables for a paper."""
        chapters = Chapters(self.cells, self.folder)
        body = [part for number, section in enumerate(self.sections, 1) for part in chapters.html(number, section)]
        parts = SetParts(self.folder, self.problems)
        body += [text for number, answer in enumerate(self.sets[:SHOWN], 1) for text in parts.html(number, answer)]
        body += self._further_sets()
        body += [*self._problems(), *self._unfinished(), *self._runs()]
        parts = [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{escape(self._title())}</title>\n",
            f'<link rel="icon" href="data:,">\n<style>\n{STYLE.read_text(encoding="utf-8")}</style>\n</head>\n<body>\n',
            *self._header(),
            "<main>\n",
            *body,
            "</main>\n",
            *self._footer(),
            "</body>\n</html>\n",
        ]
        write_text(self.out, "".join(parts))

    def _title(self) -> str:
        tasks = [section.task for section in self.sections]
        return f"{count(len(self.records), 'run')} of {join(tasks) if len(tasks) <= 4 else f'{len(tasks)} tasks'}"

    def _header(self) -> Iterator[str]:
        cells, states = self.cells, Counter(record.state for record in self.records)
        claims = [claim.holds for cell in cells for made in cell.claims.values() for claim in made]
        claims += [claim.holds for answer in self.sets for claim in answer.claims.values()]
        compared = [row.within for cell in cells for rows in cell.expected.values() for row in rows]
        compared += [row.within for answer in self.sets for row in answer.expected.values()]
        compared = [within for within in compared if within is not None]
        facts = [("finished runs", states[DONE], f"of {len(self.records)}"), ("cells", len(cells), "")]
        facts += [("claims that hold", sum(claims), f"of {len(claims)}")] if claims else []
        facts += [("expected numbers met", sum(compared), f"of {len(compared)}")] if compared else []
        facts += [(f"{state} runs", states[state], "") for state in sorted(set(states) - {DONE})]
        yield f"<header>\n<h1>{escape(self._title())}</h1>\n"
        yield '<p class="lead">A cell is a group of runs that '
        keys = join(f"<code>{escape(key)}</code>" for key in self.request.by) if self.request.by else ""
        yield f"agree in {keys}" if keys else "differ in their seed only"
        yield ". Numbers are means over its finished runs, with 95 % bootstrap intervals.</p>\n"
        yield '<dl class="facts">'
        for name, value, rest in facts:
            yield f"<div><dt>{escape(name)}</dt><dd>{value} <small>{rest}</small></dd></div>"
        yield '</dl>\n<nav aria-label="Contents"><ul>'
        for number, section in enumerate(self.sections, 1):
            yield f'<li><a href="#task-{number}">{escape(section.task)}</a></li>'
        for number, answer in enumerate(self.sets[:SHOWN], 1):
            runs = count(len(answer.runs), "run")
            yield f'<li><a href="#set-{number}">{escape(answer.analysis)} of {runs}</a></li>'
        if self.problems or any(record.problems for record in self.records):
            yield '<li><a href="#failures">failures</a></li>'
        if set(states) - {DONE, "failed"}:
            yield '<li><a href="#unfinished">unfinished</a></li>'
        yield '<li><a href="#runs">all runs</a></li><li><a href="#method">method</a></li></ul></nav>\n</header>\n'

    def _further_sets(self) -> Iterator[str]:
        if len(self.sets) > SHOWN:
            folders = ", ".join(f"<code>{escape(str(answer.folder))}</code>" for answer in self.sets[SHOWN:][:LONGEST])
            yield f"<p>Further answers about sets of these runs: {folders}.</p>\n"

    def _problems(self) -> Iterator[str]:
        failures = [*failure_rows(self.cells), *(problem._asdict() for problem in self.problems)]
        if not failures:
            return
        rows = [[Code(row["run"]), row["kind"], Code(row["file"]), row["reason"]] for row in failures[:LONGEST]]
        caption = "Runs that failed, with the last line of the traceback, and files that could not be read"
        yield '<section id="failures">\n<h2>Failures</h2>\n'
        yield Table("failures", caption, ["run", "kind", "file", "reason"], [(None, rows)]).html()
        yield from self._cut(len(failures), "failures.csv")
        yield "</section>\n"

    def _unfinished(self) -> Iterator[str]:
        unfinished = [record for record in self.records if record.state not in (DONE, "failed")]
        if not unfinished:
            return
        keys = ("step", "updated", "host")
        rows = [
            [Code(str(run.folder)), run.state, *(str(run.status.get(key) or "–") for key in keys)]
            for run in unfinished[:LONGEST]
        ]
        columns = ["run", "status", *keys]
        yield '<section id="unfinished">\n<h2>Unfinished</h2>\n'
        caption = "Runs that are pending, running or preempted; they are in no mean"
        yield Table("unfinished", caption, columns, [(None, rows)]).html()
        yield from self._cut(len(unfinished), "runs.csv")
        yield "</section>\n"

    def _runs(self) -> Iterator[str]:
        rows = [
            [Code(str(run.folder)), f"{cell.number}", str(run.seed), run.state]
            for cell in self.cells
            for run in cell.records
        ]
        table = Table("runs", "Every run that was read", ["run", "cell", "seed", "status"], [(None, rows[:LONGEST])])
        cut = "".join(self._cut(len(rows), "runs.csv"))
        summary = f"<summary>{count(len(rows), 'run')}</summary>"
        yield '<section id="runs">\n<h2>All runs</h2>\n<details class="more">'
        yield f"{summary}{table.html()}{cut}</details>\n</section>\n"

    def _cut(self, rows: int, file: str) -> Iterator[str]:
        if rows > LONGEST:
            yield f"<p>The first {LONGEST} of {rows}; <code>{escape(self.folder.name)}/{file}</code> has all.</p>\n"

    def _footer(self) -> Iterator[str]:
        folder = escape(self.folder.name)
        yield '<footer id="method">\n<h2>Method</h2>\n'
        yield METHOD.replace("FOLDER", folder)
        yield f'<pre tabindex="0">{escape(self.request.command)}</pre>\n'
        yield f"<p>{escape(self._made_with())}</p>\n</footer>\n"

    def _made_with(self) -> str:
        environments = [record.environment for record in self.records if record.environment]
        commits = Counter(environment["commit"][:12] or "no commit recorded" for environment in environments)
        versions = sorted({environment["torch"] for environment in environments})
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        code = ", ".join(f"{name} ({count(times, 'run')})" for name, times in commits.most_common(5))
        return f"Written on {today}. Code: {code or 'not recorded'}. PyTorch: {', '.join(versions) or 'not recorded'}."
