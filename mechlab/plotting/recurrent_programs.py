"""Figures of programs in place of recurrent networks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mechlab.plotting.style import (
    DASHES,
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
from mechlab.plotting.text import number, shortened

SUBJECTS = {
    "network": "network",
    "program": "program",
    "constant": "best constant outputs",
    "untrained": "untrained network's program",
}
COMPARED = ("network", "program")  # that are enlarged
NEAR = 0.9  # share from which they are
LEAST = 1e-3  # range of shares of the enlarged panel, at least
APART = 1.09  # half the distance between the marks of two subjects, as a ratio of lengths
KINDS = 8  # values of a register that have a colour each; more have a scale
PANELS = 3  # registers, at most
LONGEST = 60  # letters of an update in a title
SHADES = "viridis"


def lengths_figure(table: pd.DataFrame) -> Figure:
    """Draw the share of sequences that are right at all positions against their length.

    If network and program have shares near 1 throughout, a second panel shows these two enlarged, with the intervals
    that the first cannot show.

    Args:
        table: a row for each `subject` and `length`, with `sequences`, `every`, `share`, `low` and `high`.
    """
    subjects = [name for name in SUBJECTS if name in set(table["subject"])]
    near = [name for name in subjects if name in COMPARED]
    enlarged = bool(near) and bool((table[table["subject"].isin(near)]["share"] >= NEAR).all())
    figure, axes = new_figure(panels=1 + enlarged, width=3.4, height=2.6)
    lengths = sorted(set(table["length"]))
    for axis, shown in zip(axes, (subjects, near), strict=False):
        for place, name in enumerate(shown):
            number = subjects.index(name)
            rows = table[table["subject"] == name].sort_values("length")
            at = rows["length"].to_numpy(float) * APART ** (2 * place - len(shown) + 1)
            marks = {"markersize": 4.5, "label": SUBJECTS[name], "zorder": 3, "clip_on": False, **look(number)}
            axis.plot(at, rows["share"], linewidth=1.2, linestyle=DASHES[number], **marks)
            interval(axis, at, rows["low"], rows["high"], number)
        axis.set_xscale("log")
        axis.set_xticks(lengths, [f"{length:,}" for length in lengths])
        axis.minorticks_off()
        axis.set(xlabel="letters of a sequence", ylabel="share of right sequences", ylim=(-0.04, 1.04))
    rows_at = [table[table["length"] == length] for length in lengths]
    sizes = [f"{'all ' * bool(rows['every'].any())}{rows['sequences'].max():,}" for rows in rows_at]
    note(axes[0], f"n = {', '.join(sizes)} sequences; bars: 95 %")
    title(axes[0], "Right at all positions")
    if enlarged:
        _enlarge(axes[1], float(table[table["subject"].isin(near)]["low"].min()))
        note(axes[1], "the same sequences; bars: 95 %")
        title(axes[1], f"Enlarged: {' and '.join(near)}")
    handles, names = axes[0].get_legend_handles_labels()
    columns = min(2 + 2 * enlarged, len(subjects))
    legend(figure, handles=handles, labels=names, loc="outside lower center", ncols=columns, handlelength=2.6)
    return figure


def _enlarge(axis: Axes, low: float) -> None:
    """Let a panel of shares begin just below the lowest end of an interval, and end just above 1."""
    span = max(1 - low, LEAST)
    axis.set_ylim(1 - 1.1 * span, 1 + 0.1 * span)
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.ticklabel_format(axis="y", useOffset=False, style="plain")


def read_out_text(exact: float, nearest: float | None) -> str:
    """Return the better of two read-outs of a register, and the share of held-out states at which it is right; no share
    below 1 is rounded to 100 %.

    >>> read_out_text(0.99999, None), read_out_text(0.5, 1.0)
    ('affine read-out 99.99 %', 'nearest state 100 %')
    """
    other = nearest is not None and nearest > exact  # not if it is NaN
    share = nearest if other and nearest is not None else exact
    if not np.isfinite(share):
        return "no read-out"
    return f"{'nearest state' if other else 'affine read-out'} {np.floor(1e4 * share + 1e-9) / 100:g} %"


def registers_figure(places: np.ndarray, values: np.ndarray, shares: np.ndarray, registers: pd.DataFrame) -> Figure:
    """Draw hidden states on two principal components, coloured by the value of each register of the program, of at most
    three. A panel's title has the update of the register, and how often the better read-out of states is right.

    Args:
        places: (P, 2) components.
        values: (P, m) values of the registers.
        shares: (2,) shares of variance of the components.
        registers: m rows with `register`, `update`, and the shares `exact` and `nearest`; see `read_out_text`.
    """
    shown = registers[:PANELS].to_dict("records")
    figure, axes = new_figure(panels=len(shown), width=3.0, height=2.9)
    for axis, register, column in zip(axes, shown, values.T, strict=False):
        name = register["register"]
        distinct, kinds = np.unique(column, return_inverse=True)
        if len(distinct) <= KINDS:
            scatter_kinds(axis, places, kinds, [number(value) for value in distinct], size=30)
            beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.02), "borderaxespad": 0.2}
            legend(axis, title=name, title_fontsize=TEXT - 1, **beside)
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
        update = shortened(str(register["update"]), LONGEST)
        title(axis, f"{name} = {update}; {read_out_text(register['exact'], register['nearest'])}")
    return figure
