"""Figures of periods in the similarities of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    STEPS,
    TEXT,
    direct_labels,
    legend,
    line_look,
    look,
    new_figure,
    note,
    number,
    points_axis,
    row_names,
    title,
)

if TYPE_CHECKING:
    import pandas as pd

FAMILIES = {"p / k": "Periods p / k", "whole": "Whole periods"}
NAMED = 4  # strongest periods that are named


def amplitudes(periods: pd.DataFrame, component: str) -> Figure:
    """Draw the amplitude of each period, by frequency k for the periods p / k, with what chance gives.

    Args:
        periods: columns family, period, amplitude and null.
        component: whose scores were fitted.
    """
    figure, axes = new_figure(panels=2, width=3.6, height=2.8)
    for axis, (family, heading) in zip(axes, FAMILIES.items(), strict=True):
        rows = periods[periods["family"] == family].reset_index(drop=True)
        x = rows.index + 1 if family == "p / k" else rows["period"]
        null = rows["null"].iloc[0]
        axis.vlines(x, 0, rows["amplitude"], color=COLOURS[0], linewidth=1.2)
        axis.plot(x, rows["amplitude"], "o", color=COLOURS[0], markersize=2.5)
        axis.axhline(null, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
        top = max(rows["amplitude"].max(), null) * 1.18 or 1.0
        axis.set(xlabel="frequency k" if family == "p / k" else "period", ylabel="amplitude", ylim=(0, top))
        strongest = rows[rows["amplitude"] > null].nlargest(NAMED, "amplitude")
        for place, height in zip(strongest.index, strongest["amplitude"], strict=True):
            text = f"{x[place]:g}"
            axis.annotate(text, (x[place], height), (0, 3), textcoords="offset points", ha="center", fontsize=TEXT - 2)
        points_axis(axis, "x", list(x))
        points_axis(axis, "y", [0, top])
        note(axis, "dashed: 95 % limit of chance")
        title(axis, f"{heading}, {component}")
    return figure


def by_difference(differences: pd.DataFrame, component: str) -> Figure:
    """Draw the mean cosine of pairs against the difference of their sums, with both fits.

    Args:
        differences: columns difference, pairs, cosine, harmonic and whole.
        component: whose scores were compared.
    """
    figure, (axis,) = new_figure(width=6.4, height=2.8)
    rows = differences.sort_values("difference")
    size = 4 + 20 * rows["pairs"] / rows["pairs"].max()
    axis.scatter(rows["difference"], rows["cosine"], s=size, color=INK, alpha=0.6, linewidths=0, label="mean of pairs")
    for place, (name, label) in enumerate(
        {"harmonic": "fit of periods p / k", "whole": "fit of whole periods"}.items()
    ):
        options = {"linewidth": 1.1, "zorder": 1, "color": look(place)["color"]}
        axis.plot(rows["difference"], rows[name], label=label, **options)
    axis.set(xlabel="difference of the sums of two examples", ylabel="mean cosine of scores")
    points_axis(axis, "x", rows["difference"])
    points_axis(axis, "y", rows["cosine"])
    note(axis, f"n = {rows['pairs'].sum():,} pairs; larger points have more")
    title(axis, f"Similarity and the difference of sums, {component}")
    legend(figure, loc="outside lower center", ncols=3)
    return figure


def explained_shares(components: pd.DataFrame) -> Figure:
    """Draw the share of the variance of the cosines that each family of periods explains, for scores and activations.

    Args:
        components: columns kind, name, frequency, harmonic, whole and harmonic_null.
    """
    kinds = list(dict.fromkeys(components["kind"]))
    height = 0.9 + 0.2 * components.groupby("kind").size().max()
    figure, axes = new_figure(width=2.8, height=0.3 + height * len(kinds), rows=len(kinds))
    for axis, kind in zip(axes, kinds, strict=True):
        rows = components[components["kind"] == kind].reset_index(drop=True)
        axis.hlines(rows.index, 0, 1, transform=axis.get_yaxis_transform(), color=FAINT, linewidth=0.5, zorder=0)
        for place, family in enumerate(("harmonic", "whole")):
            style = {"markersize": 4.5, "linestyle": "", "markerfacecolor": (None, "none")[place], **look(place)}
            label = "periods p / k" if family == "harmonic" else "whole periods"
            axis.plot(np.clip(rows[family], 0, None), rows.index, label=label if kind == kinds[0] else None, **style)
        if kind != "activations":
            null = rows["harmonic_null"].iloc[0]
            axis.axvline(null, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        largest = max(0.05, components[["harmonic", "whole"]].to_numpy().max())
        axis.set(xlabel="share of variance explained", xlim=(-0.03 * largest, 1.06 * largest))
        points_axis(axis, "x", [0, largest])
        row_names(axis, [_with_frequency(row) for row in rows.to_dict("records")])
        title(axis, kind[0].upper() + kind[1:])
    note(axes[0], "dashed: chance of any component; k: strongest frequency")
    legend(figure, loc="outside lower center", ncols=2)
    return figure


def over_training(slices: pd.DataFrame) -> Figure:
    """Draw the share of the variance that the periods p / k explain in slices of training, for each component.

    Args:
        slices: columns first, stop, name, explained and null.
    """
    figure, (axis,) = new_figure(width=5.0, height=3.2)
    for place, (name, rows) in enumerate(slices.groupby("name", sort=False)):
        axis.plot((rows["first"] + rows["stop"]) / 2, rows["explained"].clip(lower=0), label=name, **line_look(place))
    axis.axhline(slices["null"].iloc[0], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axis.set(xlabel=STEPS, ylabel="share of variance explained")
    points_axis(axis, "x", [slices["first"].min(), slices["stop"].max()])
    points_axis(axis, "y", [0, *slices["explained"].fillna(0)])
    note(axis, f"scores of {slices['first'].nunique()} slices of training; dashed: chance, in the whole training")
    title(axis, "Periods p / k over training")
    direct_labels(axis)
    return figure


def _with_frequency(row: dict[str, object]) -> str:
    """Return a component's name with its strongest frequency."""
    return f"{row['name']} (k = {row['frequency']})" if row["frequency"] else str(row["name"])


def in_the_plane(examples: pd.DataFrame) -> Figure:
    """Draw the examples in the plane of their first two principal components, coloured by the sum in the strongest
    period.

    Args:
        examples: columns component, period, phase, x, y, x_share and y_share.
    """
    figure, (axis,) = new_figure(width=3.9, height=3.2)
    edge = {"linewidths": 0.3, "edgecolors": INK}  # the lightest colours of the circle are nearly white
    scale = {"c": examples["phase"], "cmap": "twilight", "vmin": 0, "vmax": 1}
    drawn = axis.scatter(examples["x"], examples["y"], s=14, **scale, **edge)
    shares = examples[["x_share", "y_share"]].iloc[0]
    for along, share in zip(("x", "y"), shares, strict=True):
        points_axis(axis, along, examples[along])
        axis.set(**{f"{along}label": f"principal component {'xy'.index(along) + 1} ({number(100 * share)} %)"})
    bar = figure.colorbar(drawn, ax=axis, shrink=0.9)
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    bar.set_label(f"sum / {number(examples['period'].iloc[0])}, fractional part", size=TEXT, color=INK)
    title(axis, f"Scores of {examples['component'].iloc[0]}")
    return figure
