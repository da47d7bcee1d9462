"""Figure of the gradient of a loss at each input step."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    INK,
    SOFT,
    TEXT,
    band,
    legend,
    line_look,
    log_axis,
    new_figure,
    note,
    title,
    whole_numbers,
)

NORMAL = 1.96  # standard errors of a 95 % interval
ROOM = 0.15  # of the panel's height for the bars above the lines
SPANS = (("input", "inputs", COLOURS[4]), ("target", "targets", COLOURS[1]))  # column, name, colour


def input_gradient_figure(gradients: pd.DataFrame) -> Figure:
    """Draw the mean norm against the input step on a logarithmic axis, above it which steps have inputs and targets
    that differ between examples.

    Args:
        gradients: a row for each input step, with the columns step, norm, standard_error, untrained (mean norm of the
            untrained network), input, target, loss (whether inputs differ, targets differ, the loss is taken there),
            and if known depends, the share of examples whose target depends on that step.
    """
    figure, (panel,) = new_figure(width=5.0, height=3.0)
    steps = gradients["step"].to_numpy()
    for i, (column, name) in enumerate((("norm", "trained"), ("untrained", "untrained"))):
        values = gradients[column].where(gradients[column] > 0)
        panel.plot(steps, values, label=name, **line_look(i, len(steps)) | {"marker": ""})
    half = NORMAL * gradients["standard_error"]
    positive = gradients["norm"] - half > 0
    low, high = (gradients["norm"] - half).where(positive, gradients["norm"]), gradients["norm"] + half
    band(panel, steps, low, high)
    if (gradients[["norm", "untrained"]] > 0).any(axis=None):
        log_axis(panel, "y")
        low, high = panel.get_ylim()
        panel.set_ylim(low, high * (high / low) ** ROOM)
    if "depends" in gradients:
        _mark_dependences(panel, gradients[(gradients["depends"] > 0) & (gradients["norm"] > 0)])
    _spans(panel, gradients)
    panel.set(xlabel="input step", ylabel="norm of d loss / d input", xlim=(-0.5, len(steps) - 0.5))
    whole_numbers(panel, "x")
    at = steps[gradients["loss"]]
    where = f"step {at[0]}" if len(at) == 1 else f"steps {at[0]} to {at[-1]}"
    note(panel, f"loss at {where}; band: 95 % interval of the mean")
    title(panel, "Gradient of the loss by input step")
    legend(figure, loc="outside lower center", ncols=3)
    return figure


def _mark_dependences(panel: Axes, rows: pd.DataFrame) -> None:
    ring = {"s": 26, "facecolors": "none", "edgecolors": COLOURS[3], "linewidths": 1.1, "zorder": 3}
    if len(rows):
        panel.scatter(rows["step"], rows["norm"], label="the target depends on it", **ring)


def _spans(panel: Axes, gradients: pd.DataFrame) -> None:
    """Draw bars along the upper edge: the steps with inputs, with targets, and of the loss."""
    across = panel.get_xaxis_transform()
    for row, (column, name, colour) in enumerate(SPANS):
        height = 1 - 0.045 * (row + 0.6)
        for first, last in _runs(gradients[column].to_numpy()):
            panel.plot(
                [first - 0.5, last + 0.5],
                [height, height],
                color=colour,
                linewidth=3.5,
                transform=across,
                solid_capstyle="butt",
                zorder=0.5,
            )
            before = last > len(gradients) / 2  # write where there is room
            place = {"x": first - 1 if before else last + 1, "ha": "right" if before else "left"}
            panel.text(y=height, s=name, transform=across, fontsize=TEXT - 2, color=SOFT, va="center", **place)
    if gradients["loss"].sum() == 1:
        panel.axvline(gradients["step"][gradients["loss"]].iloc[0], color=INK, linewidth=0.8, linestyle=":")


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and the last place of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]
