"""States of a network in the plane, coloured by automaton state and by cluster, and ambiguity against their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    SOFT,
    TEXT,
    band,
    direct_labels,
    legend,
    line_look,
    new_figure,
    note,
    number,
    points_axis,
    row_names,
    sample_size,
    scatter_kinds,
    shortened,
    side_column,
    text_width,
    threshold,
    ticks_at,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMES = 30  # in a legend
NAMES_IN_COLUMN = 15
LONGEST = 24  # letters of a state's name
CURVES = {  # columns, names and numbers of looks
    "weighted": ("trained", 0),
    "null_untrained": ("untrained", 1),
    "null_permuted": ("permuted states", 7),
    "null_random": ("random partition", 4),
}


def states_figure(
    plane: np.ndarray, shares: np.ndarray, labels: np.ndarray, clusters: np.ndarray, names: list[str]
) -> Figure:
    """Draw the network's states twice: by cluster, and by the automaton's state with a legend beside it. Points of all
    automaton states are drawn in random order.

    Args:
        plane: (P, 2) the states along their two leading principal components.
        shares: (2,) the share of the variance along each.
        labels: (P,) int, the automaton's state of each point.
        clusters: (P,) int, the cluster of each point.
        names: the automaton's states in index order. If more than 30 occur, the legend has the most frequent ones and
            the number of the others.
    """
    occurring, count = np.unique(labels, return_counts=True)
    columns = -(-min(len(occurring), MOST_NAMES + 1) // NAMES_IN_COLUMN)
    names = [shortened(name, LONGEST) for name in names]
    wide = columns * (max((text_width(names[label], TEXT - 1) for label in occurring), default=0) + 20) / 72
    figure, (by_cluster, by_state) = new_figure(panels=2, width=3.3 + wide / 2, height=3.2)
    scatter_kinds(by_cluster, plane, _in_order(plane, clusters))
    scatter_kinds(by_state, plane, labels, names, mixed=True)
    for axis in (by_state, by_cluster):
        parts = [f" ({share:.0%} of variance)" if np.isfinite(share) else "" for share in shares]
        axis.set(xlabel=f"first component{parts[0]}", ylabel=f"second component{parts[1]}")
        for along, values in zip("xy", plane.T, strict=True):
            points_axis(axis, along, values)
        sample_size(axis, len(plane), "distinct prefixes")
    handles, texts = by_state.get_legend_handles_labels()  # one for each label that occurs, in their order
    shown = np.sort(np.argsort(-count, kind="stable")[:MOST_NAMES])
    handles, texts = [handles[i] for i in shown], [texts[i] for i in shown]
    if len(occurring) > MOST_NAMES:
        handles.append(by_state.scatter([], [], s=0))
        texts.append(f"and {len(occurring) - MOST_NAMES} more")
    options = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.02), "ncols": columns, "borderaxespad": 0.2}
    legend(by_state, handles=handles, labels=texts, title="state", title_fontsize=TEXT - 1, markerscale=1.6, **options)
    title(by_state, "Coloured by automaton state")
    title(by_cluster, f"Coloured by cluster ({len(np.unique(clusters))})")
    return figure


def curve_figure(curve: pd.DataFrame, most: float, prefixes: int | None = None) -> Figure:
    """Draw weighted ambiguity against the number of clusters.

    Args:
        curve: a table with the columns `clusters` and `weighted`, and if known `weighted_low`, `weighted_high`,
            `null_untrained`, `null_permuted`, `null_random`.
        most: the ambiguity up to which clusters count as pure.
        prefixes: number of distinct prefixes.
    """
    figure, (axis,) = new_figure(width=3.8, height=3.1)
    if "weighted_low" in curve:
        band(axis, curve["clusters"], curve["weighted_low"], curve["weighted_high"])
    for column, (name, kind) in CURVES.items():
        if column in curve:
            axis.plot(curve["clusters"], curve[column], label=name, **line_look(kind))
    axis.set(xlabel="clusters", ylabel="weighted ambiguity", ylim=(-0.03, 1.03))
    if len(set(curve["clusters"])) > 1:
        axis.set_xscale("log", base=2)
        ticks_at(axis, "x", curve["clusters"])
    else:
        points_axis(axis, "x", curve["clusters"])
    if prefixes is not None:
        interval = ", 95 % interval over words" if "weighted_low" in curve else ""
        note(axis, f"n = {prefixes:,} distinct prefixes{interval}")
    threshold(axis, most, "below", label=f"claim: ≤ {number(most)}")
    title(axis, "Ambiguity by number of clusters")
    direct_labels(axis)
    return figure


def factors_figure(table: pd.DataFrame, prefixes: int | None = None) -> Figure:
    """Draw the ambiguity against each factor of the automaton's states.

    Args:
        table: a row for each factor, with the columns `factor`, `blocks`, `weighted`, `null_permuted`.
        prefixes: number of distinct prefixes.
    """
    figure, (axis,) = new_figure(width=3.6, height=max(1.7, 1.3 + 0.22 * len(table)))
    places = range(len(table))
    axis.hlines(places, 0, 1, color=FAINT, linewidth=0.5, zorder=0)
    axis.plot(table["null_permuted"], places, "s", color=SOFT, markersize=4, fillstyle="none", label="permuted states")
    axis.plot(table["weighted"], places, "o", color=COLOURS[0], markersize=5, label="network", clip_on=False)
    row_names(axis, [str(name) for name in table["factor"]])
    axis.set(xlabel="weighted ambiguity", ylabel="factor", xlim=(-0.03, 1.03))
    side_column(axis, "blocks", [f"{blocks}" for blocks in table["blocks"]])
    if prefixes is not None:
        sample_size(axis, prefixes, "distinct prefixes")
    legend(figure, loc="outside lower center", ncols=2)
    title(axis, "Ambiguity by factor")
    return figure


def causal_figure(table: pd.DataFrame, least: float | None = None) -> Figure:
    """Draw the share of unchanged predictions after a state is replaced by a cluster's mean.

    Args:
        table: a row for each further letter, with the columns `letters`, `kept`, `right_own`, and if known `control`
            and `states`, the number of replaced states.
        least: the mean share of unchanged predictions that is claimed.
    """
    figure, (axis,) = new_figure(width=3.6)
    look = line_look(7, len(table)) | {"linestyle": ":", "marker": ""}
    axis.plot(table["letters"], table["right_own"], label="right, no replacement", **look)
    if "control" in table:
        axis.plot(table["letters"], table["control"], label="unchanged, other cluster's mean", **line_look(1))
    axis.plot(table["letters"], table["kept"], label="unchanged, own cluster's mean", **line_look(0))
    axis.set(xlabel="letters after the replacement", ylabel="share of outputs", ylim=(-0.03, 1.05))
    _letters_axis(axis, table["letters"])
    if "states" in table and len(table):
        sample_size(axis, int(table["states"].iloc[0]), "replaced states")
    threshold(axis, least, "above", label=None if least is None else f"claim (mean): ≥ {number(least)}")
    title(axis, "States replaced by cluster means")
    direct_labels(axis)
    return figure


def lengths_figure(table: pd.DataFrame) -> Figure:
    """Draw weighted ambiguity of the same clusters against the length of words.

    Args:
        table: a row for each length, with the columns `length`, `weighted`, `balanced`, `fitted` for lengths that
            clusters were fitted to, and if known `words`, the number of words of the length.
    """
    figure, (axis,) = new_figure(width=3.8)
    axis.plot(table["length"], table["weighted"], label="all words", **line_look(0, len(table)))
    axis.plot(table["length"], table["balanced"], label="states balanced", **line_look(1, len(table)))
    parts = [f"n = {table['words'].max():,} words of each length"] if "words" in table else []
    if not table["fitted"].all():
        longest = table["length"][table["fitted"]].max()
        axis.axvline(longest + 0.5, color=INK, linewidth=0.8, linestyle=":")
        parts.append(f"dotted: longest fitted, {longest}")
    axis.set(xlabel="length of words (letters)", ylabel="weighted ambiguity", ylim=(-0.03, 1.03))
    _letters_axis(axis, table["length"])
    if parts:
        note(axis, "; ".join(parts))
    title(axis, "Ambiguity by length")
    direct_labels(axis)
    return figure


def _in_order(plane: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Number clusters along the first component, so that those of the same colour lie apart."""
    _, numbers = np.unique(clusters, return_inverse=True)
    means = np.bincount(numbers, plane[:, 0]) / np.bincount(numbers)
    return np.argsort(np.argsort(means, kind="stable"))[numbers]


def _letters_axis(axis: Axes, lengths: pd.Series) -> None:
    if lengths.nunique() > 1:
        whole_numbers(axis, "x")
    else:
        points_axis(axis, "x", lengths)
