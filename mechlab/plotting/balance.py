"""Figures of the balance of data and weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    STEPS,
    direct_labels,
    line_look,
    log_axis,
    new_figure,
    note,
    points_axis,
    title,
)

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
POINTS = 200  # of a line; neighbouring steps are averaged beyond


def ratios(steps: pd.DataFrame) -> Figure:
    """Draw the mass of the data over that of weight decay against the step, for each component and for all.

    Args:
        steps: columns step, `data:COMPONENT` and `decay:COMPONENT`.
    """
    figure, (axis,) = new_figure(width=5.0, height=3.2)
    width = max(1, len(steps) // POINTS)
    for place, group in enumerate(_groups(steps)):
        data, decay = (_means(steps[f"{line}:{group}"], width) for line in ("data", "decay"))
        known = (data > 0) & (decay > 0)
        if known.any():
            _line(axis, steps["step"][known], (data / decay)[known], group, place)
    axis.set(xlabel=STEPS, ylabel="mass of data / mass of decay")
    log_axis(axis, "y")
    points_axis(axis, "x", steps["step"])
    axis.axhline(1, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
    if width > 1:
        note(axis, f"sums over {width} neighbouring steps; dashed: equal masses")
    title(axis, "Data against weight decay")
    direct_labels(axis)
    return figure


def differences(slices: pd.DataFrame) -> Figure:
    """Draw the mass of the data less that of weight decay in slices of training, for each component.

    Args:
        slices: columns first, stop and `difference:COMPONENT`.
    """
    figure, (axis,) = new_figure(width=5.0, height=3.2)
    middle, lengths = (slices["first"] + slices["stop"]) / 2, slices["stop"] - slices["first"]
    groups = [name.partition(":")[2] for name in slices.columns if name.startswith("difference:")]
    drawn = [0.0]
    for place, group in enumerate(groups):
        if group != ALL:
            values = slices[f"difference:{group}"] / lengths
            _line(axis, middle, values, group, place)
            drawn += list(values)
    axis.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
    axis.set(xlabel=STEPS, ylabel="mass of data − mass of decay, per step")
    points_axis(axis, "x", middle)
    points_axis(axis, "y", drawn)
    note(axis, f"slices of {lengths.max():,} steps, within which scores of opposite sign cancel")
    title(axis, "Difference of data and weight decay")
    direct_labels(axis)
    return figure


def _groups(table: pd.DataFrame) -> list[str]:
    return [name.partition(":")[2] for name in table.columns if name.startswith("data:")]


def _means(values: pd.Series, width: int) -> pd.Series:
    return values.rolling(width, min_periods=1, center=True).mean()


def _line(axis: Axes, x: pd.Series, y: pd.Series, group: str, place: int) -> None:
    """Draw the line of a component; that of all parameters is black and wider."""
    look = line_look(place, len(x)) | {"markersize": 2.5, "linewidth": 0.9}
    if group == ALL:
        look |= {"color": INK, "linewidth": 1.8, "marker": "", "linestyle": "-"}
    axis.plot(np.asarray(x), np.asarray(y), label=group, **look)
