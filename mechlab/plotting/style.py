"""The house style of figures: sizes, colours and markers, without pyplot and its global state."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TEXT = 8  # points
INK = "#333333"
FAINT = "#cccccc"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#8C6D31", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def new_figure(panels: int = 1, width: float = 3.2, height: float = 2.8, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side, and their axes, row by row.

    Args:
        panels: number of panels in a row.
        width: width of a panel in inches.
        height: height of the figure in inches.
        rows: number of rows.
    """
    figure = Figure(figsize=(panels * width, height), layout="constrained")
    axes = list(figure.subplots(rows, panels, squeeze=False).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(INK)
        axis.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
        for label in (axis.xaxis.label, axis.yaxis.label):
            label.set(size=TEXT, color=INK)
    return figure, axes


def title(axis: Axes, text: str) -> None:
    """Write a panel's title at its upper left."""
    axis.set_title(text, loc="left", fontsize=TEXT + 1, color=INK)


def legend(axis: Axes | Figure, **options: Any) -> None:
    """Draw a panel's or a figure's legend without a frame; `options` are matplotlib's."""
    axis.legend(**{"frameon": False, "fontsize": TEXT - 1, "handletextpad": 0.4, "labelcolor": INK, **options})


def look(number: int) -> dict[str, str]:
    """Return the colour and marker of the number-th kind of point; 64 are distinct, the first 8 by either alone."""
    turn, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + turn) % len(MARKERS)]}


def scatter_kinds(axis: Axes, points: np.ndarray, kinds: np.ndarray, names: list[str] | None = None) -> None:
    """Scatter points (P, 2), each kind (P,) with its own colour and marker, and its name for the legend if given."""
    for kind in np.unique(kinds):
        members = points[kinds == kind]
        label = None if names is None else names[kind]
        axis.scatter(*members.T, s=9, alpha=0.75, linewidths=0, label=label, **look(int(kind)))
