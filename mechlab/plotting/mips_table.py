"""Figure of the outcomes of the 62 MIPS tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, FAINT, INK, TEXT, legend, new_figure, note, title

COLUMNS = 4
SEEDS = 5  # that are listed one by one
LOOKS: dict[str, dict[str, Any]] = {
    "exact_1000": {"marker": "o", "color": COLOURS[0], "label": "right at 1,000 letters"},
    "exact_10": {"marker": "s", "color": COLOURS[1], "label": "at 10 letters only"},
    "exact_imperfect": {"marker": "^", "color": COLOURS[2], "label": "network not perfect, program right"},
    "no_program": {"marker": "D", "color": COLOURS[3], "label": "perfect, no right program"},
    "imperfect": {"marker": "X", "color": COLOURS[7], "label": "network not perfect, no right program"},
    "no_run": {"marker": "o", "facecolor": "none", "edgecolor": FAINT, "label": "no run"},
}


def outcomes_figure(table: pd.DataFrame) -> Figure:
    """Draw the outcome of each task with a run by colour and marker, with the task's name, column by column in the
    table's order; all tasks if none has a run.

    Args:
        table: a row for each task, with the columns `task`, `outcome`, and the `seed` of the run, NaN without one.
    """
    total, known = len(table), table["outcome"] != "no_run"
    table = table[known] if known.any() else table
    rows = -(-len(table) // COLUMNS)
    figure, (axis,) = new_figure(width=6.6, height=0.7 + 0.17 * rows)
    places = [divmod(i, rows) for i in range(len(table))]
    for name, look in LOOKS.items():
        members = [place for place, outcome in zip(places, table["outcome"], strict=True) if outcome == name]
        if members:
            label = f"{look['label']} ({len(members)})"
            axis.scatter(*zip(*members, strict=True), **{"s": 22, "linewidths": 0.8, **look, "label": label})
    for (column, row), task in zip(places, table["task"], strict=True):
        axis.annotate(
            task,
            (column, row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=TEXT - 1,
            color=INK,
            parse_math=False,
        )
    axis.set(xlim=(-0.06, COLUMNS - 0.25), ylim=(rows - 0.4, -0.6), xticks=[], yticks=[])
    axis.spines[["left", "bottom"]].set_visible(False)
    seeds = sorted({int(seed) for seed in table["seed"].dropna()})
    names = f"; seed{'s' * (len(seeds) > 1)} {_listed(seeds)}" if seeds else ""
    note(axis, f"{known.sum()} of {total} tasks have a run, in the published order{names}")
    title(axis, "Programs of recurrent networks on the MIPS tasks")
    legend(figure, loc="outside lower left", ncols=3, columnspacing=0.8, handlelength=1.2)
    return figure


def _listed(seeds: Sequence[int]) -> str:
    """Return some seeds in words, or, of many, the range that they lie in."""
    return ", ".join(map(str, seeds)) if len(seeds) <= SEEDS else f"between {seeds[0]} and {seeds[-1]}"
