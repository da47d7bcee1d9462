"""Ambiguity of many networks: boxes by method, and against their accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    TEXT,
    legend,
    look,
    new_figure,
    note,
    number,
    points_axis,
    row_names,
    side_column,
    text_width,
    title,
)

FEWEST = 5  # networks of which a box is drawn; fewer are points


def boxes(values: Mapping[str, Sequence[float]]) -> Figure:
    """Draw a box for each method over the ambiguities of its networks, with the mean as a diamond.

    Fewer than five networks are drawn as points.
    """
    figure, (axis,) = new_figure(width=4.0, height=1.1 + 0.22 * len(values))
    axis.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    lines = {name: {"color": INK, "linewidth": 0.8} for name in ("boxprops", "whiskerprops", "capprops")}
    means = {"marker": "D", "markersize": 3.5, "color": COLOURS[3], "linestyle": "", "zorder": 3}
    outside = {"marker": ".", "markersize": 3, "markerfacecolor": COLOURS[0], "markeredgecolor": COLOURS[0]}
    for place, networks in enumerate(values.values()):
        if len(networks) >= FEWEST:
            shape = {"positions": [place], "widths": 0.6, "orientation": "horizontal", "manage_ticks": False}
            median = {"color": COLOURS[0], "linewidth": 1.6}
            axis.boxplot([list(networks)], flierprops=outside, medianprops=median, **shape, **lines)
        else:
            axis.plot(networks, [place] * len(networks), ".", color=COLOURS[0], markersize=5, alpha=0.6)
        if len(networks):
            axis.plot(np.mean(networks), place, **means)
    row_names(axis, list(values))
    side_column(axis, "networks", [f"{len(networks):,}" for networks in values.values()])
    axis.set(xlabel="weighted ambiguity (diamond: mean)", xlim=(-0.03, 1.03))
    title(axis, "Ambiguity by method")
    return figure


def against_accuracy(
    method: str,
    metric: str,
    accuracy: np.ndarray,
    ambiguity: np.ndarray,
    kinds: Sequence[str],
    correlation: Mapping[str, float | None],
) -> Figure:
    """Draw ambiguity against accuracy, by type of cell, with the least-squares line and the correlations.

    Args:
        method: of clustering.
        metric: what the accuracy is.
        accuracy, ambiguity: (n,).
        kinds: (n,) the type of each network's cell.
        correlation: `pearson`, `spearman`, each with `_low` and `_high`, `slope` and `intercept`; None where undefined.
    """
    names = sorted(set(kinds))
    wide = (max((text_width(name, TEXT - 1) for name in names), default=0) + 24) / 72
    figure, (axis,) = new_figure(width=3.4 + wide, height=2.9)
    kind_of = np.array(kinds)
    for place, kind in enumerate(names):
        members = kind_of == kind
        style = {"s": 12, "linewidths": 0, "alpha": 0.7, **look(place)}
        axis.scatter(accuracy[members], ambiguity[members], label=kind, **style)
    if correlation["slope"] is not None:
        ends = np.array([accuracy.min(), accuracy.max()])
        axis.plot(ends, correlation["slope"] * ends + correlation["intercept"], color=INK, linewidth=1.2)
    highest = float(ambiguity.max()) if len(ambiguity) else 0.0
    axis.set(xlabel=metric, ylabel="weighted ambiguity", ylim=(-0.03, max(0.1, 1.08 * highest)))
    points_axis(axis, "x", accuracy)
    note(axis, f"n = {len(accuracy):,} networks; correlation [95 % interval]:")
    texts = [text for name in ("pearson", "spearman") if (text := _correlation_text(name, correlation))]
    note(axis, ", ".join(texts) or "undefined")
    legend(axis, loc="upper left", bbox_to_anchor=(1.0, 1.02), title="cell", title_fontsize=TEXT - 1)
    title(axis, f"Ambiguity by {method} against accuracy")
    return figure


def _correlation_text(name: str, correlation: Mapping[str, float | None]) -> str:
    value, low, high = correlation[name], correlation[f"{name}_low"], correlation[f"{name}_high"]
    if value is None:
        return ""
    interval = "" if low is None or high is None else f" [{number(low, 2)}, {number(high, 2)}]"
    return f"{name.capitalize()} {number(value, 2)}{interval}"
