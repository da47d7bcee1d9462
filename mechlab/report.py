"""Report recorded runs: one self-contained HTML page, and tables for a paper.

python -m mechlab.report runs="runs/*/*"
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mechlab.core.errors import ConfigError, MechlabError
from mechlab.core.printable import printable, quoted
from mechlab.reporting.request import Request, check_writable, find_runs, parse

HELP = """\
usage: python -m mechlab.report runs=GLOB [by=KEY | by=[KEY,KEY]] [out=FILE]

Write one HTML page and CSV tables about recorded runs. Nothing of a run is imported or executed.

  runs=GLOB   run directories, or folders that hold them; quote it, or let the shell leave it alone: runs="runs/*/*"
  by=KEY      average over all runs that agree in these config keys (task, model, task.index, model.hidden, ...);
              without it, over runs that differ in their seed only
  out=FILE    the page; report.html in the folder of the runs by default, the tables in a folder beside it

Answers about sets of runs (python -m mechlab.analyze run=GLOB analysis=NAME, such as seeds or ambiguity_over_runs) are
shown where all their runs are among the reported ones and are still as they were.
"""
MOVED = ("accuracy_from", "model", "separable")  # filters of networks, which are parameters of an analysis now
SURVEY = "ambiguity_over_runs"


def main() -> None:
    """The program `python -m mechlab.report`."""
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(HELP, end="")
        return
    try:
        check_moved(words)
        report(parse(words))
    except MechlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def check_moved(words: Sequence[str]) -> None:
    """Raise ConfigError, with the command to type instead, if words filter networks as reports once did."""
    given = dict(word.partition("=")[::2] for word in words)
    moved = {key: given[key] for key in MOVED if key in given}
    if moved:
        settings = " ".join(quoted(f"analysis.{SURVEY}.{key}=", _listed(key, value)) for key, value in moved.items())
        raise ConfigError(
            f"{next(iter(moved))} is a parameter of analysis={SURVEY}, whose findings the report shows",
            got=" ".join(f"{key}={value}" for key, value in moved.items()),
            key=next(iter(moved)),
            fix=f"python -m mechlab.analyze {quoted('run=', given.get('runs', 'GLOB'))} analysis={SURVEY} {settings}",
        )


def _listed(key: str, value: str) -> str:
    return f"[{value}]" if key == "model" and not value.startswith("[") else value


def report(request: Request) -> Path:
    """Read the runs, write tables and page, print what to type next, and return the page's path."""
    folders = find_runs(request.patterns)
    out = request.out or _root(folders) / "report.html"
    check_writable(out)
    tables = out.with_suffix("")

    from mechlab.record.files import writing
    from mechlab.reporting.cells import make_cells, varying
    from mechlab.reporting.collect import read_run
    from mechlab.reporting.page import Page
    from mechlab.reporting.rows import write_tables
    from mechlab.reporting.section import make_sections
    from mechlab.reporting.sets import read_sets

    cells = make_cells(map(read_run, folders), request.by)
    keys = request.by or varying([cell.records for cell in cells])
    answers, problems = read_sets([record for cell in cells for record in cell.records])
    page = Page(request, make_sections(cells, request.by), tables, out, answers, problems)
    with writing(out.parent, f"out={out}"):
        page.write()
        write_tables(tables, cells, keys)  # after the page, which may have met damaged figures
    troubled = sum(bool(record.problems) for record in page.records)
    print(f"{len(folders)} runs in {len(cells)} cells, {troubled} of the runs failed or damaged")
    if answers or problems:
        out_of_date = f", {len(problems)} out of date or damaged" if problems else ""
        print(f"{len(answers)} answers about sets of them{out_of_date}")
    print(f"next:\n  read   open {printable(out)} in a browser; it needs no server")
    print(f"  use    {printable(tables)}/*.csv, *.tex, figures/*.pdf\nreport: {printable(out)}")
    return out


def _root(folders: list[Path]) -> Path:
    """Return the folder that holds all runs: that of runs/TASK-MODEL/ID is runs."""
    roots = [folder.parent.parent for folder in folders]
    if any(root.is_absolute() for root in roots):
        roots = [root.absolute() for root in roots]
    return Path(os.path.commonpath(roots))


if __name__ == "__main__":
    main()
