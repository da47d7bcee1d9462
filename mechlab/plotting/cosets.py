"""Figures of neurons that are functions of cosets, and of interventions on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mechlab.plotting.style import COLOURS, INK, legend, log_axis, new_figure, note, row_names, title

PANELS = 3  # irreps
ROWS = 20  # subgroup classes
WORDS = {
    "intact": "none",
    "within_cosets": "permuted inside cosets",
    "within_random": "permuted inside random blocks",
    "exchange_cosets": "cosets exchanged",
    "both_signs": "both signs changed",
    "absolute": "absolute value for relu",
    "left_sign": "sign of left factor changed",
    "right_sign": "sign of right factor changed",
    "exchange": "factors exchanged",
    "noise": "noise added",
}


def memberships_figure(table: pd.DataFrame, level: float) -> Figure:
    """Draw the R^2 of the cosets of every subgroup class, for the neurons of the most frequent irreps.

    Args:
        table: a row for each irrep, factor, side and class, with `r2` and `null`, and the number of `neurons`.
        level: the least adjusted R^2 of a neuron that is constant on cosets.
    """
    names = list(dict.fromkeys(table["irrep"]))[:PANELS]
    best = table.loc[table.groupby(["irrep", "factor", "subgroup"], sort=False)["r2"].idxmax()]
    classes = table.drop_duplicates("subgroup").sort_values("order", ascending=False, kind="stable")
    if len(classes) > ROWS:
        top = best.groupby("subgroup")["adjusted"].max().nlargest(ROWS).index
        classes = classes[classes["subgroup"].isin(top)]
    figure, axes = new_figure(panels=len(names), width=2.6, height=1.3 + 0.2 * len(classes))
    for axis, name in zip(axes, names, strict=True):
        rows = best[best["irrep"] == name]
        for number, factor in enumerate(("left", "right")):
            part = rows[rows["factor"] == factor].set_index("subgroup").loc[classes["subgroup"]]
            places = np.arange(len(part)) + (number - 0.5) * 0.38
            axis.barh(places, part["r2"], height=0.36, color=COLOURS[number], linewidth=0)
            axis.vlines(part["null"], places - 0.18, places + 0.18, color=INK, linewidth=1.4)
        axis.set(xlim=(0, 1.02), xlabel="R² of the best conjugate, left or right cosets")
        if axis is axes[0]:
            row_names(axis, [f"{row.subgroup} (index {row.index})" for row in classes.itertuples(index=False)])
        else:
            axis.set_yticks([])
            axis.set_ylim(len(classes) - 0.4, -0.6)
        note(axis, f"medians over {int(rows['neurons'].iloc[0])} neurons")
        title(axis, f"Irrep {name}")
    handles = [
        Patch(color=COLOURS[0], label="left factor"),
        Patch(color=COLOURS[1], label="right factor"),
        Line2D([], [], color=INK, linewidth=1.4, marker="|", linestyle="", label="random partitions, as many"),
    ]
    legend(figure, handles=handles, loc="outside lower center", ncols=3)
    return figure


def interventions_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy and loss after each intervention, a point for each draw.

    Args:
        table: a row for each `intervention` and draw, with `accuracy` and `loss` in nats.
    """
    names = list(dict.fromkeys(table["intervention"]))
    figure, axes = new_figure(panels=2, width=2.8, height=1.1 + 0.24 * len(names))
    places = table["intervention"].map({name: row for row, name in enumerate(names)}).to_numpy()
    for axis, column in zip(axes, ("accuracy", "loss"), strict=True):
        for row in range(len(names)):
            axis.axhline(row, color=COLOURS[7], linewidth=0.3, alpha=0.4, zorder=0)
        axis.plot(table[column], places, "o", color=COLOURS[0], markersize=4, alpha=0.7, markeredgewidth=0)
    row_names(axes[0], [WORDS[name] for name in names])
    axes[0].set(xlim=(-0.03, 1.03), xlabel="accuracy")
    if (table["loss"] > 0).any():
        log_axis(axes[1], "x")
    axes[1].set(yticks=[], ylim=axes[0].get_ylim(), xlabel="loss in nats")
    title(axes[0], "Accuracy after interventions")
    title(axes[1], "Loss")
    for axis in axes:
        note(axis, "a point for each draw")
    return figure
