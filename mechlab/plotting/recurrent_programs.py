"""Figures of programs in place of recurrent networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    MANY,
    TEXT,
    interval,
    legend,
    look,
    new_figure,
    note,
    points_axis,
    sample_size,
    scatter_kinds,
    title,
)
from mechlab.plotting.text import number

SUBJECTS = {
    "network": "network",
    "program": "program",
    "constant": "best constant outputs",
    "untrained": "untrained network's program",
}
APART = 1.06  # ratio of the lengths at which the marks of two subjects stand
KINDS = 8  # values of a register that have a colour each; more have a scale
PANELS = 3  # registers, at most
SHADES = "viridis"


def lengths_figure(table: pd.DataFrame) -> Figure:
    """Draw the share of sequences that are right at all positions against their length.

    Args:
        table: a row for each `subject` and `length`, with `sequences`, `every`, `share`, `low` and `high`.
    """
    figure, (axis,) = new_figure(width=3.4, height=2.6)
    subjects = [name for name in SUBJECTS if name in set(table["subject"])]
    for place, name in enumerate(subjects):
        rows = table[table["subject"] == name].sort_values("length")
        at = rows["length"].to_numpy(float) * APART ** (2 * place - len(subjects) + 1)
        axis.plot(
            at, rows["share"], linewidth=1, markersize=4.5, label=SUBJECTS[name], zorder=3, clip_on=False, **look(place)
        )
        interval(axis, at, rows["low"], rows["high"], place)
    lengths = sorted(set(table["length"]))
    axis.set_xscale("log")
    axis.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axis.minorticks_off()
    axis.set(xlabel="letters of a sequence", ylabel="share of right sequences", ylim=(-0.04, 1.04))
    rows_at = [table[table["length"] == length] for length in lengths]
    sizes = [f"{'all ' * bool(rows['every'].any())}{rows['sequences'].max():,}" for rows in rows_at]
    note(axis, f"n = {', '.join(sizes)} sequences; bars: 95 %")
    title(axis, "Right at all positions")
    legend(figure, loc="outside lower center", ncols=min(2, len(subjects)))
    return figure


def registers_figure(places: np.ndarray, values: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw hidden states on two principal components, coloured by the value of each register of the program, of at most
    three.

    Args:
        places: (P, 2) components.
        values: (P, m) values of the registers.
        shares: (2,) shares of variance of the components.
        names: (m,) of the registers.
    """
    shown = list(names)[:PANELS]
    figure, axes = new_figure(panels=len(shown), width=3.0, height=2.9)
    for axis, name, column in zip(axes, shown, values.T, strict=False):
        distinct, kinds = np.unique(column, return_inverse=True)
        if len(distinct) <= KINDS:
            scatter_kinds(axis, places, kinds, [number(value) for value in distinct])
            legend(axis, loc="best", markerscale=1.3, title=name, title_fontsize=TEXT - 1)
        else:
            scale = Normalize(*np.quantile(column, (0.01, 0.99)))
            marks = {"s": 9, "linewidths": 0, "alpha": 0.8, "rasterized": len(places) > MANY}
            axis.scatter(*places.T, c=column, cmap=SHADES, norm=scale, **marks)
            outside = column.min() < scale.vmin, column.max() > scale.vmax
            extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(outside, "neither")
            bar = figure.colorbar(ScalarMappable(scale, SHADES), ax=axis, shrink=0.8, pad=0.03, extend=extend)
            bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
            bar.outline.set_visible(False)
        for along, share, component in zip("xy", shares, ("first", "second"), strict=True):
            axis.set(**{f"{along}label": f"{component} component ({100 * share:.0f} %)"})
            points_axis(axis, along, places[:, "xy".index(along)])
        sample_size(axis, len(places), "hidden states")
        title(axis, f"Register {name}")
    return figure
