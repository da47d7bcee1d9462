"""Figures of the variables of a linear rule in a network: interaction matrices and accuracies of decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    FAINT,
    INK,
    TEXT,
    direct_labels,
    line_look,
    new_figure,
    note,
    number,
    threshold,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.image import AxesImage

SIGNED = "RdBu_r"  # colours of values around 0
METHODS = {  # column of the tables -> name
    "decoder": "observability decoder",
    "origin": "decoder, origin alone",
    "published": "published basis",
    "probe": "ridge probe",
    "untrained": "untrained network",
    "shuffled": "other sequence",
}
MATRICES = {"theory": "Theory Φ", "decoder": "Decoder D W D⁺", "published": "Published Ψ* W Ψ"}


def interaction_figure(matrices: Mapping[str, np.ndarray], active: np.ndarray, d: int) -> Figure:
    """Draw interaction matrices beside the companion matrix, on one colour scale, with a grid of its blocks.

    Args:
        matrices: (s d, s d) each, by the names "theory", "decoder" and "published".
        active: (s d,) bool, the cells on cycles; errors are over these.
        d: components of a block.
    """
    figure, axes = new_figure(panels=len(matrices), width=2.9, height=3.1)
    limit = max(1.0, *(np.quantile(np.abs(matrix), 0.999) for matrix in matrices.values()))
    block = np.ix_(active, active)
    theory = matrices["theory"]
    for axis, (name, matrix) in zip(axes, matrices.items(), strict=True):
        image = axis.imshow(matrix, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest", rasterized=True)
        _grid(axis, len(matrix), d)
        title(axis, MATRICES[name])
        if name == "theory":
            note(axis, f"{np.count_nonzero(active)} of {len(active)} variables on cycles")
        else:
            wrong = np.linalg.norm((matrix - theory)[block]) / np.linalg.norm(theory[block])
            note(axis, f"relative error on cycles: {number(round(float(wrong), 3))}")
    axes[0].set_ylabel("to variable (block)")
    colours(figure, image, axes, "weight")
    return figure


def decoding_figure(curves: pd.DataFrame, variables: pd.DataFrame, d: int, least: float) -> Figure:
    """Draw the accuracy of decoding each variable at the end of the input, and that of each method over time.

    Args:
        curves: a row for each step after the input, with the column `step` and one for each method.
        variables: a row for each active variable: `block` and `component`, from 1, and its accuracies.
        d: components of a block.
        least: accuracy that the claims demand.
    """
    figure, (published, decoder, over_time) = new_figure(panels=3, width=2.7, height=3.0)
    for axis, column in ((published, "published"), (decoder, "decoder")):
        image = _each_variable(axis, variables, column, d)
        title(axis, METHODS[column].capitalize())
        note(axis, f"accuracy at the end of the input: {number(round(float(variables[column].mean()), 4))}")
    published.set_ylabel("block (1 the oldest)")
    colours(figure, image, [published, decoder], "accuracy of signs")
    for i, (column, name) in enumerate(METHODS.items()):
        over_time.plot(curves["step"], curves[column], label=name, **line_look(i, len(curves)))
    lowest = min(0.4, 0.98 * curves[list(METHODS)].to_numpy().min())
    over_time.set(xlabel="steps after the input", ylabel="accuracy of signs", ylim=(lowest, 1.03))
    whole_numbers(over_time, "x")
    title(over_time, "Decoding over time")
    threshold(over_time, least, "above", label="")
    direct_labels(over_time)
    return figure


def colours(figure: Figure, image: AxesImage, axes: Sequence[Axes], name: str) -> None:
    """Draw the colour bar of an image beside some panels, with the name of what the colours stand for."""
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.015, aspect=25)
    bar.set_label(name, size=TEXT - 1, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)


def _each_variable(axis: Axes, variables: pd.DataFrame, column: str, d: int) -> AxesImage:
    """Draw the accuracies of variables in a grid of blocks and components; those on no cycle stay grey."""
    s = int(variables["block"].max())  # every cycle passes through the newest block
    grid = np.full((s, d), np.nan)
    grid[variables["block"] - 1, variables["component"] - 1] = variables[column]
    axis.set_facecolor(FAINT)
    image = axis.imshow(grid, cmap="viridis", vmin=0.5, vmax=1, interpolation="nearest", aspect="auto")
    axis.set_xlabel("component")
    for side, count in ((axis.xaxis, d), (axis.yaxis, s)):
        shown = range(0, count, -(-count // 8))
        side.set_ticks(list(shown), [str(i + 1) for i in shown])
    axis.tick_params(length=0)
    return image


def _grid(axis: Axes, cells: int, d: int) -> None:
    """Draw the grid of blocks and name the blocks, the oldest first."""
    lines = np.arange(d, cells, d) - 0.5
    axis.hlines(lines, -0.5, cells - 0.5, color=FAINT, linewidth=0.5)
    axis.vlines(lines, -0.5, cells - 0.5, color=FAINT, linewidth=0.5)
    blocks = cells // d
    shown = range(0, blocks, -(-blocks // 8))
    places = [block * d + (d - 1) / 2 for block in shown]
    names = [str(block + 1) for block in shown]
    axis.set_xticks(places, names)
    axis.set_yticks(places, names)
    axis.tick_params(length=0)
    axis.set_xlabel("from variable (block, 1 the oldest)")
    for side in axis.spines.values():
        side.set_visible(True)
        side.set(color=INK, linewidth=0.6)
