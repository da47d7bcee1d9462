"""States of a network in the plane, coloured by automaton state and by cluster, and ambiguity against their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, INK, legend, new_figure, scatter_kinds, title

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMES = 16
CURVES = {
    "weighted": ("trained", COLOURS[0], "o-"),
    "null_untrained": ("untrained", COLOURS[1], "s--"),
    "null_permuted": ("permuted states", COLOURS[7], "^:"),
}


def states_figure(
    plane: np.ndarray, shares: np.ndarray, labels: np.ndarray, clusters: np.ndarray, names: list[str]
) -> Figure:
    """Draw the network's states twice: by the automaton's state, and by cluster.

    Args:
        plane: (P, 2) the states along their two leading principal components.
        shares: (2,) the share of the variance along each.
        labels: (P,) int, the automaton's state of each point.
        clusters: (P,) int, the cluster of each point.
        names: the automaton's states in index order; left out of the legend when there are more than 16.
    """
    figure, (by_state, by_cluster) = new_figure(panels=2, width=3.6, height=3.2)
    scatter_kinds(by_state, plane, labels, names)
    if len(np.unique(labels)) <= MOST_NAMES:
        legend(by_state, title="state", title_fontsize=7, markerscale=1.6, loc="best")
    scatter_kinds(by_cluster, plane, clusters)
    for axis in (by_state, by_cluster):
        axis.set(xlabel=f"first component ({shares[0]:.0%})", ylabel=f"second component ({shares[1]:.0%})")
    title(by_state, "Coloured by automaton state")
    title(by_cluster, f"Coloured by cluster ({len(np.unique(clusters))})")
    return figure


def curve_figure(curve: pd.DataFrame, threshold: float) -> Figure:
    """Draw weighted ambiguity against the number of clusters.

    Args:
        curve: a table with the columns `clusters` and `weighted`, and if known `null_untrained` and `null_permuted`.
        threshold: the ambiguity below which clusters count as pure.
    """
    figure, (axis,) = new_figure(width=3.8)
    for column, (name, colour, line) in CURVES.items():
        if column in curve:
            axis.plot(curve["clusters"], curve[column], line, color=colour, markersize=4, linewidth=1.2, label=name)
    axis.axhline(threshold, color=INK, linewidth=0.8, linestyle=":")
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(curve["clusters"]), [f"{count:g}" for count in curve["clusters"]], minor=False)
    axis.set(xlabel="clusters", ylabel="weighted ambiguity", ylim=(-0.03, 1.03))
    legend(axis, loc="upper right")
    title(axis, "Ambiguity by number of clusters")
    return figure
