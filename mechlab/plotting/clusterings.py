"""Ambiguity by method of clustering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, FAINT, INK, TEXT, legend, new_figure, title

if TYPE_CHECKING:
    import pandas as pd


def methods_figure(table: pd.DataFrame, threshold: float) -> Figure:
    """Draw a bar for the weighted ambiguity of each method, with its number of clusters and its share of noise.

    Args:
        table: a row for each method, with the columns `method`, `clusters`, `noise`, `weighted`, `null_permuted`, and
            if known `null_random` and `held_out` with the ends of its interval, `held_out_low` and `held_out_high`.
        threshold: the ambiguity below which clusters count as pure.
    """
    figure, (axis,) = new_figure(width=5.2, height=1.2 + 0.22 * len(table))
    places = np.arange(len(table))
    axis.barh(places, table["null_permuted"], color=FAINT, height=0.75, label="permuted states")
    axis.barh(places, table["weighted"], color=COLOURS[0], height=0.45, label="network")
    if "null_random" in table:
        axis.plot(table["null_random"], places, "|", color=INK, markersize=6, label="random partition")
    if "held_out" in table:
        axis.plot(table["held_out"], places, "D", color=COLOURS[3], markersize=4, label="on held-out rows")
        axis.hlines(places, table["held_out_low"], table["held_out_high"], color=COLOURS[3], linewidth=1.5)
    for place, line in zip(places, table.itertuples(), strict=True):
        noise = f", {line.noise:.0%} noise" if line.noise else ""
        axis.text(1.02, place, f"{line.clusters}{noise}", va="center", fontsize=TEXT - 1, color=INK)
    axis.axvline(threshold, color=INK, linewidth=0.8, linestyle=":")
    axis.set_yticks(places, table["method"])
    axis.invert_yaxis()
    axis.set(xlabel="weighted ambiguity", xlim=(-0.02, 1.0))
    legend(figure, loc="outside lower center", ncols=4, columnspacing=1.0)
    title(axis, "Ambiguity by method (right: clusters)")
    return figure
