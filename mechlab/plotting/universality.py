"""Which irreps networks of many seeds learn: how often, how many, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    STEPS,
    band,
    direct_labels,
    legend,
    line_look,
    log_axis,
    new_figure,
    no_value,
    note,
    row_names,
    sample_size,
    steps_axis,
    title,
)

if TYPE_CHECKING:
    import pandas as pd

ROWS = 40  # of a figure
TINY = 1e-16  # smallest loss in a mean of logarithms


def irrep_frequency(irreps: pd.DataFrame) -> Figure:
    """Draw the share of networks that learned each irrep, with Wilson intervals, frequent ones first, and the published
    shares where there are any. Irreps of groups with more than 40 that nobody learned are left out.

    Args:
        irreps: a row for each irrep, with the columns `irrep`, `dimension`, `networks` that learned it, `of` all that
            generalise, `rate`, `low`, `high` and `published_rate`.
    """
    table = irreps.sort_values("rate", ascending=False, kind="stable") if irreps["rate"].notna().any() else irreps
    shown = table[table["networks"] > 0] if len(table) > ROWS else table
    left_out = len(table) - len(shown.head(ROWS))
    shown = shown.head(ROWS)
    sized = shown["dimension"].nunique() > 1
    names = [f"{row.irrep}, d = {row.dimension}" if sized else row.irrep for row in shown.itertuples()]
    figure, (axis,) = new_figure(width=3.6, height=1.2 + 0.17 * max(len(shown), 4))
    title(axis, "Irreps that networks learn")
    _bars(axis, shown, names, "share of networks that learned it", left_out, "irreps")
    return figure


def number_of_irreps(numbers: pd.DataFrame) -> Figure:
    """Draw the share of networks with each number of key irreps, with Wilson intervals.

    Args:
        numbers: a row for each number, with the columns `irreps`, `networks`, `of`, `rate`, `low`, `high` and
            `published_rate`.
    """
    figure, (axis,) = new_figure(width=3.6, height=1.2 + 0.2 * max(len(numbers), 4))
    title(axis, "Number of key irreps")
    _bars(axis, numbers, [f"{number:g}" for number in numbers["irreps"]], "share of networks", 0, "numbers")
    axis.set_ylabel("key irreps", fontsize=8, color=INK)
    return figure


def _bars(axis: Axes, table: pd.DataFrame, names: list[str], label: str, left_out: int, noun: str) -> None:
    """Draw a horizontal bar for each row of a table, with its interval."""
    of = int(table["of"].iloc[0]) if len(table) else 0
    if not of:
        note(axis, "no network generalises")
        no_value(axis)
        return
    rows = np.arange(len(table))
    axis.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    axis.set_axisbelow(True)
    axis.barh(rows, table["rate"], height=0.62, color=COLOURS[0], alpha=0.55, linewidth=0)
    axis.hlines(rows, table["low"], table["high"], color=COLOURS[0], linewidth=1.4, label="95 % interval")
    if (known := table["published_rate"].notna().to_numpy()).any():
        marks = {"markersize": 4, "markerfacecolor": "none", "color": COLOURS[3], "clip_on": False}
        axis.plot(table["published_rate"][known], rows[known], "D", label="published", linestyle="none", **marks)
        legend(axis.figure, loc="outside lower center", ncols=2)
    axis.set(xlim=(-0.02, 1), xlabel=label)
    axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    row_names(axis, names)
    sample_size(axis, of, "networks that generalise" + (f"; {left_out} {noun} are not shown" if left_out else ""))


def learning_order(curves: pd.DataFrame) -> Figure:
    """Draw the mean similarity of irreps to the logits over training, with a 95 % band over networks.

    Args:
        curves: a row for each irrep and step, with the columns `irrep`, `step`, `mean`, `low`, `high` and `networks`.
    """
    figure, (axis,) = new_figure(width=4.6, height=3.0)
    for place, (name, table) in enumerate(curves.groupby("irrep", sort=False)):
        look = {**line_look(place, len(table)), "marker": ""}
        axis.plot(table["step"], table["mean"], label=name, **look)
        if table["low"].notna().all() and len(table) > 1:
            band(axis, table["step"], table["low"], table["high"], place)
    steps_axis(axis, sorted(set(curves["step"])))
    axis.set(xlabel=STEPS, ylabel="similarity to the logits")
    sample_size(axis, int(curves["networks"].iloc[0]), "networks that generalise, mean and 95 % interval")
    title(axis, "Order of learning")
    direct_labels(axis)
    return figure


def grokking(progress: pd.DataFrame) -> Figure:
    """Draw loss and accuracy on training and test pairs over training, of each network, and their means at the steps
    that all have.

    Args:
        progress: a row for each network and step, with the columns `run`, `step`, `train_loss`, `test_loss`,
            `train_accuracy` and `test_accuracy`.
    """
    figure, axes = new_figure(2, width=3.4, height=2.8)
    networks = [table for _, table in progress.groupby("run", sort=False)]
    common = sorted(set.intersection(*(set(table["step"]) for table in networks)))
    for axis, what in zip(axes, ("loss", "accuracy"), strict=True):
        for place, (split, name) in enumerate((("train", "training"), ("test", "test"))):
            column = f"{split}_{what}"
            for table in networks:
                axis.plot(table["step"], table[column], color=COLOURS[place], linewidth=0.5, alpha=0.35)
            values = np.stack([table.set_index("step").loc[common, column] for table in networks])
            mean = np.exp(np.log(np.maximum(values, TINY)).mean(0)) if what == "loss" else values.mean(0)
            axis.plot(common, mean, label=name, **{**line_look(place, len(common)), "marker": ""})
        steps_axis(axis, sorted(set(progress["step"])))
        axis.set_xlabel(STEPS)
        title(axis, f"{what.capitalize()} of {len(networks)} networks")
    log_axis(axes[0], "y")
    axes[0].set_ylabel("mean cross entropy (nats)")
    axes[1].set(ylabel="accuracy", ylim=(-0.02, 1.02))
    note(axes[0], "thin: each network; thick: geometric mean")
    note(axes[1], "thin: each network; thick: mean")
    legend(figure, handles=axes[0].get_legend_handles_labels()[0], loc="outside lower center", ncols=2)
    return figure
