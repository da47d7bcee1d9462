"""Figures of causal tests: removed subspaces, and changed variables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from mechlab.plotting.style import (
    INK,
    SOFT,
    TEXT,
    band,
    interval,
    legend,
    line_look,
    look,
    new_figure,
    note,
    number,
    title,
)

CHANCE = 0.5
SPACES = {"invariant": "invariant subspace", "published": "span of the published memories", "random": "random subspace"}
ACTIONS = {  # action, column -> name
    ("removed", "accuracy"): "removed\nonce",
    ("removed at s steps", "accuracy"): "removed at\neach of s steps",
    ("kept", "accuracy"): "all that\nis kept",
    ("exchanged", "accuracy"): "exchanged:\nown future",
    ("exchanged", "donor"): "exchanged:\nother's future",
}
BASES = {"decoder": "decoder's basis", "published": "published basis", "random": "random direction"}
NUMBERED = 120  # cells at most have their accuracy written in them
EMPTY = "#eeeeee"


def ablations_figure(ablations: pd.DataFrame) -> Figure:
    """Draw the accuracy after each kind of subspace is removed, kept or exchanged, with chance and the intact network.

    Args:
        ablations: rows with columns space ("whole" for the intact network), draw, dimension, action, accuracy and,
            where exchanged, donor, both with _low and _high; sequences, steps, settle.
    """
    figure, (panel,) = new_figure(width=5.6, height=3.2)
    for place, (action, measure) in enumerate(ACTIONS):
        for kind, space in enumerate(SPACES):
            rows = ablations[(ablations["space"] == space) & (ablations["action"] == action)]
            places = place + 0.24 * (kind - 1) + np.linspace(-0.07, 0.07, len(rows)) * (len(rows) > 1)
            interval(panel, places, rows[f"{measure}_low"], rows[f"{measure}_high"], kind)
            panel.plot(places, rows[measure], linestyle="", markersize=4 if len(rows) == 1 else 2.5, **look(kind))
    intact = ablations.loc[ablations["space"] == "whole", "accuracy"].iloc[0]
    lines = {"linewidth": 0.9, "zorder": 1}
    panel.axhline(intact, color=INK, linestyle="-", **lines)
    panel.axhline(CHANCE, color=INK, linestyle=":", **lines)
    panel.set_xticks(range(len(ACTIONS)), ACTIONS.values())
    panel.set(xlim=(-0.5, len(ACTIONS) - 0.5), ylabel="share of right signs")
    low = ablations[["accuracy_low", "donor_low"]].min().min()
    panel.set_ylim(min(0.4, low - 0.03), 1.03)
    title(panel, "Accuracy after a part of the state is removed, kept or exchanged")
    first = ablations.iloc[1]
    note(
        panel,
        f"{_when(first)}; {first['dimension']} of {ablations['dimension'].iloc[0]} dimensions; next {first['steps']} "
        f"steps; bars: 95 % over {first['sequences']} sequences",
    )
    marks = {"linestyle": "", "markersize": 4}
    handles = [Line2D([], [], label=name, **marks, **look(kind)) for kind, name in enumerate(SPACES.values())]
    handles += [
        Line2D([], [], label="intact network", color=INK, linewidth=0.9),
        Line2D([], [], label="chance", color=INK, linewidth=0.9, linestyle=":"),
    ]
    legend(figure, handles=handles, loc="outside lower center", ncols=3, columnspacing=1.4)
    return figure


def flips_figure(cells: pd.DataFrame) -> Figure:
    """Draw the accuracy after a flip of each variable, on the outputs that change by it, in a grid for each basis.

    Args:
        cells: rows with columns basis, block, component, changed (NaN off the cycles), stays and settle.
    """
    grids = {basis: rows for basis, rows in cells.groupby("basis", sort=False) if basis != "random"}
    s, d = (int(cells[name].max()) + 1 for name in ("block", "component"))
    side = min(0.33, 4.0 / max(s, d))
    figure, panels = new_figure(panels=len(grids), width=max(3.3, side * d + 0.9), height=max(2.4, side * s + 0.9))
    for panel, (basis, rows) in zip(panels, grids.items(), strict=True):
        grid = rows.pivot_table(index="block", columns="component", values="changed", dropna=False).to_numpy()
        image = panel.imshow(grid, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        panel.set_facecolor(EMPTY)
        _name_cells(panel, grid)
        panel.set(xlabel="component", ylabel="block (1 the oldest)")
        _count_from_one(panel)
        title(panel, f"Outputs changed by a flip: {BASES[basis]}")
        off = " (grey: none)" if np.isnan(grid).any() else ""
        least, mean, stays = rows["changed"].min(), rows["changed"].mean(), rows["stays"].mean()
        note(panel, f"n = {np.isfinite(grid).sum()} variables{off}, {_when(rows.iloc[0])}")
        note(panel, f"mean {number(mean)}, least {number(least)}; outputs that stay {number(stays)}")
    bar = figure.colorbar(image, ax=panels, shrink=0.85, aspect=25)
    bar.set_label("share of right signs", size=TEXT - 1, color=INK)
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    bar.outline.set_visible(False)
    return figure


def _count_from_one(panel: Axes) -> None:
    """Number blocks and components from 1, at most eight of each."""
    rows, columns = panel.images[0].get_array().shape
    for side, count in ((panel.xaxis, columns), (panel.yaxis, rows)):
        shown = range(0, count, -(-count // 8))
        side.set_ticks(list(shown), [str(place + 1) for place in shown])


def _name_cells(panel: Axes, grid: np.ndarray) -> None:
    """Write the accuracies into the cells, if they are few."""
    for (row, column), value in np.ndenumerate(grid if grid.size <= NUMBERED else grid[:0]):
        if np.isfinite(value):
            text, colour = f"{value:.2f}".removeprefix("0"), "white" if value < 0.65 else INK
            panel.text(column, row, text, ha="center", va="center", fontsize=TEXT - 2.5, color=colour)


def doses_figure(doses: pd.DataFrame) -> Figure:
    """Draw the accuracy of the counterfactual future against the dose of a flip.

    Args:
        doses: rows with columns basis, dose, changed and stays, both with _low and _high; sequences, steps, settle,
            variables.
    """
    figure, panels = new_figure(panels=2, width=2.9, height=2.9)
    names = {"changed": "Outputs that the flip changes", "stays": "All other outputs"}
    for panel, (measure, heading) in zip(panels, names.items(), strict=True):
        for kind, (basis, rows) in enumerate(doses.groupby("basis", sort=False)):
            panel.plot(rows["dose"], rows[measure], label=BASES[basis], **line_look(kind, len(rows)))
            band(panel, rows["dose"], rows[f"{measure}_low"], rows[f"{measure}_high"], kind)
        panel.axvline(1, color=SOFT, linewidth=0.8, linestyle=":")
        panel.set(xlabel="dose: 0 for none, 1 for the opposite value", ylim=(-0.03, 1.03))
        panel.yaxis.set_minor_locator(NullLocator())
        title(panel, heading)
        first = doses.iloc[0]
        note(panel, f"next {first['steps']} steps; mean of {first['variables']} variables; bands: 95 %")
    panels[0].set_ylabel("share of right signs")
    legend(figure, handles=panels[0].get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
    return figure


def _when(row: pd.Series) -> str:
    return f"{row['settle']} steps after the last input" if row["settle"] else "at the end of the input"
