"""Accuracy of a network on families of examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mechlab.plotting.style import FAINT, INK, interval, look, new_figure, note, row_names, threshold, title

if TYPE_CHECKING:
    import pandas as pd

GAP = 0.08  # between pictures, in rows


def families_figure(
    table: pd.DataFrame, pictures: Mapping[str, np.ndarray] | None = None, least: float | None = None
) -> Figure:
    """Draw the accuracy on each family with its interval, and beside it the first images of the family.

    Args:
        table: a row for each family, with the columns `family`, `examples`, `ties`, `accuracy`, `low` and `high`.
        pictures: images (P, height, width) by family; empty for none.
        least: the accuracy that is claimed of every family.
    """
    rows = np.arange(len(table))
    figure, (axis, *beside) = new_figure(2 if pictures else 1, width=3.0, height=0.9 + 0.42 * len(table))
    axis.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    axis.set_axisbelow(True)
    interval(axis, rows, table["low"], table["high"], along="x")
    axis.plot(table["accuracy"], rows, linestyle="none", markersize=4.5, zorder=3, clip_on=False, **look(0))
    low = min(0.5, float(table["low"].min()) - 0.03)
    axis.set(xlim=(low, 1.01), xlabel="accuracy, ties counted in part")
    row_names(axis, [name.replace("_", " ") for name in table["family"]])
    threshold(axis, least, "above", along="x")
    fewest, most = table["examples"].min(), table["examples"].max()
    count = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    note(axis, f"n = {count} examples of each, {table['ties'].sum():,} ties; bars: 95 %")
    title(axis, "Accuracy on test families")
    for panel in beside:
        _show(panel, [pictures[name] for name in table["family"]])
        panel.set_ylim(axis.get_ylim())
    return figure


def _show(axis: Axes, pictures: list[np.ndarray]) -> None:
    """Show the images of each family in its row, in frames, with the background white."""
    side, widest = 1 - GAP, max(len(images) for images in pictures)
    for row, images in enumerate(pictures):
        for column, image in enumerate(images):
            height, width = np.array(image.shape) / max(image.shape) * side / 2
            extent = (column - width, column + width, row + height, row - height)
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=1, extent=extent, interpolation="nearest")
            frame = {"fill": False, "edgecolor": INK, "linewidth": 0.4}
            axis.add_patch(Rectangle((column - width, row - height), 2 * width, 2 * height, **frame))
    axis.set(xlim=(-0.6, widest - 0.4), aspect="equal", anchor="W")
    axis.set_axis_off()
