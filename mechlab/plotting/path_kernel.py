"""Figures of attribution: influences, masses, terms of the decomposition, and the examples of largest influence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    TEXT,
    direct_labels,
    legend,
    line_look,
    log_axis,
    new_figure,
    no_value,
    note,
    number,
    points_axis,
    row_names,
    side_column,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 1500  # training examples beyond which a heat map sums neighbours
LABELS = 12  # different labels or sums that get a tick each
CLIPPED = 0.99  # quantile of the absolute values at which colours end
NAMES = {"label": "label", "sum": "sum of tokens"}
ORDER = "order of drawing"


def influence_map(influence: np.ndarray, train: np.ndarray, explained: np.ndarray, sort: str) -> Figure:
    """Draw the influences (X, N) of training examples on explained ones, both sorted by the numbers that go with them.

    Args:
        train: (N,) label or sum of tokens of each training example.
        explained: (X,) that of each explained example; of no effect where one scalar covers them all.
        sort: what the numbers are.
    """
    values, examples = influence[:, np.argsort(train, kind="stable")], influence.shape[1]
    each = len(values) == len(explained)
    if each:
        values = values[np.argsort(explained, kind="stable")]
    if values.shape[1] > COLUMNS:
        edges = np.linspace(0, values.shape[1], COLUMNS + 1).astype(int)[:-1]
        values = np.add.reduceat(values, edges, axis=1)
    figure, (axis,) = new_figure(width=6.4, height=3.2)
    sizes = np.abs(values[np.isfinite(values)])
    limit = (np.quantile(sizes, CLIPPED) if sizes.size else 0.0) or 1.0
    place = (-0.5, examples - 0.5, len(values) - 0.5, -0.5)
    options = {"aspect": "auto", "interpolation": "nearest", "extent": place}
    image = axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, **options)
    drawn = np.array_equal(train, np.arange(examples)) and examples > 1  # without end: they have no label of their own
    name = NAMES.get(sort, sort)
    axis.set(xlabel=f"training examples, by {ORDER if drawn else name}", ylabel=f"explained examples, by {name}")
    _sorted_axis(axis, "x", np.sort(train))
    if each:
        _sorted_axis(axis, "y", np.sort(explained))
    else:
        axis.set(yticks=[], ylabel="all explained examples")
    clipped = sizes.max(initial=0) > limit
    bar = figure.colorbar(image, ax=axis, shrink=0.9, extend="both" if clipped else "neither")
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    bar.set_label("influence", size=TEXT, color=INK)
    points_axis(bar.ax, "y", [-limit, limit / 3, limit])
    summed = f", neighbours summed to {COLUMNS:,} columns" if examples > COLUMNS else ""
    beyond = f"; colours end at the {100 * CLIPPED:g} % quantile" if clipped else ""
    note(axis, f"n = {examples:,} training × {len(explained):,} explained examples{summed}{beyond}")
    title(axis, "Influence of training examples")
    return figure


def mass_over_steps(mass: pd.DataFrame) -> Figure:
    """Draw the sum of absolute scores of each component at each step, for data and for decay.

    Args:
        mass: columns `data:COMPONENT` and `decay:COMPONENT`, a row for each step; lines that are zero are left out.
    """
    columns = {line: [name for name in mass.columns if name.startswith(f"{line}:")] for line in ("data", "decay")}
    lines = [line for line, names in columns.items() if line == "data" or mass[names].to_numpy().any()]
    figure, axes = new_figure(panels=len(lines), width=3.6, height=3.0)
    width = max(1, len(mass) // 200)  # neighbouring steps are averaged
    for axis, line in zip(axes, lines, strict=True):
        for place, column in enumerate(columns[line]):
            values = mass[column].rolling(width, min_periods=1, center=True).mean()
            options = line_look(place, len(mass)) | {"linewidth": 0.9, "markersize": 2.5}
            axis.plot(mass.index, values, label=column.partition(":")[2], **options)
        axis.set(xlabel="optimiser step", ylabel="mean absolute score")
        _size_axis(axis, mass[columns[line]].to_numpy())
        points_axis(axis, "x", mass.index)
        if width > 1:
            note(axis, f"means of {width} neighbouring steps")
        title(axis, f"Mass of {line} by component")
    direct_labels(axes[-1])
    return figure


def sizes_of_terms(steps: pd.DataFrame, terms: dict[str, np.ndarray], movement: np.ndarray) -> Figure:
    """Draw data against decay over the steps, and the size of each term of the decomposition beside the movement.

    Args:
        steps: columns step, data_mass and decay_mass.
        terms: (X, C) each.
        movement: (X, C) final less initial scalars.
    """
    figure, (over, total) = new_figure(panels=2, width=3.6, height=3.0)
    zero = [name for name in ("data", "decay") if not steps[f"{name}_mass"].to_numpy().any()]
    for place, name in enumerate(("data", "decay")):
        if name not in zero:
            look = line_look(place, len(steps))
            over.plot(steps["step"], steps[f"{name}_mass"], label=name, **look)
    over.set(xlabel="optimiser step", ylabel="mean absolute score")
    _size_axis(over, steps[["data_mass", "decay_mass"]].to_numpy())
    points_axis(over, "x", steps["step"])
    if len(zero) == 2:
        no_value(over, "0 at every step")
    elif zero:
        note(over, f"{zero[0]}: 0 at every step")
    title(over, "Data against decay")

    total.set(xlabel="mean absolute value")
    sizes = {"movement": np.abs(movement).mean(), **{name: np.abs(term).mean() for name, term in terms.items()}}
    positive = [size for size in sizes.values() if size > 0]
    total.hlines(range(len(sizes)), 0, 1, transform=total.get_yaxis_transform(), color=FAINT, linewidth=0.5, zorder=0)
    for place, size in enumerate(sizes.values()):
        if size > 0:
            total.plot(size, place, "o", color=COLOURS[0] if place else INK, markersize=5)
    if positive and max(positive) > 100 * min(positive):
        log_axis(total, "x")
    else:
        points_axis(total, "x", list(sizes.values()))
    row_names(total, list(sizes))
    side_column(total, "size", [number(size) for size in sizes.values()])
    title(total, "Terms of the decomposition")
    direct_labels(over)
    return figure


def top_examples(examples: pd.DataFrame, shown: int = 4) -> Figure:
    """Draw the most helpful and harmful training examples of the first explained ones.

    Args:
        examples: columns explained, kind, train, influence and maybe input; see `top_examples` in
            `analyses.attribution.explained_examples`.
        shown: explained examples that get a panel.
    """
    chosen = list(dict.fromkeys(examples["explained"]))[:shown]
    tables = [examples[examples["explained"] == example].drop_duplicates("train") for example in chosen]
    height = max(2.2, 1.2 + 0.135 * max(map(len, tables), default=0))
    panels = max(1, len(chosen))
    figure, axes = new_figure(panels=panels, width=max(1.9, 3.2 / panels), height=height)
    for axis, example, table in zip(axes, chosen, tables, strict=False):
        rows = table.sort_values("influence")[::-1]
        colours = [COLOURS[0] if kind == "helpful" else COLOURS[3] for kind in rows["kind"]]
        axis.barh(range(len(rows)), rows["influence"], color=colours)
        axis.axvline(0, color=INK, linewidth=0.5)
        row_names(axis, [_name(row) for row in rows.to_dict("records")], longest=28)
        axis.tick_params(axis="y", labelsize=TEXT - 2)
        axis.set(xlabel="influence")
        points_axis(axis, "x", [0, *rows["influence"]])
        whole = example if isinstance(example, str) else "All explained" if example < 0 else None
        title(axis, whole or f"Explained example {example}")
    axes[0].set_ylabel("training example: input" if "input" in examples else "training example")
    kinds = {"helpful": COLOURS[0], "harmful": COLOURS[3]}
    handles = [Patch(color=colour, label=f"{kind} example") for kind, colour in kinds.items()]
    legend(figure, handles=handles, loc="outside lower center", ncols=2)
    return figure


def _name(row: dict[str, object]) -> str:
    """Return how a training example is called on an axis."""
    text = row.get("input")
    return f"{row['train']}: {text}" if isinstance(text, str) and text else str(row["train"])


def _sorted_axis(axis: Axes, along: str, values: np.ndarray) -> None:
    """Mark sorted examples by their values: each value in the middle of its examples, or some values of many."""
    kinds, first, count = np.unique(values, return_index=True, return_counts=True)
    side = axis.xaxis if along == "x" else axis.yaxis
    if len(kinds) <= LABELS and len(kinds) < len(values):
        side.set_ticks(first + (count - 1) / 2, [number(kind) for kind in kinds])
        return
    whole_numbers(axis, along)
    side.set_major_formatter(
        FuncFormatter(lambda place, _: number(values[round(place)]) if 0 <= round(place) < len(values) else "")
    )


def _size_axis(axis: Axes, values: np.ndarray) -> None:
    """Make the y-axis of sizes logarithmic where all that is drawn is positive and of different sizes."""
    drawn = values[:, values.any(0)]
    if drawn.size and drawn.min() > 0 and drawn.max() > 3 * drawn.min():
        log_axis(axis, "y")
    else:
        points_axis(axis, "y", values.ravel())
