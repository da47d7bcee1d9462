"""Figure of the shares of irreps in the states of a recurrent network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, FAINT, INK, legend, new_figure, points_axis, row_names, title

if TYPE_CHECKING:
    import pandas as pd

MOST = 30  # irreps with a bar of their own


def shares(table: pd.DataFrame) -> Figure:
    """Draw the share of each irrep beside the interval of its share under permutations of the elements.

    Args:
        table: columns irrep, share, chance, chance_low and chance_high; of more than 30 rows those with the largest
            shares are drawn.
    """
    table = table.nlargest(MOST, "share") if len(table) > MOST else table
    rows = np.arange(len(table))
    figure, (axis,) = new_figure(width=4.2, height=1.3 + 0.24 * len(table))
    between = table["chance_high"] - table["chance_low"]
    axis.barh(rows, between, left=table["chance_low"], height=0.6, color=FAINT, label="95 % of permutations")
    axis.plot(table["chance"], rows, "|", color=INK, markersize=9, label="their mean, size / (n - 1)")
    axis.plot(table["share"], rows, "o", color=COLOURS[0], markersize=5, label="mean states")
    row_names(axis, [str(name) for name in table["irrep"]])
    axis.set(xlabel="share of the squared norm of centred mean states", xlim=(0, None))
    points_axis(axis, "x", [0.0, float(table[["share", "chance_high"]].to_numpy().max())])
    legend(figure, loc="outside lower center", ncols=3)
    title(axis, "Irreps in the states")
    return figure
