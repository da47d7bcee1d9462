"""States of a network in the plane and in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import FAINT, INK, TEXT, legend, look, scatter_kinds, title

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMES = 16
WIDTH, HEIGHT = 3.2, 2.9  # of a panel, in inches
NAMES = {
    "pca": "PCA",
    "lda": "LDA",
    "tsne": "t-SNE",
    "sparse_pca": "sparse PCA",
    "factor_analysis": "factor analysis",
    "random": "random projection",
}


def projections_figure(
    clouds: Sequence[tuple[Any, np.ndarray]],
    trajectories: Sequence[np.ndarray],
    letters: pd.DataFrame,
    labels: np.ndarray,
    clusters: np.ndarray,
    names: Sequence[str],
) -> Figure:
    """Draw a row for each projection: by the automaton's state, by cluster, and with the trajectories of words.

    Args:
        clouds: for each projection its row of scores (`method`, `nearest_mean`, and `explained` if it is linear), and
            points (R, d) with d = 2 or 3, the first of `labels`.
        trajectories: for each projection the points (L, d) along words.
        letters: the number of the `word` and the `letter` read at each of these points, an empty one at its start.
        labels: (at least R,) int, the automaton's state.
        clusters: (at least R,) int.
        names: the automaton's states in index order; left out of the legend when there are more than 16.
    """
    dimensions = clouds[0][1].shape[1]
    figure = Figure(figsize=(3 * WIDTH, len(clouds) * HEIGHT), layout="constrained")
    for row, ((line, points), path) in enumerate(zip(clouds, trajectories, strict=True)):
        by_state, by_cluster, by_word = (panel(figure, len(clouds), 3, 3 * row + n + 1, dimensions) for n in range(3))
        heading = f"{NAMES[line.method]}: {line.nearest_mean:.0%} right by nearest mean"
        cloud(by_state, points, labels[: len(points)], names)
        title(by_state, heading)
        if row == 0 and len(np.unique(labels)) <= MOST_NAMES:
            legend(by_state, title="state", title_fontsize=7, markerscale=1.6, loc="best")
        cloud(by_cluster, points, clusters[: len(points)])
        title(by_cluster, f"by cluster ({len(np.unique(clusters))})")
        by_word.scatter(*points.T, s=6, color=FAINT, linewidths=0)
        as_pixels(by_word)
        for number, word in letters.groupby("word"):
            draw_trajectory(by_word, path[word.index], list(word["letter"]), look(int(number))["color"])
        title(by_word, "trajectories of words")
    return figure


def panel(figure: Figure, rows: int, columns: int, place: int, dimensions: int) -> Axes:
    """Add a panel in the plane or in space, without numbers on its axes: the units of projections mean nothing."""
    axis = figure.add_subplot(rows, columns, place, projection="3d" if dimensions == 3 else None)
    axis.set(xticks=[], yticks=[])
    if dimensions == 3:
        axis.set_zticks([])
    else:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(FAINT)
    return axis


def cloud(axis: Axes, points: np.ndarray, kinds: np.ndarray, names: Sequence[str] | None = None) -> None:
    """Scatter points (R, 2 or 3) by kind."""
    scatter_kinds(axis, points, kinds, names)
    as_pixels(axis)


def as_pixels(axis: Axes) -> None:
    """Rasterise scattered points: thousands of vector marks make a large file."""
    if axis.name == "3d":
        axis.set_rasterized(True)  # single marks cannot be
        return
    for marks in axis.collections:
        marks.set_rasterized(True)


def same_limits(axis: Axes, planes: np.ndarray) -> None:
    """Set the limits of the axes to those of all clouds (M, R, 2)."""
    low, high = planes.min((0, 1)), planes.max((0, 1))
    margin = 0.05 * np.maximum(high - low, 1e-9)
    axis.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))


def draw_trajectory(axis: Axes, points: np.ndarray, letters: Sequence[str], colour: str) -> None:
    """Draw a word's trajectory through points (T+1, 2 or 3) as arrows, each with its letter."""
    steps = np.diff(points, axis=0)
    if points.shape[1] == 3:
        axis.quiver(*points[:-1].T, *steps.T, color=colour, linewidth=0.8, arrow_length_ratio=0.15)
    else:
        arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.005, "headwidth": 5}
        axis.quiver(*points[:-1].T, *steps.T, color=colour, **arrows)
        axis.update_datalim(points)
        axis.autoscale_view()
    axis.scatter(*points[:1].T, s=18, color=colour, edgecolors=INK, linewidths=0.6)
    for place, letter in zip(points[:-1] + 0.5 * steps, letters[1:], strict=True):
        axis.text(*place, letter, fontsize=TEXT - 2, color=INK, ha="center", va="center", clip_on=True)


def networks_figure(planes: np.ndarray, labels: np.ndarray, names: Sequence[str], table: pd.DataFrame) -> Figure:
    """Draw the states of several networks side by side in one plane.

    Args:
        planes: (M, R, 2) the states of each network.
        labels: (R,) int, the automaton's state.
        names: the automaton's states in index order; left out of the legend when there are more than 16.
        table: a row for each network, with the columns `network`, `accuracy` and `weighted`.
    """
    figure = Figure(figsize=(len(planes) * WIDTH, HEIGHT), layout="constrained")
    for place, (points, line) in enumerate(zip(planes, table.itertuples(), strict=True), 1):
        axis = panel(figure, 1, len(planes), place, 2)
        cloud(axis, points, labels, names)
        same_limits(axis, planes)
        title(axis, f"{line.network}: {line.accuracy:.1%} right, ambiguity {line.weighted:.3f}")
    if len(np.unique(labels)) <= MOST_NAMES:
        legend(figure.axes[0], title="state", title_fontsize=7, markerscale=1.6, loc="best")
    return figure
