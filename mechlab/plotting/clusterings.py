"""Ambiguity by method of clustering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    SOFT,
    interval,
    legend,
    new_figure,
    no_value,
    number,
    row_names,
    sample_size,
    side_column,
    text_width,
    threshold,
    title,
)

if TYPE_CHECKING:
    import pandas as pd


def methods_figure(table: pd.DataFrame, most: float) -> Figure:
    """Draw the weighted ambiguity of each method, with its number of clusters and its share of noise.

    Args:
        table: a row for each method, with the columns `method`, `clusters`, `noise`, `weighted`, `null_permuted`, and
            if known `prefixes`, `null_random`, and `held_out` with the ends of its interval, `held_out_low` and
            `held_out_high`.
        most: the ambiguity up to which clusters count as pure.
    """
    figure, (axis,) = new_figure(width=4.0, height=max(1.9, 1.4 + 0.19 * len(table)))
    title(axis, "Ambiguity by method")
    if not len(table):
        no_value(axis)
        return figure
    places = range(len(table))
    axis.hlines(places, 0, 1, color=FAINT, linewidth=0.5, zorder=0)
    axis.plot(table["null_permuted"], places, "s", color=SOFT, markersize=4, fillstyle="none", label="permuted states")
    if "null_random" in table:
        above = {"clip_on": False, "zorder": 3}  # the network's points must not hide an equal null
        axis.plot(table["null_random"], places, "|", color=INK, markersize=8, label="random partition", **above)
    axis.plot(table["weighted"], places, "o", color=COLOURS[0], markersize=5, label="network", clip_on=False)
    if "held_out" in table:
        below = np.arange(len(table)) + 0.28  # beside the points of all rows
        interval(axis, below, table["held_out_low"], table["held_out_high"], 3, along="x")
        axis.plot(table["held_out"], below, "D", color=COLOURS[3], markersize=3, label="held-out rows", clip_on=False)
    row_names(axis, table["method"])
    clusters = [f"{count}" for count in table["clusters"]]
    side_column(axis, "clusters", clusters)
    side_column(
        axis, "noise", [f"{share:.0%}" if share else "" for share in table["noise"]], text_width("clusters ", 8)
    )
    axis.set(xlabel="weighted ambiguity", xlim=(-0.03, 1.03))
    if "prefixes" in table:
        sample_size(axis, int(table["prefixes"].max()), "distinct prefixes")
    threshold(axis, most, "below", along="x", label=f"claim: ≤ {number(most)}")
    legend(figure, loc="outside lower center", ncols=4, columnspacing=1.0)
    return figure
