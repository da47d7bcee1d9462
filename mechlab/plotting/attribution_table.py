"""Errors of path-kernel decompositions, run by run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mechlab.plotting.style import FAINT, legend, log_axis, look, new_figure, row_names

ERRORS = {
    "residual_of_movement": "quadrature residual, share of the movement",
    "completeness_error": "terms against the change, share of their sizes",
}
LEAST = 1e-17  # in place of 0 on the logarithmic axis


def errors_by_run(table: pd.DataFrame) -> Figure:
    """Draw two errors of each run on a logarithmic axis.

    Args:
        table: a row for each run with `label`, `completeness_error` and `residual_of_movement`.
    """
    figure, (axis,) = new_figure(width=6.2, height=1.1 + 0.24 * len(table))
    rows = np.arange(len(table))
    for row in rows:
        axis.axhline(row, color=FAINT, linewidth=0.5, zorder=0)
    for number, (name, label) in enumerate(ERRORS.items()):
        marks = {"s": 26, "linewidths": 0, "zorder": 3, "clip_on": False}
        axis.scatter(np.maximum(table[name], LEAST), rows, label=label, **marks, **look(number))
    axis.set_xscale("log")
    axis.set(xlabel="error")
    log_axis(axis, "x")
    row_names(axis, list(table["label"]))
    legend(figure, loc="outside lower center", ncols=2)
    return figure
