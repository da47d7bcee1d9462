"""Figures of pruned networks: what remains of them, and where the parameters are that were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    TEXT,
    band,
    legend,
    line_look,
    log_axis,
    look,
    new_figure,
    note,
    number,
    points_axis,
    row_names,
    side_column,
    title,
)

if TYPE_CHECKING:
    import pandas as pd

PANELS = {  # titles and axes
    "accuracy": ("Labels that are right", "accuracy"),
    "agreement": ("Agreement with the whole network", "share of the same labels"),
    "kl": ("Divergence from the whole network", "Kullback-Leibler divergence (nats)"),
}
HATCHES = ("", "////", "....", "xxxx")


def curves(summary: pd.DataFrame, splits: int, at: float) -> Figure:
    """Draw the measures of pruned networks against the share of the parameters that is kept. Methods with the same
    curves share a line, and its name in the legend.

    Args:
        summary: columns method, scope (one value), kept, accuracy, agreement and kl with their standard deviations
            (accuracy_std, ...) over splits of the examples, whole, the accuracy of the whole network, and evaluated,
            the number of evaluation examples of a split.
        splits: their number.
        at: the share at which the claims are made.
    """
    figure, axes = new_figure(panels=3, width=3.1, height=3.2)
    methods = _without_copies(summary)
    for axis, (measure, (heading, name)) in zip(axes, PANELS.items(), strict=True):
        for place, (method, label) in enumerate(methods.items()):
            rows = summary[summary["method"] == method].sort_values("kept")
            values, spread = rows[measure].to_numpy(), rows[f"{measure}_std"].to_numpy()
            highest = np.inf if measure == "kl" else 1
            low, high = np.maximum(values - spread, 0), np.minimum(values + spread, highest)
            band(axis, 100 * rows["kept"], low, high, place)
            axis.plot(100 * rows["kept"], values, label=label, **line_look(place, len(rows)))
        axis.set(xlabel="parameters kept (%)", ylabel=name)
        if summary["kept"].max() > 10 * summary["kept"].min():
            log_axis(axis, "x")
        else:
            points_axis(axis, "x", 100 * summary["kept"])
        if measure != "kl":
            axis.set_ylim(-0.03, 1.03)
        else:
            points_axis(axis, "y", [0, *summary["kl"]])
            axis.set_ylim(bottom=0)
        axis.axvline(100 * at, color=INK, linewidth=0.6, linestyle=":", zorder=0)
        title(axis, heading)
    axes[0].axhline(summary["whole"].iloc[0], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    note(axes[0], "dashed: the whole network")
    note(axes[1], f"dotted: {number(100 * at)} %, where claims are made")
    note(axes[2], f"mean ± std of {splits} splits, n = {summary['evaluated'].iloc[0]:,} each")
    ranked = "among all" if summary["scope"].iloc[0] == "global" else "within each tensor"
    figure.suptitle(f"Parameters ranked {ranked}", fontsize=TEXT + 1, color=INK)
    handles, labels = axes[0].get_legend_handles_labels()  # all lines end at one point, where names have no room
    legend(figure, handles=handles, labels=labels, loc="outside lower center", ncols=min(8, len(labels)))
    return figure


def _without_copies(summary: pd.DataFrame) -> dict[str, str]:
    """Return the methods with different curves, each with the names of all methods that have the same one."""
    names: dict[str, str] = {}
    curves = {method: rows.sort_values("kept")[list(PANELS)] for method, rows in summary.groupby("method")}
    for method in dict.fromkeys(summary["method"]):
        same = (first for first in names if np.array_equal(curves[first], curves[method]))
        if (first := next(same, None)) is None:
            names[method] = method
        else:
            names[first] += f" = {method}"
    return names


def composition(tensors: pd.DataFrame, at: float, shown: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)) -> Figure:
    """Draw in which components the kept parameters are, by measure of importance, and by share kept.

    Args:
        tensors: columns method, kept, component, exempt, size and parameters; exempt tensors are left out.
        at: the share kept in the first panel.
        shown: shares kept in the second panel, of those that were measured.
    """
    exempt = sorted(set(tensors.loc[tensors["exempt"], "component"]))
    tensors = tensors[~tensors["exempt"]]
    components = list(dict.fromkeys(tensors["component"]))
    methods = list(dict.fromkeys(tensors["method"]))
    of = lambda rows, column: rows.groupby("component")[column].sum().reindex(components, fill_value=0.0)  # noqa: E731
    here = tensors[np.isclose(tensors["kept"], at)]
    whole = of(here[here["method"] == methods[0]], "size")
    by_method = {method: of(here[here["method"] == method], "parameters") for method in methods}
    first = methods[0]
    near = [share for share in sorted(set(tensors["kept"])) if np.isclose(share, shown).any()]
    by_share = {
        f"{number(100 * share)} %": of(tensors[(tensors["method"] == first) & (tensors["kept"] == share)], "parameters")
        for share in near
    }
    panels = [(f"Kept at {number(100 * at)} %", by_method), (f"Kept by {first}", by_share)]
    panels = [panel for panel in panels if panel[1]]
    rows = 1 + max(len(bars) for _, bars in panels)
    figure, axes = new_figure(panels=len(panels), width=4.0, height=1.3 + 0.24 * rows)
    for axis, (heading, bars) in zip(axes, panels, strict=True):
        bars = {"whole network": whole, **bars}
        left = np.zeros(len(bars))
        for place, component in enumerate(components):
            shares = np.array([100 * counts[component] / max(counts.sum(), 1e-300) for counts in bars.values()])
            hatch = HATCHES[place // 8 % len(HATCHES)]
            fill = {"color": look(place)["color"], "hatch": hatch, "edgecolor": "white", "linewidth": 0.4}
            axis.barh(range(len(bars)), shares, left=left, height=0.75, label=component, **fill)
            left += shares
        row_names(axis, list(bars))
        side_column(axis, "parameters", [f"{round(counts.sum()):,}" for counts in bars.values()])
        axis.set(xlabel="share of the kept parameters (%)", xlim=(0, 100))
        if exempt:
            note(axis, f"without {', '.join(exempt)}, which is never pruned")
        title(axis, heading)
    handles, labels = axes[0].get_legend_handles_labels()
    legend(figure, handles=handles, labels=labels, loc="outside lower center", ncols=min(6, len(labels)))
    return figure
