"""States of a network in the plane and in space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mechlab.plotting.style import (
    FAINT,
    INK,
    TEXT,
    legend,
    look,
    number,
    sample_size,
    scatter_kinds,
    shortened,
    text_width,
    title,
)
from mechlab.plotting.trajectories import draw_trajectories

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMES = 20  # in a legend
WIDTH, HEIGHT = 3.2, 2.9  # of a panel, in inches
LINE = 0.17  # height of a line of a legend, in inches
NAMES = {
    "pca": "PCA",
    "lda": "LDA",
    "tsne": "t-SNE",
    "sparse_pca": "sparse PCA",
    "factor_analysis": "factor analysis",
    "random": "random projection",
}
AXES = {
    "pca": "PC",
    "lda": "LD",
    "tsne": "t-SNE",
    "sparse_pca": "sparse PC",
    "factor_analysis": "factor",
}
NETWORKS = {"clean": "as constructed", "noisy": "with noise", "retrained": "after training"}

Key = tuple[list[Line2D], list[str]]  # handles and texts of a legend


def projections_figure(
    clouds: Sequence[tuple[Any, np.ndarray]],
    trajectories: Sequence[np.ndarray],
    letters: pd.DataFrame,
    labels: np.ndarray,
    clusters: np.ndarray,
    names: Sequence[str],
) -> Figure:
    """Draw a row for each projection: by the automaton's state, by cluster, and with the trajectories of words.

    The legends are below the panels; they name the most frequent states and clusters, and all words.

    Args:
        clouds: for each projection its row of scores (`method`, `nearest_mean`, and shares of the variance as in
            `axis_names`), and points (R, d) with d = 2 or 3, the first of `labels`.
        trajectories: for each projection the points (L, d) along words.
        letters: the number of the `word` and the `letter` read at each of these points, an empty one at its start.
        labels: (at least R,) int, the automaton's state.
        clusters: (at least R,) int.
        names: the automaton's states in index order.
    """
    dimensions = clouds[0][1].shape[1]
    words = [list(word) for _, word in letters.groupby("word")["letter"]]
    keys = [
        key(labels, dict(enumerate(names))),
        key(clusters, {kind: str(kind) for kind in np.unique(clusters).tolist()}, share=True),
        _word_key(words),
    ]
    columns = [_columns(texts, WIDTH) for _, texts in keys]
    lines = max(math.ceil(len(texts) / n) for (_, texts), n in zip(keys, columns, strict=True)) + 1
    figure = Figure(figsize=(3 * WIDTH, len(clouds) * HEIGHT + lines * LINE), layout="constrained")
    drawn = []
    for row, ((scores, points), path) in enumerate(zip(clouds, trajectories, strict=True)):
        panels = [panel(figure, len(clouds), 3, 3 * row + n + 1, dimensions) for n in range(3)]
        by_state, by_cluster, by_word = panels
        kinds = len(np.unique(clusters[: len(points)]))
        cloud(by_state, points, labels[: len(points)])
        cloud(by_cluster, points, clusters[: len(points)])
        by_word.scatter(*points.T, s=6, color=FAINT, linewidths=0)
        as_pixels(by_word)
        headings = "automaton states", f"{kinds} clusters", "trajectories of words"
        notes = f"prefixes; nearest mean right for {scores.nearest_mean:.0%}", "prefixes", "prefixes (grey)"
        for axis, heading, note in zip(panels, headings, notes, strict=True):
            name_axes(axis, axis_names(scores, dimensions, scores.method))
            title(axis, f"{NAMES[scores.method]}: {heading}")
            sample_size(axis, len(points), note)
        ways = [path[rows.index] for _, rows in letters.groupby("word")]
        drawn.append((by_word, ways))
    last, heads = figure.axes[-3:], ("state", "cluster (share of prefixes)", "word")
    for axis, (handles, texts), n, head in zip(last, keys, columns, heads, strict=True):
        if handles:
            place = {"loc": "upper left", "bbox_to_anchor": (0, -0.09), "ncols": n, "borderaxespad": 0}
            legend_of(axis, handles, texts, head, **place)
    draw_trajectories(figure, drawn, words)
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


def name_axes(axis: Axes, names: Sequence[str]) -> None:
    """Name the two or three axes of a panel."""
    for side, name in zip((axis.xaxis, axis.yaxis, getattr(axis, "zaxis", None)), names, strict=False):
        side.set_label_text(name)
        side.label.set(fontsize=TEXT - 1, color=INK)
        side.labelpad = -12 if axis.name == "3d" else 2


def axis_names(scores: Any, dimensions: int, method: str) -> list[str]:
    """Return the names of a projection's axes, with the share of the variance along each, or all, if known.

    Args:
        scores: an object with the shares along the axes, `explained_1`, ..., or along all of them, `explained`, if any.
        dimensions: number of axes.
        method: of projection.
    """
    shares = [getattr(scores, f"explained_{n + 1}", np.nan) for n in range(dimensions)]
    names = [f"{AXES.get(method, 'direction')} {n + 1}" for n in range(dimensions)]
    of = " of variance" if dimensions == 2 else ""  # there is less room in space
    if np.isfinite(shares).all():
        return [f"{name} ({_percent(share)}{of})" for name, share in zip(names, shares, strict=True)]
    every = getattr(scores, "explained", np.nan)
    if np.isfinite(every):
        names[0] += f" (all axes: {_percent(every)}{of})"
    return names


def cloud(axis: Axes, points: np.ndarray, kinds: np.ndarray) -> None:
    """Scatter points (R, 2 or 3) by kind."""
    scatter_kinds(axis, points, kinds)
    as_pixels(axis)


def key(kinds: np.ndarray, names: Mapping[int, str], most: int = MOST_NAMES, share: bool = False) -> Key:
    """Return a legend's handles and texts for the most frequent kinds of point, and how many more there are.

    Args:
        kinds: (R,) int, the kind of each point.
        names: the name of each kind.
        most: number of kinds named at most.
        share: True to write the share of the points beside each name.
    """
    occurring, count = np.unique(kinds, return_counts=True)
    shown = np.sort(np.argsort(-count, kind="stable")[:most])
    handles = [Line2D([], [], linestyle="", markersize=4.5, **look(int(occurring[i]))) for i in shown]
    percent = [f" ({count[i] / len(kinds):.0%})" if share else "" for i in shown]
    texts = [f"{shortened(names[int(occurring[i])], 18)}{part}" for i, part in zip(shown, percent, strict=True)]
    if len(occurring) > most:
        handles.append(Line2D([], [], linestyle=""))
        texts.append(f"and {len(occurring) - most} more")
    return handles, texts


def legend_of(on: Axes | Figure, handles: Sequence[Line2D], texts: Sequence[str], head: str, **options: Any) -> None:
    """Draw a legend of points with a heading."""
    small = {"title_fontsize": TEXT - 1, "alignment": "left", "columnspacing": 1.0}
    legend(on, handles=list(handles), labels=list(texts), title=head, **small, **options)


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


def networks_figure(planes: np.ndarray, labels: np.ndarray, names: Sequence[str], table: pd.DataFrame) -> Figure:
    """Draw the states of several networks side by side in one plane, with a legend beside them.

    Args:
        planes: (M, R, 2) the states of each network.
        labels: (R,) int, the automaton's state.
        names: the automaton's states in index order.
        table: a row for each network, with the columns `network`, `accuracy` and `weighted`, and if known
            `explained_1` and `explained_2`, the shares of the variance along the directions.
    """
    figure = Figure(figsize=(len(planes) * WIDTH + 0.8, HEIGHT), layout="constrained")
    for place, (points, line) in enumerate(zip(planes, table.itertuples(), strict=True), 1):
        axis = panel(figure, 1, len(planes), place, 2)
        cloud(axis, points, labels)
        same_limits(axis, planes)
        name_axes(axis, axis_names(line, 2, "lda"))
        title(axis, f"{NETWORKS.get(line.network, line.network)}: {line.accuracy:.1%} of words right")
        sample_size(axis, len(points), f"prefixes, weighted ambiguity {number(round(line.weighted, 3))}")
    handles, texts = key(labels, dict(enumerate(names)))
    legend_of(figure, handles, texts, "state", loc="outside right upper")
    return figure


def _word_key(words: Sequence[Sequence[str]]) -> Key:
    """Return a legend's handles and texts for words, each the letters read from an empty one on."""
    handles = [Line2D([], [], linewidth=1.2, markersize=4, **look(n)) for n in range(len(words))]
    texts = [shortened((" " if any(len(letter) > 1 for letter in word) else "").join(word[1:]), 46) for word in words]
    if words:
        start = {"linestyle": "", "marker": "o", "markersize": 5, "color": "white", "markeredgecolor": INK}
        handles, texts = [Line2D([], [], **start), *handles], ["initial state", *texts]
    return handles, texts


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "below 0.1%"
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _columns(texts: Sequence[str], width: float) -> int:
    """Return the number of columns of a legend of at most a width in inches."""
    return max(1, int((72 * width - 10) // (max((text_width(text, TEXT - 1) for text in texts), default=0) + 30)))
