"""Figure of MAX-SAT algorithms against Johnson's."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    interval,
    legend,
    look,
    new_figure,
    note,
    row_names,
    side_column,
    threshold,
    title,
)

NAMES = {
    "network": "network, variable by variable",
    "optimum": "optimum",
    "johnson": "Johnson",
    "distilled": "published program",
    "greedy": "greedy",
    "three_quarters": "3/4-approximation",
    "random": "random",
}
APART = 0.22  # of marks of one row
TICKS = (-10, -3, -1, 0, 1, 3)


def differences_figure(table: pd.DataFrame, tolerance: float) -> Figure:
    """Draw the mean score of each algorithm minus that of Johnson's algorithm, with 95 % intervals over formulas.

    Args:
        table: a row for each algorithm and number of clauses, "all" for all formulas, as `maxsat_table` saves them.
        tolerance: of the claim on the network.
    """
    figure, (axis,) = new_figure(width=4.2, height=2.9)
    names = [name for name in NAMES if name in set(table["algorithm"])]
    sizes = [size for size in dict.fromkeys(table["clauses"].astype(str)) if size != "all"] or ["all"]
    for number, size in enumerate(sizes):
        rows = table[table["clauses"].astype(str) == size].set_index("algorithm").loc[names]
        places = [row + APART * (number - (len(sizes) - 1) / 2) for row in range(len(names))]
        means, errors = 100 * rows["difference"].to_numpy(), 196 * rows["difference_error"].to_numpy()
        interval(axis, places, means - errors, means + errors, number, along="x")
        label = "all formulas" if size == "all" else f"{size} clauses"
        axis.scatter(means, places, s=16, linewidths=0, zorder=3, label=label, **look(number))
    axis.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(right=3.2)
    axis.set_xticks(TICKS, [f"{tick:g}".replace("-", "−") for tick in TICKS])
    axis.set_xlabel("satisfied clauses minus Johnson's, in percentage points")
    row_names(axis, [NAMES[name] for name in names])
    overall = table[table["clauses"].astype(str) == "all"].set_index("algorithm").loc[names]
    side_column(axis, "satisfied", [f"{score:.4f}" for score in overall["score"]])
    threshold(axis, -100 * tolerance, "above", along="x", label=f"network: ≥ −{100 * tolerance:g}")
    note(axis, "axis logarithmic beyond ±1")
    note(axis, f"mean differences on the same {overall['formulas'].iloc[0]:,} formulas, with 95 % intervals")
    title(axis, "MAX-SAT algorithms against Johnson's")
    if len(sizes) > 1:
        legend(figure, loc="outside lower center", ncols=len(sizes))
    return figure
