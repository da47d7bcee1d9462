"""Figures of a report: cells side by side, and their learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from mechlab.plotting.style import COLOURS, FAINT, legend, look, new_figure, title

STEPS = 160  # maximal number of points of a curve
WIDE = 30.0  # ratio of losses above which their axis is logarithmic
LINES = len(COLOURS)  # curves in one figure


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


def forest(name: str, rows: Sequence[MeanInterval], threshold: float | None = None) -> Figure:
    """Draw means with intervals, one row for each cell, the runs' values faintly behind, and a claim's threshold."""
    figure, (axis,) = new_figure(width=3.1, height=0.75 + 0.21 * len(rows))
    for place, row in enumerate(rows):
        axis.plot(row.values, [place] * len(row.values), "|", color=COLOURS[0], markersize=7, alpha=0.45)
        if row.low is not None and row.high is not None:
            axis.plot([row.low, row.high], [place, place], color=COLOURS[0], linewidth=1.6, solid_capstyle="butt")
        axis.plot(row.mean, place, "o", color=COLOURS[0], markersize=4.5)
    if threshold is not None:
        axis.axvline(threshold, color=COLOURS[3], linewidth=1.0, linestyle="--", zorder=0)
    axis.set_yticks(range(len(rows)), [row.label for row in rows])
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.6)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.margins(x=0.06)
    axis.ticklabel_format(axis="x", useOffset=False)
    axis.locator_params(axis="x", nbins=5)
    title(axis, name)
    return figure


def learning(name: str, cells: Sequence[Learning], along: str = "optimiser step", named: bool = False) -> Figure:
    """Draw the mean curve of each cell, and a band from the least to the greatest of its runs.

    A run that stopped early is continued with its last value.

    Args:
        name: what is drawn.
        cells: the curves.
        along: what they are drawn against.
        named: True for a legend of the cells' labels.
    """
    figure, (axis,) = new_figure(width=3.1, height=2.3)
    least, most = np.inf, 0.0
    for number, cell in enumerate(cells):
        steps, values = on_common_steps(cell.runs)  # (S,), (N, S)
        colour = look(number)["color"]
        if len(values) > 1:
            axis.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)
        axis.plot(steps, values.mean(0), color=colour, linewidth=1.4, label=cell.label, **_dots(number, len(steps)))
        least, most = min(least, values.min()), max(most, values.max())
    if least > 0 and most / least > WIDE:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(along)
    axis.locator_params(axis="x", nbins=5)
    if named:
        legend(axis)
    title(axis, name)
    return figure


def on_common_steps(runs: Sequence[tuple[Sequence[int], Sequence[float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Return curves at the steps of all of them, at most 160.

    Args:
        runs: (steps, values) of each run, steps rising.

    Returns:
        steps (S,) and values (N, S); between the steps of a run linear, beyond them constant.
    """
    steps = np.unique(np.concatenate([np.asarray(run[0]) for run in runs]))
    if len(steps) > STEPS:
        steps = steps[np.linspace(0, len(steps) - 1, STEPS).round().astype(int)]
    return steps, np.stack([np.interp(steps, *run) for run in runs])


def _dots(number: int, steps: int) -> dict[str, object]:
    """Return markers for a few points of a curve, so that curves differ without colour."""
    return {"marker": look(number)["marker"], "markersize": 4, "markevery": max(1, steps // 5)}
