"""Ambiguity of many networks: boxes by method, and against their accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, FAINT, INK, TEXT, legend, look, new_figure, title


def boxes(values: Mapping[str, Sequence[float]]) -> Figure:
    """Draw a box for each method over the ambiguities of its networks, with the mean as a diamond."""
    figure, (axis,) = new_figure(width=1.2 + 0.25 * len(values), height=3.2)
    lines = {name: {"color": INK, "linewidth": 0.8} for name in ("boxprops", "whiskerprops", "capprops")}
    means = {"marker": "D", "markersize": 3.5, "markerfacecolor": COLOURS[3], "markeredgecolor": COLOURS[3]}
    outside = {"marker": ".", "markersize": 3, "markerfacecolor": COLOURS[0], "markeredgecolor": COLOURS[0]}
    median = {"color": COLOURS[0], "linewidth": 1.6}
    axis.boxplot(
        list(values.values()),
        widths=0.6,
        showmeans=True,
        meanprops=means,
        flierprops=outside,
        medianprops=median,
        **lines,
    )
    axis.set_xticks(range(1, len(values) + 1), list(values), rotation=60, ha="right", rotation_mode="anchor")
    axis.set(ylabel="weighted ambiguity", ylim=(-0.03, 1.03))
    axis.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.6)
    title(axis, "By method")
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
    figure, (axis,) = new_figure(width=3.4, height=2.8)
    kind_of = np.array(kinds)
    for number, kind in enumerate(sorted(set(kinds))):
        members = kind_of == kind
        style = {"s": 12, "linewidths": 0, "alpha": 0.7, **look(number)}
        axis.scatter(accuracy[members], ambiguity[members], label=kind, **style)
    if correlation["slope"] is not None:
        ends = np.array([accuracy.min(), accuracy.max()])
        axis.plot(ends, correlation["slope"] * ends + correlation["intercept"], color=INK, linewidth=1.2)
    texts = [text for name in ("pearson", "spearman") if (text := _correlation_text(name, correlation))]
    axis.text(0.02, 0.02, "\n".join(texts), transform=axis.transAxes, fontsize=TEXT - 1, color=INK, va="bottom")
    axis.set(xlabel=metric, ylabel="weighted ambiguity", ylim=(-0.03, max(0.1, 1.15 * float(ambiguity.max()))))
    axis.ticklabel_format(axis="x", useOffset=False)
    axis.locator_params(axis="x", nbins=5)
    legend(axis, loc="upper right")
    title(axis, method)
    return figure


def _correlation_text(name: str, correlation: Mapping[str, float | None]) -> str:
    value, low, high = correlation[name], correlation[f"{name}_low"], correlation[f"{name}_high"]
    if value is None:
        return ""
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return f"{name.capitalize()} {value:.2f}{interval}".replace("-", "−")
