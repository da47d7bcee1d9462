"""The table of MIPS tasks in Markdown, short enough for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechlab.distill.recurrent.verification import LENGTHS

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 100  # characters of a program
HEAD = "| task | network | program | exact at 10 / 100 / 1,000 | registers from |\n|---|---|---|---|---|\n"


def markdown_table(table: pd.DataFrame) -> str:
    """Return a row for each task: its network, its program, at which lengths it is right, and its origin.

    Args:
        table: as `mips_table.tasks_table` returns it.
    """
    return HEAD + "".join(f"| {' | '.join(_cells(row))} |\n" for row in table.to_dict("records"))


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    import pandas as pd

    task = f"`{row['task']}`"
    if row["outcome"] == "no_run":
        return task, "no run", "", "", ""
    network = "perfect" if row["perfect"] else f"right on {_share(row['test_exact'])}"
    network += f", {row['parameters']:,} parameters"
    if pd.isna(row["program"]):
        return task, network, "none", "", ""
    program = row["program"] if len(row["program"]) <= LONGEST else row["program"][: LONGEST - 3] + "..."
    exact = " / ".join(_share(row[f"program_{length}"]) for length in LENGTHS)
    origin = {"states": f"states, {row['read_out']}", "outputs": "outputs"}[row["origin"]]
    return task, network, f"`{program}`", exact, origin if row["registers"] else "no registers"


def _share(share: float) -> str:
    """Return a share as "yes" or "no" for all and none of the sequences, else to four places, never rounded to 1.

    >>> _share(1.0), _share(0.99999), _share(0.5), _share(0.0)
    ('yes', '.9999', '.5000', 'no')
    """
    if share in (0, 1):
        return "yes" if share else "no"
    return f"{int(share * 10_000) / 10_000:.4f}"[1:]
