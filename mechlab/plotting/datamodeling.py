"""Figures about attribution and retraining: scores, predictions against outcomes, other measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    direct_labels,
    interval,
    legend,
    line_look,
    look,
    new_figure,
    no_value,
    note,
    number,
    points_axis,
    row_names,
    sample_size,
    threshold,
    ticks_at,
    title,
)

if TYPE_CHECKING:
    import pandas as pd

MEASURES = {  # titles, units and chance levels
    "leave_one_out": ("One example left out", "rank correlation", 0.0),
    "mislabelled": ("Wrong labels detected", "area under ROC curve", 0.5),
    "stability": ("Scores of other seeds", "rank correlation", 0.0),
}
COLUMNS = 3  # panels in a row
APART = 0.03  # of neighbouring methods, relative to the share removed, so that intervals do not coincide


def score_by_share(removed: pd.DataFrame, subsets: int | None = None, least: float | None = None) -> Figure:
    """Draw the linear datamodeling score against the share of examples removed, with bootstrap intervals.

    Args:
        removed: columns removed, method, lds, lds_low, lds_high and maybe helpful and helpful_same_label.
        subsets: random subsets of each share.
        least: the score that is claimed of the metagradient at the smallest share.
    """
    panels = 2 if "helpful" in removed else 1
    figure, axes = new_figure(panels=panels, width=3.6, height=3.0)
    methods = list(dict.fromkeys(removed["method"]))
    for place, name in enumerate(methods):
        rows = removed[removed["method"] == name].sort_values("removed")
        shares = 100 * rows["removed"] * (1 + APART * (place - (len(methods) - 1) / 2))
        interval(axes[0], shares, rows["lds_low"], rows["lds_high"], place)
        axes[0].plot(shares, rows["lds"], label=name, **line_look(place))
        if panels == 2:
            axes[1].plot(shares, rows["helpful"], label=name, **line_look(place))
    if "helpful_same_label" in removed:
        control = removed[removed["method"] == methods[0]].sort_values("removed")
        look_of_control = {"color": INK, "linestyle": ":", "linewidth": 1.2, "marker": "_", "markersize": 9}
        axes[1].plot(
            100 * control["removed"], control["helpful_same_label"], label="same label, random", **look_of_control
        )
    axes[0].set(ylabel="rank correlation with the outcome")
    title(axes[0], "Linear datamodeling score")
    if panels == 2:
        axes[1].set(ylabel="fall of the output")
        note(axes[1], "in standard deviations over random removals")
        if "helpful_same_label" in removed:
            note(axes[1], "dotted: as many random examples of the explained label")
        title(axes[1], "Most helpful examples removed")
    for axis in axes:
        axis.axhline(0, color=INK, linewidth=0.5)
        axis.set(xlabel="training examples removed (%)")
        if removed["removed"].nunique() > 1:
            axis.set_xscale("log")
            ticks_at(axis, "x", (100 * removed["removed"]).round(6))
        else:
            points_axis(axis, "x", (100 * removed["removed"]).round(6))
    if subsets is not None:
        note(axes[0], f"n = {subsets:,} subsets of each share, 95 % intervals")
    if "metagradient" in methods:
        smallest = f"{100 * removed['removed'].min():g} %"
        text = None if least is None else f"claim at {smallest}: ≥ {number(least)}"
        threshold(axes[0], least, "above", label=text if panels == 1 else "")
        if text and panels == 2:
            note(axes[0], f"dashed: {text.replace('claim', 'claim of metagradient')}")
    direct_labels(axes[-1])
    return figure


def predicted_and_actual(predicted: dict[str, np.ndarray], actual: np.ndarray, share: float, shown: int = 3) -> Figure:
    """Draw a panel for each method: predicted change (x) against output after retraining (y), both minus their mean.

    Args:
        predicted: method -> (M, Q).
        actual: (M, Q).
        share: of the examples that was removed.
        shown: outputs that are drawn.
    """
    columns = max(1, min(COLUMNS, len(predicted)))
    rows = max(1, -(-len(predicted) // columns))
    figure, axes = new_figure(panels=columns, width=2.5, height=2.4 * rows + 0.3, rows=rows)
    for axis, (name, changes) in zip(axes, predicted.items(), strict=False):
        centred = changes - changes.mean(0), actual - actual.mean(0)
        for output in range(min(shown, actual.shape[1])):
            marks = {"s": 8, "alpha": 0.6, "linewidths": 0, **look(output)}
            axis.scatter(*(values[:, output] for values in centred), label=f"explained output {output}", **marks)
        axis.set(xlabel="predicted change")
        for along, values in zip("xy", centred, strict=True):
            points_axis(axis, along, values[:, :shown].ravel())
        sample_size(axis, len(actual), "subsets")
        title(axis, name)
    for axis in axes[:: max(1, columns)]:
        axis.set_ylabel(f"outcome, {100 * share:g} % removed")
    for axis in axes[len(predicted) :]:
        axis.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    legend(figure, handles=handles, labels=labels, loc="outside lower center", ncols=3, markerscale=1.5)
    return figure


def measures(methods: pd.DataFrame, samples: dict[str, str] | None = None) -> Figure:
    """Draw the measures that each method has one number of.

    Args:
        methods: columns method, and any of `MEASURES`.
        samples: what each measure rests on, such as "60 examples".
    """
    names = [name for name in MEASURES if name in methods] or ["method"]
    figure, axes = new_figure(panels=len(names), width=2.7, height=1.2 + 0.24 * len(methods))
    places = range(len(methods))
    for axis, name in zip(axes, names, strict=True):
        row_names(axis, methods["method"] if axis is axes[0] else [""] * len(methods))
        if name == "method":
            no_value(axis, "nothing was measured")
            continue
        heading, unit, chance = MEASURES[name]
        axis.hlines(places, chance, methods[name], color=FAINT, linewidth=1.5, zorder=1)
        axis.plot(methods[name], places, "o", color=COLOURS[0], markersize=5)
        axis.axvline(chance, color=INK, linewidth=0.8, linestyle=":")
        axis.set_xlabel(unit)
        points_axis(axis, "x", [chance, *methods[name]])
        sample = (samples or {}).get(name)
        note(axis, f"n = {sample}; dotted: chance" if sample else "dotted: chance")
        title(axis, heading)
    return figure
