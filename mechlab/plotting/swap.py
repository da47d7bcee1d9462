"""Figures of components exchanged between the final model and earlier ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    STEPS,
    TEXT,
    band,
    legend,
    line_look,
    log_axis,
    new_figure,
    note,
    steps_axis,
    title,
    whole_numbers,
)
from mechlab.plotting.text import shortened, text_width

if TYPE_CHECKING:
    import pandas as pd

TITLES = {
    "final_into_step": "Final component in the model of a step",
    "step_into_final": "Component of a step in the final model",
}
RECEIVERS = {"final_into_step": "accuracy of the step's model", "step_into_final": "accuracy of the final model"}
COLUMNS, FEW = 3, 6  # of confusion matrices, and the most of them in as many columns
EVEN = 0.2  # share of all steps above which the median step lies if steps are not spaced in their logarithm


def changes_figure(swaps: pd.DataFrame) -> Figure:
    """Draw accuracy and, of classes, the Kullback-Leibler divergence after each exchange against the step.

    Args:
        swaps: a row for each step, component and direction, with columns step, component, swap, accuracy, change,
            change_low, change_high (ends of the interval of the change), unswapped_accuracy and, of classes, kl (nats).
    """
    rows = 2 if "kl" in swaps else 1
    figure, axes = new_figure(panels=2, width=3.9, height=2.8 * rows, rows=rows)
    for panel, direction in zip(axes, TITLES, strict=False):
        _draw_accuracy(panel, swaps[swaps["swap"] == direction], direction)
    for panel, direction in zip(axes[2:], TITLES, strict=False):
        _draw_divergence(panel, swaps[swaps["swap"] == direction], direction)
    handles, names = axes[0].get_legend_handles_labels()
    names = [shortened(name, 40) for name in names]
    figure.set_figwidth(figure.get_figwidth() + (max(text_width(name, TEXT) for name in names) + 36) / 72)
    legend(figure, handles=handles, labels=names, loc="outside right center", title="component", alignment="left")
    box = figure.legends[0]
    box.get_title().set(fontsize=TEXT - 1, color=INK)
    for words in box.get_texts():
        words.set_parse_math(False)
    return figure


def confusion_figure(counts: pd.DataFrame) -> Figure:
    """Draw for each exchanged component, after the step's own model, how often each class is assigned to each target.

    Args:
        counts: columns step (one value), component ("none" is the step's own model), target, predicted and count.
    """
    names = list(dict.fromkeys(counts["component"]))
    classes = int(counts[["target", "predicted"]].to_numpy().max()) + 1
    columns = min(COLUMNS if len(names) <= FEW else COLUMNS + 1, len(names))
    lines = math.ceil(len(names) / columns)
    figure, axes = new_figure(panels=columns, width=2.3, height=2.8 * lines, rows=lines)
    image = None
    for place, (axis, name) in enumerate(zip(axes, names, strict=False)):
        rows = counts[counts["component"] == name]
        matrix = np.zeros((classes, classes))
        matrix[rows["target"], rows["predicted"]] = rows["count"]
        shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        image = axis.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
        below = place + columns < len(names)  # that panel has the name of the axis
        axis.set(xlabel="" if below else "predicted class", ylabel="" if place % columns else "target class")
        whole_numbers(axis, "x")
        whole_numbers(axis, "y")
        note(axis, f"{100 * np.trace(matrix) / matrix.sum():.1f} % right")
        title(axis, f"step {counts['step'].iloc[0]:,}" if name == "none" else f"final {name}")
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    bar = figure.colorbar(image, ax=axes, shrink=0.6)
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    bar.set_label("share of the target's examples", size=TEXT, color=INK)
    bar.set_ticks([0, 0.1, 0.25, 0.5, 1], labels=["0", "0.1", "0.25", "0.5", "1"])
    return figure


def _draw_accuracy(panel: Axes, swaps: pd.DataFrame, direction: str) -> None:
    own = swaps.drop_duplicates("step")
    reference = {"color": INK, "linewidth": 1.6, "linestyle": (0, (2, 1)), "zorder": 4}
    panel.plot(own["step"], own["unswapped_accuracy"], label="none", **reference)
    for i, (name, line) in enumerate(swaps.groupby("component", sort=False)):
        panel.plot(line["step"], line["accuracy"], label=name, **line_look(i, len(line)))
        ends = line["unswapped_accuracy"] + line["change_low"], line["unswapped_accuracy"] + line["change_high"]
        band(panel, line["step"], *(end.clip(0, 1) for end in ends), i)
    panel.set(ylabel="accuracy", ylim=(-0.03, 1.03))
    _along_steps(panel, own["step"])
    note(panel, f"dashed: {RECEIVERS[direction]}; bands: 95 % interval of the change")
    title(panel, TITLES[direction])


def _draw_divergence(panel: Axes, swaps: pd.DataFrame, direction: str) -> None:
    for i, (_, line) in enumerate(swaps.groupby("component", sort=False)):
        panel.plot(line["step"], line["kl"].where(line["kl"] > 0), **line_look(i, len(line)))
    panel.set_ylabel("KL divergence (nats)")
    if (swaps["kl"] > 0).any():
        log_axis(panel, "y")
    _along_steps(panel, swaps["step"])
    note(panel, f"from {RECEIVERS[direction].partition('of ')[2]}; 0 is not drawn")
    title(panel, "Divergence of the predicted classes")


def _along_steps(panel: Axes, steps: pd.Series) -> None:
    if steps.median() > EVEN * steps.max():
        panel.set_xlabel(STEPS)
        whole_numbers(panel, "x")
    else:
        steps_axis(panel, steps)
