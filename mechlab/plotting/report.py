"""Figures of a report: cells side by side, and their learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    STEPS,
    TEXT,
    band,
    direct_labels,
    interval,
    line_look,
    log_axis,
    new_figure,
    no_value,
    points_axis,
    row_names,
    shortened,
    text_width,
    title,
)
from mechlab.plotting.style import (
    threshold as draw_threshold,
)

POINTS = 160  # maximal number of points of a curve
WIDE = 30.0  # ratio of losses above which their axis is logarithmic
LINES = len(COLOURS)  # curves in one figure
LONGEST = 54  # letters of a label
BESIDE = 80.0  # width in points beyond which a forest's labels stand above its rows


@dataclass(frozen=True)
class MeanInterval:
    """One row of a forest plot: the runs' values, their mean and its interval (None for a single run)."""

    label: str
    values: Sequence[float]
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Learning:
    """The curves of a cell's runs: (steps, values) of each."""

    label: str
    runs: Sequence[tuple[Sequence[int], Sequence[float]]]


def forest(
    name: str,
    rows: Sequence[MeanInterval],
    threshold: float | None = None,
    better: Literal["below", "above"] | None = None,
) -> Figure:
    """Draw means with intervals, one row for each cell, the runs' values faintly behind, and a claim's threshold.

    Args:
        name: what is drawn.
        rows: the rows, from the top.
        threshold: the threshold of the claim.
        better: the side on which it holds; None where that is not known, for a line alone.
    """
    wide = max((text_width(row.label, TEXT - 1) for row in rows), default=0) > BESIDE
    figure, (axis,) = new_figure(width=3.1, height=0.75 + (0.36 if wide else 0.21) * len(rows))
    axis.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.6)
    for place, row in enumerate(rows):
        axis.plot(row.values, [place] * len(row.values), "|", color=COLOURS[0], markersize=7, alpha=0.45)
        if row.low is not None and row.high is not None:
            interval(axis, place, row.low, row.high, along="x")
        axis.plot(row.mean, place, "o", color=COLOURS[0], markersize=4.5)
    numbers = [value for row in rows for value in (*row.values, row.mean, row.low, row.high) if value is not None]
    axis.margins(x=0.06)
    limits = [threshold] if threshold is not None and np.isfinite(threshold) else []
    points_axis(axis, "x", numbers + limits)
    if wide:
        _names_above(axis, [row.label for row in rows])
    else:
        row_names(axis, [row.label for row in rows])
    axis.spines["left"].set_visible(False)
    if better is not None:
        draw_threshold(axis, threshold, better, along="x")
    elif limits:
        axis.axvline(limits[0], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
    if not np.isfinite(np.array(numbers, float)).any():
        no_value(axis)
    title(axis, name)
    return figure


def learning(name: str, cells: Sequence[Learning], along: str = STEPS, named: bool = False) -> Figure:
    """Draw the mean curve of each cell, and a band from the least to the greatest of its runs.

    A run that stopped early is continued with its last value.

    Args:
        name: what is drawn.
        cells: the curves.
        along: what they are drawn against.
        named: True for the cells' labels beside the curves.
    """
    figure, (axis,) = new_figure(width=3.1, height=2.3)
    drawn, places = [np.empty(0)], [np.empty(0)]
    for number, cell in enumerate(cells):
        steps, values = on_common_steps(cell.runs)  # (S,), (N, S)
        if len(values) > 1:
            band(axis, steps, values.min(0), values.max(0), number)
        axis.plot(steps, values.mean(0), label=cell.label, **line_look(number, len(steps)))
        drawn.append(values[np.isfinite(values)])
        places.append(steps)
    every = np.concatenate(drawn)
    axis.set_xlabel(along)
    points_axis(axis, "x", np.concatenate(places))
    if every.min(initial=np.inf) > 0 and every.max(initial=0) > WIDE * every.min(initial=np.inf):
        log_axis(axis, "y")
    else:
        points_axis(axis, "y", every)
    if not len(every):
        no_value(axis)
    title(axis, name)
    if named:
        direct_labels(axis)
    return figure


def on_common_steps(runs: Sequence[tuple[Sequence[int], Sequence[float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Return curves at the steps of all of them, at most 160.

    Args:
        runs: (steps, values) of each run, steps rising.

    Returns:
        steps (S,) and values (N, S); between the steps of a run linear, beyond them constant.
    """
    steps = np.unique(np.concatenate([np.asarray(run[0]) for run in runs]))
    if len(steps) > POINTS:
        steps = steps[np.linspace(0, len(steps) - 1, POINTS).round().astype(int)]
    return steps, np.stack([np.interp(steps, *run) for run in runs])


def _names_above(axis: Axes, names: Sequence[str]) -> None:
    """Write the names of rows 0, 1, … above them, where they need no room beside the panel."""
    for place, name in enumerate(names):
        small = {"fontsize": TEXT - 1, "color": INK, "va": "bottom", "parse_math": False}
        axis.text(0, place - 0.2, shortened(name, LONGEST), transform=axis.get_yaxis_transform(), **small)
    axis.set_yticks(range(len(names)), [""] * len(names))
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(names) - 0.6, -0.9)
