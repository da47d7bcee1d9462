"""Accuracy of a network by the length of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mechlab.plotting.style import (
    direct_labels,
    line_look,
    new_figure,
    note,
    number,
    points_axis,
    threshold,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

LINES = {  # columns, names and numbers of looks
    "balanced": ("letters, mean over classes", 2),
    "accuracy": ("words right after every prefix", 0),
    "constant_words": ("words, by a constant", 7),
}


def by_length_figure(table: pd.DataFrame, least: float | None = None) -> Figure:
    """Draw the shares of right words and letters by word length.

    Args:
        table: a row for each length, with the columns `length`, `words`, `accuracy`, `balanced` and `constant_words`.
        least: the accuracy that is claimed.
    """
    figure, (axis,) = new_figure(width=4.2)
    for column, (name, kind) in LINES.items():
        axis.plot(table["length"], table[column], label=name, **line_look(kind, len(table)))
    axis.set(xlabel="length of words (letters)", ylabel="share that is right", ylim=(-0.03, 1.03))
    if len(table) > 1:
        whole_numbers(axis, "x")
    else:
        points_axis(axis, "x", table["length"])
    if len(table):
        fewest, most = table["words"].min(), table["words"].max()
        each = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
        note(axis, f"n = {table['words'].sum():,} words, {each} of each length")
    threshold(axis, least, "above", label=None if least is None else f"claim: ≥ {number(least)}")
    title(axis, "Accuracy by word length")
    direct_labels(axis)
    return figure
