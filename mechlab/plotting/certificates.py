"""Figure of proved lower bounds on accuracy against what they cost."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, INK, TEXT, legend, line_look, new_figure, note, threshold, title

NAMES = {
    "low_rank": "irreps' logits exact, rest bounded",
    "equivariance": "one orbit representative, deviation bounded",
    "restricted_cauchy_schwarz": "irreps alone, remainder by Cauchy–Schwarz",
    "restricted_interval": "irreps alone, remainder by intervals",
    "restricted_exact": "irreps alone, remainder exact",
    "brute_force": "brute force",
}


def certificates_figure(table: pd.DataFrame, accuracy: float) -> Figure:
    """Draw the certified share of the pairs against the cost of each bound.

    Args:
        table: a row for each bound, with its name, the number of irreps, the certified share and the cost.
        accuracy: the certified share of the claims.
    """
    figure, (axis,) = new_figure(width=4.6, height=3.6)
    for number, (bound, name) in enumerate(NAMES.items()):
        rows = table[table["bound"] == bound].sort_values("irreps")
        look = {**line_look(number), "markevery": 1}
        if bound == "brute_force":
            look |= {"color": INK, "marker": "*", "markersize": 9}
        axis.plot(rows["cost"], rows["certified"], label=name, zorder=3, **look)
    for number, bound in enumerate(("low_rank", "equivariance")):
        rows = table[table["bound"] == bound].sort_values("irreps")
        last, beside = rows.iloc[-1], {"textcoords": "offset points", "ha": "center", "fontsize": TEXT - 1}
        place = (last["cost"], last["certified"])
        axis.annotate(f"{last['irreps']:g}", place, (0, 5), color=COLOURS[number], **beside)
    axis.set(xlabel="floating point operations, relative to brute force", ylim=(-0.05, 1.08), xlim=(0, None))
    axis.set_ylabel("certified share of all pairs")
    threshold(axis, accuracy, "above")
    note(axis, "lines: bounds from one irrep, two, ... up to the number above the line")
    title(axis, "Proved lower bounds on the accuracy")
    legend(figure, loc="outside lower center", ncols=2, columnspacing=1.2)
    return figure
