"""Figures about the agreement of the path-kernel prediction with the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    DASHES,
    INK,
    MANY,
    STEPS,
    direct_labels,
    line_look,
    log_axis,
    new_figure,
    no_value,
    note,
    number,
    points_axis,
    sample_size,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20_000  # outputs that are drawn
FEW = 50  # outputs of a bar of a histogram, with more its axis is logarithmic


def deviations(steps: pd.DataFrame) -> Figure:
    """Draw the difference of network and prediction along each step alone, and after it.

    Args:
        steps: columns step, change_mean, and mean, max and sd of `single` and `running` deviations.
    """
    figure, axes = new_figure(panels=2, width=3.6, height=3.0)
    panels = {"single": "Along each step alone", "running": "After each step"}
    for axis, (kind, name) in zip(axes, panels.items(), strict=True):
        lines = {"true change": "change_mean"} if kind == "single" else {}
        lines |= {"largest": f"{kind}_max", "mean": f"{kind}_mean"}
        for place, (label, column) in enumerate(lines.items(), 3 - len(lines)):
            axis.plot(steps["step"], steps[column], label=label, **line_look(place, len(steps)) | {"linewidth": 0.9})
        axis.set(xlabel=STEPS, ylabel="network less kernel prediction, size")
        _sizes(axis, steps[list(lines.values())].to_numpy())
        points_axis(axis, "x", steps["step"])
        title(axis, name)
        direct_labels(axis)
    return figure


def agreement_over_steps(steps: pd.DataFrame, examples: int) -> Figure:
    """Draw the accuracy of network and prediction, their agreement, and the divergence between them, over the steps.

    Args:
        steps: columns step, model_accuracy, kernel_accuracy, agreement and maybe kl.
        examples: their number.
    """
    panels = 2 if "kl" in steps else 1
    figure, axes = new_figure(panels=panels, width=3.6, height=3.0)
    names = {"network, accuracy": "model_accuracy", "prediction, accuracy": "kernel_accuracy", "agreement": "agreement"}
    for place, (label, column) in enumerate(names.items()):
        look = line_look(place, len(steps)) | {"linestyle": DASHES[place]}  # equal lines lie upon each other
        axes[0].plot(steps["step"], steps[column], label=label, **look)
    axes[0].set(xlabel=STEPS, ylabel="share of examples", ylim=(-0.03, 1.03))
    points_axis(axes[0], "x", steps["step"])
    sample_size(axes[0], examples, "examples")
    title(axes[0], "Labels of network and kernel prediction")
    direct_labels(axes[0])
    if panels == 2:
        axes[1].plot(steps["step"], steps["kl"], **line_look(0, len(steps)))
        axes[1].set(xlabel=STEPS, ylabel="nats")
        _sizes(axes[1], steps[["kl"]].to_numpy())
        points_axis(axes[1], "x", steps["step"])
        sample_size(axes[1], examples, "examples")
        title(axes[1], "KL(network || kernel prediction)")
    return figure


def predicted_and_true(predicted: np.ndarray, final: np.ndarray, initial: np.ndarray) -> Figure:
    """Draw the predicted change of each output against the true one, and the distribution of their differences.

    Args:
        predicted, final, initial: outputs of the same shape: predicted and true after training, and before it.
    """
    figure, (against, errors) = new_figure(panels=2, width=3.4, height=3.0)
    true, kernel = (final - initial).ravel(), (predicted - initial).ravel()
    drawn = np.linspace(0, len(true) - 1, min(SHOWN, len(true))).astype(int)
    marks = {"markersize": 2.5, "color": COLOURS[0], "alpha": 0.5, "markeredgewidth": 0}
    against.plot(true[drawn], kernel[drawn], "o", rasterized=len(drawn) > MANY, **marks)
    ends = [min(true.min(), kernel.min()), max(true.max(), kernel.max())]
    against.plot(ends, ends, color=INK, linewidth=0.7, zorder=0)
    against.set(xlabel="change of the network's output", ylabel="predicted change")
    for along in ("x", "y"):
        points_axis(against, along, ends)
    some = "" if len(drawn) == len(true) else f", {len(drawn):,} drawn"
    note(against, f"n = {len(true):,} outputs{some}")
    title(against, "Prediction against network")
    error = predicted.ravel() - final.ravel()
    if np.ptp(error) > 0:
        errors.hist(error, bins=60, color=COLOURS[0])
        if np.histogram(error, bins=60)[0].max() > FEW:
            errors.set(yscale="log", ylim=(0.7, None))  # a bar of one output has a height, too
        else:
            whole_numbers(errors, "y")
    else:
        no_value(errors, f"{number(error[0])} everywhere")
    errors.set(xlabel="predicted less true output", ylabel="outputs")
    points_axis(errors, "x", error)
    note(errors, f"mean size {number(np.abs(error).mean())}, largest {number(np.abs(error).max())}")
    title(errors, "Residual of the quadrature")
    return figure


def _sizes(axis: Axes, values: np.ndarray) -> None:
    """Make the y-axis of sizes logarithmic where some are positive."""
    if (values > 0).any():
        log_axis(axis, "y")
    else:
        points_axis(axis, "y", values.ravel())
