"""Figures about attribution and retraining: scores, predictions against outcomes, other measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import INK, TEXT, legend, look, new_figure, title

if TYPE_CHECKING:
    import pandas as pd

MEASURES = {
    "leave_one_out": "leave one out (rank correlation)",
    "mislabelled": "wrong labels (area under curve)",
    "stability": "other seeds (rank correlation)",
}


def score_by_share(removed: pd.DataFrame) -> Figure:
    """Draw the linear datamodeling score against the share of examples removed, with bootstrap intervals.

    Args:
        removed: columns removed, method, lds, lds_low, lds_high and maybe helpful.
    """
    panels = 2 if "helpful" in removed else 1
    figure, axes = new_figure(panels=panels, width=3.8, height=3.0)
    methods = list(dict.fromkeys(removed["method"]))
    for number, name in enumerate(methods):
        rows = removed[removed["method"] == name].sort_values("removed")
        places = 100 * rows["removed"] * (1 + 0.03 * (number - (len(methods) - 1) / 2))  # so that bars do not overlap
        error = [rows["lds"] - rows["lds_low"], rows["lds_high"] - rows["lds"]]
        axes[0].errorbar(
            places, rows["lds"], np.maximum(error, 0), linewidth=0.9, markersize=3.5, label=name, **look(number)
        )
        if panels == 2:
            axes[1].plot(places, rows["helpful"], linewidth=0.9, markersize=3.5, **look(number))
    axes[0].set(ylabel="rank correlation of prediction and outcome")
    title(axes[0], "Linear datamodeling score")
    if panels == 2:
        axes[1].set(ylabel="fall of the output (sd of random removals)")
        title(axes[1], "Most helpful examples removed")
    for axis in axes:
        axis.axhline(0, color=INK, linewidth=0.5)
        axis.set(xscale="log", xlabel="training examples removed (%)")
        ticks = sorted(100 * removed["removed"].unique())
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    legend(axes[0])
    return figure


def predicted_and_actual(predicted: dict[str, np.ndarray], actual: np.ndarray, share: float, shown: int = 3) -> Figure:
    """Draw a panel for each method: predicted change (x) against output after retraining (y), both minus their mean.

    Args:
        predicted: method -> (M, Q).
        actual: (M, Q).
        share: of the examples that was removed.
        shown: outputs that are drawn.
    """
    figure, axes = new_figure(panels=len(predicted), width=2.4, height=2.6)
    for axis, (name, changes) in zip(axes, predicted.items(), strict=True):
        for output in range(min(shown, actual.shape[1])):
            centred = actual[:, output] - actual[:, output].mean()
            style = {"color": look(output)["color"], "marker": look(output)["marker"]}
            axis.scatter(changes[:, output] - changes[:, output].mean(), centred, s=6, alpha=0.6, linewidths=0, **style)
        axis.tick_params(labelsize=TEXT - 2)
        axis.set(xlabel="predicted change")
        title(axis, name)
    axes[0].set(ylabel=f"outcome, {100 * share:g} % removed")
    return figure


def measures(methods: pd.DataFrame) -> Figure:
    """Draw the measures that each method has one number of.

    Args:
        methods: columns method, and any of `MEASURES`.
    """
    names = [name for name in MEASURES if name in methods] or ["method"]
    figure, axes = new_figure(panels=len(names), width=3.2, height=2.6)
    for axis, name in zip(axes, names, strict=True):
        if name != "method":
            colours = [look(number)["color"] for number in range(len(methods))]
            axis.barh(range(len(methods)), methods[name], color=colours)
            title(axis, MEASURES[name])
        axis.set_yticks(range(len(methods)), methods["method"])
        axis.invert_yaxis()
        axis.axvline(0, color=INK, linewidth=0.5)
        axis.locator_params(axis="x", nbins=4)
    return figure
