"""Figures of influences beyond label identity: measures by component, and mean influences by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    TEXT,
    interval,
    legend,
    look,
    new_figure,
    no_value,
    note,
    number,
    row_names,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

PANELS = {  # titles, axes and chance levels
    "named": ("On the own class", "area under ROC curve", 0.5),
    "unnamed": ("On the confidence", "area under ROC curve", 0.5),
    "classes": ("Different classes", "correlation of halves", 0.0),
    "within_sums": ("Equal labels, by sums", "rank correlation", 0.0),
    "within_inputs": ("Equal labels, by inputs", "rank correlation", 0.0),
}
NAMES = {"end": "end of training", "control": "first steps alone"}
LIMIT = 3.0  # standard deviations at which colours end


def components(table: pd.DataFrame, examples: int, classes: int) -> Figure:
    """Draw each measure by component, at the end of training and for the control, with its interval.

    Args:
        table: columns component and MEASURE_MOMENT, MEASURE_MOMENT_low and _high, see `BeyondLabels`.
        examples: number of explained examples.
        classes: number of classes in the correlation of halves.
    """
    measured = {name: about for name, about in PANELS.items() if np.isfinite(table[f"{name}_end"]).any()}
    figure, axes = new_figure(panels=max(1, len(measured)), width=2.3, height=1.5 + 0.28 * len(table))
    if not measured:
        no_value(axes[0])
        return figure
    for axis, (measure, (heading, name, chance)) in zip(axes, measured.items(), strict=True):
        axis.set(xlabel=name)
        row_names(axis, table["component"] if axis is axes[0] else [""] * len(table))
        title(axis, heading)
        axis.axvline(chance, color=INK, linewidth=0.6, linestyle=":", zorder=0)
        for place, (moment, label) in enumerate(NAMES.items()):
            rows = np.arange(len(table)) + 0.14 * (2 * place - 1)
            ends = (table[f"{measure}_{moment}_{end}"] for end in ("low", "high"))
            interval(axis, rows, *ends, place, "x")
            axis.plot(table[f"{measure}_{moment}"], rows, linestyle="", markersize=4, label=label, **look(place))
        axis.set_xlim(*((-0.03, 1.03) if chance else (-1.05, 1.05)))
        note(axis, f"n = {classes} classes" if measure == "classes" else f"n = {examples} examples")
    handles, labels = axes[0].get_legend_handles_labels()
    legend(figure, handles=handles, labels=labels, loc="outside lower center", ncols=2)
    return figure


def maps(
    own: np.ndarray, confidence: np.ndarray, explained: np.ndarray, train: np.ndarray, table: pd.DataFrame
) -> Figure:
    """Draw the mean influence of the training examples of each label, on the own class and on the confidence.

    Args:
        own, confidence: (2, X, N) influences through the whole network, at the end of training and for the control.
        explained, train: (X,) and (N,) labels.
        table: columns MEASURE_MOMENT; its first row is of the whole network.
    """
    names = np.unique(train)
    average = np.stack([(train == name) / (train == name).sum() for name in names], 1)  # (N, L)
    order = np.argsort(explained, kind="stable")
    figure, axes = new_figure(panels=4, width=2.3, height=3.2)
    panels = [("Own class", "named", own), ("Confidence", "unnamed", confidence)]
    shown = [(heading, measure, values, i) for heading, measure, values in panels for i in (1, 0)]
    for axis, (heading, measure, values, moment) in zip(axes, shown, strict=True):
        means = (values[moment] @ average)[order]
        means = means - means.mean(1, keepdims=True)
        scale = means.std(1, keepdims=True)
        scaled = np.divide(means, scale, out=np.zeros_like(means), where=scale > 0)
        drawn = axis.imshow(scaled, cmap="RdBu_r", vmin=-LIMIT, vmax=LIMIT, interpolation="nearest", aspect="auto")
        axis.set(xlabel="label of training examples")
        for along, marks in (("x", names), ("y", explained[order])):
            whole_numbers(axis, along)
            side = axis.xaxis if along == "x" else axis.yaxis
            side.set_major_formatter(
                lambda place, _, marks=marks: number(marks[round(place)]) if 0 <= round(place) < len(marks) else ""
            )
        name = list(NAMES)[moment]
        note(axis, f"area under ROC curve {table[f'{measure}_{name}'].iloc[0]:.2f}")
        note(axis, NAMES[name])
        title(axis, heading)
    axes[0].set_ylabel("explained examples, by label")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, extend="both")
    bar.set_label("mean influence, in standard deviations of its row", fontsize=TEXT - 1, color=INK)
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    return figure
