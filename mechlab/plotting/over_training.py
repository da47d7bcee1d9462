"""Scalars of an analysis against the optimiser step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mechlab.plotting.style import band, line_look, new_figure, no_value, points_axis, steps_axis, title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLUMNS = 3
ENDS = ("_low", "_high")  # of the interval of a scalar


def over_training(table: pd.DataFrame) -> Figure:
    """Draw every column of a table against its column `step`, on a logarithmic step axis that shows step 0.

    The columns X_low and X_high are the interval of X.
    """
    every = [name for name in table.columns if name != "step"]
    with_ends = {name for name in every if all(f"{name}{end}" in table for end in ENDS)}
    names = [name for name in every if not any(name == f"{other}{end}" for other in with_ends for end in ENDS)]
    columns = max(1, min(COLUMNS, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure, axes = new_figure(panels=columns, height=1.9 * rows + 0.2, rows=rows)
    steps = table["step"]
    for place, (axis, name) in enumerate(zip(axes, names, strict=False)):
        values = table[name].astype(float)
        drawn = [values]
        if name in with_ends:
            drawn += [table[f"{name}{end}"].astype(float) for end in ENDS]
            band(axis, steps, *drawn[1:])
        axis.plot(steps, values, **line_look(0))
        steps_axis(axis, steps)
        if place + columns < len(names):  # the panel below has it
            axis.set_xlabel("")
        points_axis(axis, "y", [value for column in drawn for value in column])
        if not values.notna().any():
            no_value(axis)
        title(axis, name)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    return figure
