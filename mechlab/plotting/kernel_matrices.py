"""Heat maps of several matrices over sorted examples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import FAINT, INK, TEXT, new_figure, note, title
from mechlab.plotting.text import number, text_width

if TYPE_CHECKING:
    import pandas as pd

CLIPPED = 0.99  # quantile of the absolute values at which the colours of a panel end
DECADES = 2  # of a logarithmic scale of colours, on either side of 0
MOST_TICKS = 6

Scale = Literal["cosine", "linear", "log"]


def matrix_panels(
    table: pd.DataFrame,
    rows: Sequence[str],
    columns: Sequence[str],
    names: tuple[str, str],
    scale: Scale,
    label: str,
    size: float = 2.0,
    grid: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Figure:
    """Draw the matrices of a table as heat maps.

    Args:
        table: columns panel and row, and one for each column of the matrices.
        rows, columns: names of the sorted examples along the axes, of which some become ticks; they may outnumber the
            rows and columns of the matrices, which are then blocks of neighbours.
        names: of the two axes, vertical first.
        scale: of colours. "cosine" goes from -1 to 1; the others end at the 99 % quantile of a panel's absolute values,
            which is written above it, and "log" is logarithmic in the two decades below that on either side of 0.
        label: of the colour bar.
        size: width and height of a panel in inches.
        grid: names of the lines and of the columns of panels, where panels are in that order; else a panel's name is
            its title.
    """
    panels = list(dict.fromkeys(table["panel"]))
    across = min(len(panels), 3 if len(panels) <= 6 else 4) if grid is None else len(grid[1])
    lines = max(1, math.ceil(len(panels) / across))
    figure, axes = new_figure(panels=across, width=size + 0.3, height=(size + 0.2) * lines + 0.5, rows=lines)
    image = None
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
        values = table[table["panel"] == panel].drop(columns=["panel", "row"]).to_numpy(float)
        limit = 1.0 if scale == "cosine" else _limit(values)
        extent = (-0.5, len(columns) - 0.5, len(rows) - 0.5, -0.5)
        options = {"aspect": "auto", "interpolation": "nearest", "extent": extent}
        axis.set_facecolor(FAINT)
        image = axis.imshow(_coloured(values / limit, scale), cmap="RdBu_r", vmin=-1, vmax=1, **options)
        named_axis(axis, "y", rows, size, place % across == 0)
        named_axis(axis, "x", columns, size, place + across >= len(panels))
        if not np.isfinite(values).any():
            note(axis, "all scores are 0" if scale == "cosine" else "no values")
        elif scale != "cosine":
            note(axis, f"colours end at ±{number(limit)}")
        if grid is None:
            title(axis, panel)
            continue
        if place < across:
            title(axis, grid[1][place])
        if place % across == 0:
            axis.set_ylabel(grid[0][place // across])
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.supylabel(names[0], fontsize=TEXT, color=INK)
    figure.supxlabel(names[1], fontsize=TEXT, color=INK)
    if image is not None:
        extend = "neither" if scale == "cosine" else "both"
        bar = figure.colorbar(image, ax=axes, shrink=max(0.25, 0.8 / lines), extend=extend)
        ticks = [-1.0, -0.1, 0.0, 0.1, 1.0] if scale == "log" else [-1.0, -0.5, 0.0, 0.5, 1.0]
        bar.set_ticks(list(_coloured(np.array(ticks), scale)), labels=[number(tick) for tick in ticks])
        bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
        bar.set_label(label if scale == "cosine" else f"{label}, in units of the panel's end", size=TEXT, color=INK)
    return figure


def named_axis(axis: Axes, along: Literal["x", "y"], names: Sequence[str], size: float, labelled: bool = True) -> None:
    """Give an axis over sorted examples a tick for each name in the middle of its examples, or for some of many.

    Args:
        names: of the examples in their order.
        size: length of the axis in inches.
        labelled: whether the ticks have labels.
    """
    runs = [(name, len(list(run))) for name, run in itertools.groupby(names)]
    starts = np.cumsum([0, *(length for _, length in runs)])
    longest = max((text_width(name, TEXT - 1) for name in names), default=0)
    room = int(72 * size / (longest + 8 if along == "x" else 2.2 * TEXT))
    most = max(2, min(MOST_TICKS, room))
    if len(runs) <= most and len(runs) < len(names):
        ticks = [start + (length - 1) / 2 for start, (_, length) in zip(starts, runs, strict=False)]
        texts = [name for name, _ in runs]
    else:
        ends = np.linspace(0, len(names), most + 1)
        ticks = ((ends[:-1] + ends[1:]) / 2).astype(int)
        texts = [names[tick] for tick in ticks]
    side = axis.xaxis if along == "x" else axis.yaxis
    side.set_ticks(ticks, texts if labelled else [""] * len(texts))
    for words in side.get_ticklabels():
        words.set_parse_math(False)


def _limit(values: np.ndarray) -> float:
    sizes = np.abs(values[np.isfinite(values)])
    return float(np.quantile(sizes, CLIPPED) if sizes.size else 0.0) or 1.0


def _coloured(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Return values from -1 to 1 on the scale of colours."""
    if scale != "log":
        return values
    return np.sign(values) * np.log1p(np.abs(values) * 10**DECADES) / np.log1p(10**DECADES)
