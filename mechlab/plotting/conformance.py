"""Accuracy of a network by the length of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mechlab.plotting.style import COLOURS, legend, new_figure, title

if TYPE_CHECKING:
    import pandas as pd

LINES = {
    "accuracy": ("words, every prefix", COLOURS[0], "o-"),
    "balanced": ("letters, balanced", COLOURS[2], "s-"),
    "constant_words": ("words, a constant", COLOURS[7], "^:"),
}


def by_length_figure(table: pd.DataFrame) -> Figure:
    """Draw the shares of right words and letters by word length.

    Args:
        table: a row for each length, with the columns `length`, `accuracy`, `balanced` and `constant_words`.
    """
    figure, (axis,) = new_figure(width=4.2)
    for column, (name, colour, line) in LINES.items():
        axis.plot(table["length"], table[column], line, color=colour, markersize=3.5, linewidth=1.2, label=name)
    axis.set(xlabel="letters", ylabel="share that is right", ylim=(-0.03, 1.03))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axis, loc="best")
    title(axis, "Accuracy by word length")
    return figure
