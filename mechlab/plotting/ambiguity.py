"""States of a network in the plane, coloured by automaton state and by cluster, and ambiguity against their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, FAINT, INK, TEXT, legend, look, new_figure, scatter_kinds, title

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMES = 30  # in a legend
NAMES_IN_COLUMN = 15
CURVES = {
    "weighted": ("trained", COLOURS[0], "o-"),
    "null_untrained": ("untrained", COLOURS[1], "s--"),
    "null_permuted": ("permuted states", COLOURS[7], "^:"),
    "null_random": ("random partition", COLOURS[4], "v--"),
}


def states_figure(
    plane: np.ndarray, shares: np.ndarray, labels: np.ndarray, clusters: np.ndarray, names: list[str]
) -> Figure:
    """Draw the network's states twice: by cluster, and by the automaton's state with a legend beside it.

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
    figure, (by_cluster, by_state) = new_figure(panels=2, width=3.5 + 0.55 * columns, height=3.2)
    scatter_kinds(by_cluster, plane, clusters)
    scatter_kinds(by_state, plane, labels, names)
    for axis in (by_state, by_cluster):
        axis.set(xlabel=f"first component ({shares[0]:.0%})", ylabel=f"second component ({shares[1]:.0%})")
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


def curve_figure(curve: pd.DataFrame, threshold: float) -> Figure:
    """Draw weighted ambiguity against the number of clusters.

    Args:
        curve: a table with the columns `clusters` and `weighted`, and if known `weighted_low`, `weighted_high`,
            `null_untrained`, `null_permuted`, `null_random`.
        threshold: the ambiguity below which clusters count as pure.
    """
    figure, (axis,) = new_figure(width=3.8, height=3.1)
    if "weighted_low" in curve:
        band = curve["weighted_low"], curve["weighted_high"]
        axis.fill_between(curve["clusters"], *band, color=COLOURS[0], alpha=0.25, linewidth=0)
    for column, (name, colour, line) in CURVES.items():
        if column in curve:
            axis.plot(curve["clusters"], curve[column], line, color=colour, markersize=4, linewidth=1.2, label=name)
    axis.axhline(threshold, color=INK, linewidth=0.8, linestyle=":")
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(curve["clusters"]), [f"{count:g}" for count in curve["clusters"]], minor=False)
    axis.set(xlabel="clusters", ylabel="weighted ambiguity", ylim=(-0.03, 1.03))
    legend(figure, loc="outside lower center", ncols=2)
    title(axis, "Ambiguity by number of clusters")
    return figure


def factors_figure(table: pd.DataFrame) -> Figure:
    """Draw the ambiguity against each factor of the automaton's states.

    Args:
        table: a row for each factor, with the columns `factor`, `blocks`, `weighted`, `null_permuted`.
    """
    figure, (axis,) = new_figure(width=4.2, height=1.3 + 0.25 * len(table))
    places = np.arange(len(table))
    axis.barh(places, table["null_permuted"], color=FAINT, height=0.75, label="permuted states")
    axis.barh(places, table["weighted"], color=COLOURS[0], height=0.45, label="network")
    for place, blocks in zip(places, table["blocks"], strict=True):
        axis.text(1.02, place, f"{blocks}", va="center", fontsize=TEXT - 1, color=INK)
    axis.set_yticks(places, [str(name) for name in table["factor"]])
    axis.invert_yaxis()
    axis.set(xlabel="weighted ambiguity", xlim=(-0.02, 1.0))
    legend(figure, loc="outside lower center", ncols=2)
    title(axis, "Ambiguity by factor (right: blocks)")
    return figure


def causal_figure(table: pd.DataFrame) -> Figure:
    """Draw the share of unchanged predictions after a state is replaced by a cluster's mean.

    Args:
        table: a row for each further letter, with the columns `letters`, `kept`, `right_own`, and if known `control`.
    """
    figure, (axis,) = new_figure(width=3.8)
    axis.plot(table["letters"], table["right_own"], ":", color=INK, linewidth=1, label="right without replacement")
    axis.plot(table["letters"], table["kept"], "o-", **_line(0), label="unchanged, own cluster's mean")
    if "control" in table:
        axis.plot(table["letters"], table["control"], "s--", **_line(1), label="unchanged, another cluster's")
    axis.set(xlabel="letters after the replacement", ylabel="share of outputs", ylim=(-0.03, 1.05))
    axis.xaxis.get_major_locator().set_params(integer=True)
    legend(axis, loc="lower right")
    title(axis, "States replaced by cluster means")
    return figure


def lengths_figure(table: pd.DataFrame) -> Figure:
    """Draw weighted ambiguity of the same clusters against the length of words.

    Args:
        table: a row for each length, with the columns `length`, `weighted`, `balanced`, and `fitted` for lengths that
            clusters were fitted to.
    """
    figure, (axis,) = new_figure(width=3.8)
    axis.plot(table["length"], table["weighted"], "o-", **_line(0), label="all words")
    axis.plot(table["length"], table["balanced"], "s--", **_line(1), label="states balanced")
    if not table["fitted"].all():
        axis.axvline(table["length"][table["fitted"]].max() + 0.5, color=INK, linewidth=0.8, linestyle=":")
    axis.set(xlabel="letters", ylabel="weighted ambiguity", ylim=(-0.03, 1.03))
    axis.xaxis.get_major_locator().set_params(integer=True)
    legend(axis, loc="upper left")
    title(axis, "Ambiguity by length (dotted: longest fitted)")
    return figure


def _line(number: int) -> dict:
    return {"color": look(number)["color"], "markersize": 3.5, "linewidth": 1.2}
