"""Figures about noise in the weights of networks."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mechlab.plotting.style import band, direct_labels, line_look, look, new_figure, note, number, title

MEASURES = {  # column -> name, and name of the line of chance
    "accuracy": ("words right", "words right, constant output"),
    "weighted": ("weighted ambiguity", "ambiguity of one cluster"),
}


def dose_figure(doses: pd.DataFrame) -> Figure:
    """Draw accuracy and weighted ambiguity against the standard deviation of the noise, on a logarithmic axis with 0.

    Each network is a point; lines are means, bands extend from the lowest to the highest network of a dose, and dotted
    lines are chance.

    Args:
        doses: a row for each network, with columns noise, accuracy and weighted, and if known chance_accuracy and
            chance_weighted, the scores of a constant output and of all states in one cluster.
    """
    figure, (panel,) = new_figure(width=3.6, height=3.1)
    grouped = doses.groupby("noise")
    mean, low, high, count = grouped.mean(), grouped.min(), grouped.max(), grouped.size()
    for i, (column, (name, chance)) in enumerate(MEASURES.items()):
        look_of_line = line_look(i, len(mean))
        panel.plot(mean.index, mean[column], label=name, **look_of_line)
        band(panel, mean.index, low[column], high[column], i)
        panel.scatter(doses["noise"], doses[column], s=7, color=look(i)["color"], alpha=0.5, linewidths=0)
        if f"chance_{column}" in doses:
            flat = {"color": look(i)["color"], "linestyle": ":", "linewidth": 1.1, "label": chance}
            panel.plot(mean.index, mean[f"chance_{column}"], **flat)
    _doses_axis(panel, mean.index)
    panel.set(xlabel="standard deviation of the noise in the weights", ylabel="score", ylim=(-0.03, 1.03))
    title(panel, "Effect of noise in the weights")
    most = count.max()
    note(panel, f"{most} network{'s' if most > 1 else ''} per dose; bands: lowest to highest")
    direct_labels(panel)
    return figure


def _doses_axis(panel: Axes, doses: pd.Index) -> None:
    """Make the x-axis logarithmic, with 0 at its left and a tick at each dose."""
    positive = doses[doses > 0]
    if len(positive):
        panel.set_xscale("symlog", linthresh=positive.min(), linscale=0.6)
    panel.set_xticks(doses, [number(dose) for dose in doses])
    panel.xaxis.set_minor_locator(NullLocator())
