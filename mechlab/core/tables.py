"""Tables of text with aligned columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mechlab.core.printable import printable

UNLIMITED = 10_000  # columns of output that is not a terminal, whose lines are not broken


def print_table(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print a table; on a terminal, cells that are too wide are continued on the next line.

    Args:
        names: names of the columns.
        rows: the cells of each row.
        numbers: names of the columns that are aligned to the right.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = None if sys.stdout.isatty() else UNLIMITED
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(Text(printable(name)), overflow="fold", justify="right" if name in numbers else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(width=width, highlight=False, soft_wrap=False)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)
