"""Scalars of an analysis against the optimiser step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mechlab.plotting.style import COLOURS, new_figure, title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLUMNS = 3


def over_training(table: pd.DataFrame) -> Figure:
    """Draw every column of a table against its column `step`, on a logarithmic step axis that shows step 0."""
    names = [name for name in table.columns if name != "step"]
    rows = math.ceil(len(names) / COLUMNS)
    figure, axes = new_figure(panels=COLUMNS, height=2.0 * rows, rows=rows)
    for axis, name in zip(axes, names, strict=False):
        axis.plot(table["step"], table[name], marker=".", color=COLOURS[0])
        axis.set_xscale("symlog")
        axis.set_xlabel("optimiser step")
        title(axis, name)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    return figure
