"""Figures of the similarity of examples by component: what it follows, over training, in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.kernel_matrices import matrix_panels
from mechlab.plotting.style import (
    FAINT,
    INK,
    SOFT,
    STEPS,
    TEXT,
    direct_labels,
    interval,
    legend,
    line_look,
    look,
    new_figure,
    no_value,
    note,
    points_axis,
    row_names,
    title,
    whole_numbers,
)
from mechlab.plotting.text import number, text_width, wrapped

if TYPE_CHECKING:
    import pandas as pd

KEYS = {"label": "Same label", "sum": "Same sum of tokens", "token": "A token in common"}
AREA = "area under ROC curve"
AXES = {"scaling": "PC", "tsne": "t-SNE axis"}
CYCLIC = "twilight"


def separation(keys: pd.DataFrame) -> Figure:
    """Draw how well the cosines of each component separate pairs of examples with a key in common from others.

    Args:
        keys: columns component, key, auc, low, high, chance and first_step.
    """
    shown = [key for key in KEYS if (keys["key"] == key).any()] if len(keys) else []
    components = list(dict.fromkeys(keys["component"])) if len(keys) else []
    height = max(2.0, 1.1 + 0.22 * len(components))
    figure, axes = new_figure(panels=max(1, len(shown)), width=2.6, height=height)
    values = np.array([0.5, *keys[["auc", "low", "high", "first_step", "chance"]].to_numpy(float).ravel()])
    for axis, key in zip(axes, shown, strict=False):
        rows = keys[keys["key"] == key].set_index("component").reindex(components)
        places = np.arange(len(rows))
        axis.axvline(0.5, color=INK, linewidth=0.5, zorder=0)
        interval(axis, places, rows["low"], rows["high"], 0, along="x")
        axis.plot(rows["auc"], places, "o", color=look(0)["color"], markersize=5, label="whole training")
        axis.plot(rows["first_step"], places, "D", color=look(3)["color"], markersize=4, label="first step alone")
        axis.plot(rows["chance"], places, "|", color=INK, markersize=8, label="chance, 95 %")
        points_axis(axis, "x", values)
        axis.set_xlim(*_with_room(values))
        axis.set(xlabel=AREA)
        axis.set_yticks(places, [""] * len(rows))
        axis.set_ylim(len(rows) - 0.4, -0.6)
        note(axis, f"{int(rows['pairs'].max()):,} of {int((rows['pairs'] + rows['others']).max()):,} pairs")
        title(axis, KEYS[key])
    if shown:
        row_names(axes[0], components)
        handles, names = axes[0].get_legend_handles_labels()
        legend(figure, handles=handles, labels=names, loc="outside lower center", ncols=3)
    else:
        no_value(axes[0], "examples have nothing in common")
    return figure


def over_training(slices: pd.DataFrame) -> Figure:
    """Draw the areas of slices of training at their middle step.

    Args:
        slices: columns first, stop, component, key and auc.
    """
    shown = [key for key in KEYS if (slices["key"] == key).any()] if len(slices) else []
    figure, axes = new_figure(panels=max(1, len(shown)), width=3.0, height=2.8)
    values = np.array([0.5, *slices["auc"]])
    for axis, key in zip(axes, shown, strict=False):
        rows = slices[slices["key"] == key]
        axis.axhline(0.5, color=INK, linewidth=0.5, zorder=0)
        for place, component in enumerate(dict.fromkeys(rows["component"])):
            line = rows[rows["component"] == component]
            middle = (line["first"] + line["stop"]) / 2
            axis.plot(middle, line["auc"], label=component, **line_look(place, len(line)))
        axis.set(xlabel=STEPS, ylabel=AREA if axis is axes[0] else "")
        points_axis(axis, "x", [rows["first"].min(), rows["stop"].max()])
        points_axis(axis, "y", values)
        axis.set_ylim(*_with_room(values))
        note(axis, f"slices of {int((rows['stop'] - rows['first']).max()):,} steps; line: 0.5, no separation")
        title(axis, KEYS[key])
    if shown:
        direct_labels(axes[-1])
    else:
        no_value(axes[0], "examples have nothing in common")
    return figure


def _with_room(values: np.ndarray) -> tuple[float, float]:
    """Return the ends of an axis for values, of which some are known."""
    low, high = np.nanmin(values), np.nanmax(values)
    room = 0.04 * max(high - low, 0.1)
    return low - room, high + room


def in_the_plane(points: pd.DataFrame, method: Literal["scaling", "tsne"]) -> Figure:
    """Draw the examples of each component in the plane, coloured by label.

    Args:
        points: columns component, split, label, x, y and x_share, y_share; and maybe modulus, where labels are residues
            modulo that number, whose colours form a circle.
        method: how they were placed.
    """
    components = list(dict.fromkeys(points["component"]))
    across = min(len(components), 3 if len(components) <= 6 else 4)
    lines = math.ceil(len(components) / across)
    figure, axes = new_figure(panels=across, width=2.1, height=2.4 * lines, rows=lines)
    labelled, drawn = points["label"].notna().any(), None
    training = points["split"].nunique() > 1
    modulus = points["modulus"].iloc[0] if "modulus" in points else np.nan
    cyclic = np.isfinite(modulus)
    span = (0, modulus) if cyclic else (points["label"].min(), points["label"].max())
    for axis, component in zip(axes, components, strict=False):
        rows = points[(points["component"] == component) & points["x"].notna()]
        axis.set(xticks=[], yticks=[])
        if not len(rows):
            no_value(axis, "all scores are 0")
        for split, marker in (("train", "s"), (None, "o")) if training else ((None, "o"),):
            some = rows[(rows["split"] == "train") == (split == "train")] if training else rows
            colours = {"c": some["label"], "cmap": CYCLIC if cyclic else "viridis"} if labelled else {}
            colours = colours or {"color": look(0)["color"]}
            ends = {"vmin": span[0], "vmax": span[1]} if labelled else {}
            edge = {"linewidths": 0.3, "edgecolors": INK} if cyclic else {"linewidths": 0}
            drawn = axis.scatter(some["x"], some["y"], s=11, marker=marker, **edge, **colours, **ends)
        for along in ("x", "y"):
            share = rows[f"{along}_share"].iloc[0] if len(rows) else np.nan
            name = f"{AXES[method]} {'xy'.index(along) + 1}"
            known = f" ({number(100 * share)} % of variance)" if np.isfinite(share) else ""
            axis.set(**{f"{along}label": f"{name}{known}"})
        title(axis, component)
    for axis in axes[len(components) :]:
        axis.set_axis_off()
    if labelled and drawn is not None:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.6)
        bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
        whole_numbers(bar.ax, "y")
        name = f"label, modulo {number(modulus)}" if cyclic else "label"
        bar.set_label(f"{name} (squares: training examples)" if training else name, size=TEXT, color=INK)
    return figure


def cosines_by_slice(table: pd.DataFrame, most: int, examples: Sequence[str], **options: Any) -> Figure:
    """Draw the cosines of slices of training (lines) in components (columns), and name what is left out.

    Args:
        table: columns panel ("SLICE, COMPONENT") and row, and one for each column of the matrices.
        most: slices, and components, that are drawn, at equal distances in their order.
        examples: names of the sorted examples.
        options: of `matrix_panels`.
    """
    parts = [str(panel).partition(", ")[::2] for panel in dict.fromkeys(table["panel"])]
    every = [list(dict.fromkeys(names)) for names in zip(*parts, strict=True)]
    shown = [[names[i] for i in sorted({round(i) for i in np.linspace(0, len(names) - 1, most)})] for names in every]
    panels = [f"{part}, {component}" for part in shown[0] for component in shown[1]]
    drawn = table[table["panel"].isin(panels)]
    figure = matrix_panels(drawn, examples, examples, **options, size=1.6, grid=(shown[0], shown[1]))
    left_out = [name for names, some in zip(every, shown, strict=True) for name in names if name not in some]
    if left_out:
        text = (
            f"Drawn are {len(shown[0])} of {len(every[0])} slices and {len(shown[1])} of {len(every[1])} components; "
        )
        text = wrapped(f"{text}in cosines_by_slice.csv only: {', '.join(left_out)}", 72 * figure.get_figwidth(), TEXT)
        place = {"x": 4.0 / (72 * figure.get_figwidth()), "ha": "left"}
        figure.suptitle(text, fontsize=TEXT - 1, color=SOFT, **place).set_parse_math(False)
    return figure


def between(table: pd.DataFrame) -> Figure:
    """Draw the correlations between the cosines of components as a matrix of numbers.

    Args:
        table: column component, and one for each component.
    """
    names, values = list(table["component"]), table.drop(columns="component").to_numpy(float)
    longest = max(text_width(name, TEXT - 1) for name in names) / 72
    size = 0.36 * len(names)
    figure, (axis,) = new_figure(width=size + 1.4, height=size + 0.6 + longest)
    axis.set_facecolor(FAINT)
    axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(values):
        text, ink = (f"{value:.2f}", "white" if abs(value) > 0.7 else INK) if np.isfinite(value) else ("–", SOFT)
        axis.text(column, row, text, ha="center", va="center", fontsize=TEXT - 2, color=ink)
    axis.set_xticks(range(len(names)), names, rotation=90)
    row_names(axis, names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    for words in axis.get_xticklabels():
        words.set_parse_math(False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    title(axis, "Correlation of cosines")
    return figure
