"""Report what runs left behind: one HTML page that explains itself, and tables for a paper.

python -m mechlab.report runs="runs/*/*"
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mechlab.core.errors import ConfigError, MechlabError
from mechlab.core.printable import printable
from mechlab.reporting.request import Request, find_runs, parse

HELP = """\
usage: python -m mechlab.report runs=GLOB [by=KEY | by=[KEY,KEY]] [out=FILE]
                                [accuracy_from=SHARE] [model=NAME | model=[NAME,NAME]] [separable=true]

Write one HTML page and CSV tables about recorded runs. Nothing of a run is imported or executed.

  runs=GLOB   run directories, or folders that hold them; quote it, or let the shell leave it alone: runs="runs/*/*"
  by=KEY      average over all runs that agree in these config keys (task, model, task.index, model.hidden, ...);
              without it, over runs that differ in their seed only
  out=FILE    the page; report.html in the folder of the runs by default, the tables in a folder beside it

Where at least three runs hold answers of analysis=clusterings, the page compares the ambiguity of their networks by
method, with their accuracy and over the epochs. These say which networks that part is about:

  accuracy_from=SHARE   those of at least this accuracy (of analysis=conformance if they have it, else test/accuracy)
  model=NAME            those of a model or type of cell: rnn, relu, tanh, gru, lstm, ...
  separable=true        those of which neither LDA nor logistic regression leaves anything ambiguous
"""


def main() -> None:
    """The program `python -m mechlab.report`."""
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(HELP, end="")
        return
    try:
        report(parse(words))
    except MechlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def report(request: Request) -> Path:
    """Read the runs, write tables and page, tell what to do next, and return the page's path."""
    folders = find_runs(request.patterns)
    out = request.out or _root(folders) / "report.html"
    tables = out.with_suffix("")

    from mechlab.record.files import writing
    from mechlab.reporting.cells import make_cells, varying
    from mechlab.reporting.collect import read_run
    from mechlab.reporting.networks import survey
    from mechlab.reporting.page import Page
    from mechlab.reporting.rows import write_tables
    from mechlab.reporting.section import make_sections

    cells = make_cells(map(read_run, folders), request.by)
    keys = request.by or varying([cell.records for cell in cells])
    networks = survey([record for cell in cells for record in cell.records], request.filters)
    if networks is None and request.filters.told:
        must = "these filters need at least three runs that hold answers of analysis=clusterings"
        fix = f"python -m mechlab.analyze run=RUNS analysis=clusterings, or leave out {request.filters.told}"
        raise ConfigError(must, got=request.filters.told, key="runs", fix=fix)
    page = Page(request, make_sections(cells, request.by), tables, out, networks)
    with writing(out.parent, f"out={out}"):
        page.write()
        write_tables(tables, cells, keys)  # after the page, which may have met damaged figures
    troubled = sum(bool(record.problems) for record in page.records)
    print(f"{len(folders)} runs in {len(cells)} cells, {troubled} of the runs failed or damaged")
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
