"""Figures of loss, accuracy and norm over training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    STEPS,
    direct_labels,
    line_look,
    log_axis,
    new_figure,
    note,
    points_axis,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

PANELS = {"loss": "Loss", "accuracy": "Accuracy", "norm": "Norm of the parameters"}
SPLITS = {"val": "-", "train": (0, (4, 1.5))}  # dashes of each
NAMES = {"val": "validation", "train": "training"}
WORDS = {"val": "solid", "train": "dashed"}
WIDE = 20  # ratio of losses above which their axis is logarithmic


def curves_figure(curves: pd.DataFrame, exported: str) -> Figure:
    """Draw loss, accuracy and norm against the step, a colour and marker for each run and dashes for each split.

    Args:
        curves: columns curve (name of a run, or `exported`), metric (`val/loss`, ..., or `norm`), step and value.
        exported: name of the curves that are drawn in black.
    """
    quantities = [name for name in PANELS if curves["metric"].str.endswith(name).any()]
    runs = [name for name in dict.fromkeys(curves["curve"]) if name != exported]
    figure, axes = new_figure(panels=len(quantities), width=3.3, height=2.9)
    for axis, quantity in zip(axes, quantities, strict=True):
        chosen = curves[curves["metric"].str.endswith(quantity)]
        splits = [split for split in SPLITS if (chosen["metric"] == f"{split}/{quantity}").any()]
        for metric, lines in chosen.groupby("metric", sort=False):
            for name, line in lines.groupby("curve", sort=False):
                place = None if name == exported else runs.index(name)
                _draw(
                    axis, line, metric.partition("/")[0], str(name), place, label=metric in _labelled(splits, quantity)
                )
        axis.set(xlabel=STEPS, ylabel={"loss": "loss", "accuracy": "accuracy", "norm": "Euclidean norm"}[quantity])
        whole_numbers(axis, "x")
        if quantity == "accuracy":
            axis.set_ylim(-0.03, 1.03)
        elif (
            quantity == "loss" and (chosen["value"] > 0).all() and chosen["value"].max() > WIDE * chosen["value"].min()
        ):
            log_axis(axis, "y")
        else:
            points_axis(axis, "y", chosen["value"])
        looks = [f"{WORDS[split]}: {NAMES[split]}" for split in splits]
        if (chosen["curve"] == exported).any():
            looks.append(f"black: {exported}")
        if looks:
            note(axis, "; ".join(looks))
        title(axis, PANELS[quantity])
    direct_labels(axes[-1])
    return figure


def _labelled(splits: list[str], quantity: str) -> list[str]:
    """Return the metric whose lines are named: the first split's, or the quantity without splits."""
    return [f"{splits[0]}/{quantity}"] if splits else [quantity]


def _draw(axis: Axes, line: pd.DataFrame, split: str, name: str, place: int | None, label: bool) -> None:
    """Draw the curve of a run, or in black an exported one."""
    look = line_look(place or 0, len(line)) | ({"color": INK, "marker": ""} if place is None else {})
    if split in SPLITS:  # else dashes belong to the run
        look |= {"linestyle": SPLITS[split]}
    axis.plot(line["step"], line["value"], label=name if label else None, **look)
