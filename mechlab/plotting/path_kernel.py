"""Figures of attribution: influences of training examples, and the examples of largest influence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mechlab.plotting.style import (
    COLOURS,
    INK,
    MANY,
    TEXT,
    legend,
    new_figure,
    note,
    number,
    points_axis,
    row_names,
    title,
    whole_numbers,
)
from mechlab.plotting.text import wrapped

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 1500  # training examples beyond which a heat map sums neighbours
LABELS = 12  # different labels or sums that get a tick each
CLIPPED = 0.99  # quantile of the absolute values at which colours end
WORDS = {  # what is shown: its title, and its name before that of the scalar
    "influence": ("Influence of training examples", "influence on"),
    "derivative": ("Derivatives in the weights of training examples", "derivative of"),
}
NAMES = {"label": "label", "sum": "sum of tokens"}
ORDER = "order of drawing"
OUTPUT = "the explained output"


def influence_map(
    influence: np.ndarray,
    train: np.ndarray,
    explained: np.ndarray,
    sort: str,
    count: int | None = None,
    what: Literal["influence", "derivative"] = "influence",
    scalar: str = "",
) -> Figure:
    """Draw the influences (X, N) of training examples on explained ones, both sorted by the numbers that go with them;
    those on a single scalar as vertical lines.

    Args:
        train: (N,) label or sum of tokens of each training example.
        explained: (X,) that of each explained example; of another length where the scalars belong to no example.
        sort: what the numbers are.
        count: number of explained examples; X by default.
        what: the values are.
        scalar: name and unit of what is explained, such as "mean loss (nats)".
    """
    values, examples = influence[:, np.argsort(train, kind="stable")], influence.shape[1]
    each, count = len(values) == len(explained), len(explained) if count is None else count
    if each:
        values = values[np.argsort(explained, kind="stable")]
    if values.shape[1] > COLUMNS:
        edges = np.linspace(0, values.shape[1], COLUMNS + 1).astype(int)[:-1]
        values = np.add.reduceat(values, edges, axis=1)
    figure, (axis,) = new_figure(width=6.4, height=2.6 if len(values) == 1 else 3.2)
    drawn = np.array_equal(train, np.arange(examples)) and examples > 1  # without end: they have no label of their own
    name = NAMES.get(sort, sort)
    axis.set(xlabel=f"training examples, by {ORDER if drawn else name}", ylabel=f"explained examples, by {name}")
    summed = f", neighbours summed to {COLUMNS:,} columns" if examples > COLUMNS else ""
    if len(values) == 1:
        _draw_lines(axis, values[0], examples)
        axis.set_ylabel(f"{WORDS[what][1]} {scalar or OUTPUT}")
        points_axis(axis, "y", [0, *values[0]])
        over = f"{scalar.partition(' (')[0] or OUTPUT} over {count:,} explained examples"
        note(axis, f"n = {examples:,} training examples{summed}; {over if count > 1 else 'one explained example'}")
    else:
        clipped = _draw_map(axis, values, examples, f"{WORDS[what][1]} {scalar or OUTPUT}")
        if each:
            _sorted_axis(axis, "y", np.sort(explained))
        else:
            axis.set(ylabel="explained scalar")
            whole_numbers(axis, "y")
        note(axis, f"n = {examples:,} training × {count:,} explained examples{summed}{clipped}")
    _sorted_axis(axis, "x", np.sort(train))
    title(axis, WORDS[what][0])
    return figure


def _draw_lines(axis: Axes, values: np.ndarray, examples: int) -> None:
    """Draw the influences on one scalar as vertical lines over so many examples."""
    ends = np.linspace(-0.5, examples - 0.5, len(values) + 1)
    places = (ends[:-1] + ends[1:]) / 2
    colours = [COLOURS[3] if value > 0 else COLOURS[0] for value in values]
    axis.vlines(places, 0, values, colors=colours, linewidth=0.8, rasterized=len(values) > MANY)
    axis.axhline(0, color=INK, linewidth=0.5)
    axis.set_xlim(-0.5, examples - 0.5)


def _draw_map(axis: Axes, values: np.ndarray, examples: int, name: str) -> str:
    """Draw influences as a heat map, and return words about those beyond the ends of the colours."""
    sizes = np.abs(values[np.isfinite(values)])
    limit = (np.quantile(sizes, CLIPPED) if sizes.size else 0.0) or 1.0
    place = (-0.5, examples - 0.5, len(values) - 0.5, -0.5)
    options = {"aspect": "auto", "interpolation": "nearest", "extent": place}
    image = axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, **options)
    clipped = sizes.max(initial=0) > limit
    bar = axis.figure.colorbar(image, ax=axis, shrink=0.9, extend="both" if clipped else "neither")
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    bar.set_label(wrapped(name, 150, TEXT), size=TEXT, color=INK)
    points_axis(bar.ax, "y", [-limit, limit / 3, limit])
    share = 100 * (sizes > limit).mean() if clipped else 0.0
    return f"; {share:.2g} % lie beyond the ends of the colours, up to {number(sizes.max())}" if clipped else ""


def top_examples(
    examples: pd.DataFrame, shown: int = 4, what: Literal["influence", "derivative"] = "influence", scalar: str = ""
) -> Figure:
    """Draw the most helpful and harmful training examples of the first explained ones.

    Args:
        examples: columns explained, kind, train, influence and maybe input; see `top_examples` in
            `analyses.attribution.tables`.
        shown: explained examples that get a panel.
        what: the values are.
        scalar: name and unit of what is explained, such as "mean loss (nats)".
    """
    chosen = list(dict.fromkeys(examples["explained"]))[:shown]
    tables = [examples[examples["explained"] == example].drop_duplicates("train") for example in chosen]
    height = max(2.2, 1.2 + 0.135 * max(map(len, tables), default=0))
    panels = max(1, len(chosen))
    width = max(1.9, 3.2 / panels)
    figure, axes = new_figure(panels=panels, width=width, height=height)
    headings = []
    for axis, example, table in zip(axes, chosen, tables, strict=False):
        rows = table.sort_values("influence")[::-1]
        colours = [COLOURS[0] if kind == "helpful" else COLOURS[3] for kind in rows["kind"]]
        axis.barh(range(len(rows)), rows["influence"], color=colours)
        axis.axvline(0, color=INK, linewidth=0.5)
        row_names(axis, [_name(row) for row in rows.to_dict("records")], longest=28)
        axis.tick_params(axis="y", labelsize=TEXT - 2)
        axis.set(xlabel=wrapped(f"{WORDS[what][1]} {scalar or OUTPUT}", 72 * width - 24, TEXT))
        points_axis(axis, "x", [0, *rows["influence"]])
        whole = example if isinstance(example, str) else None
        if whole is None and example < 0:  # one scalar of all explained examples
            whole = f"{WORDS[what][1].capitalize()} {scalar.partition(' (')[0] or OUTPUT}"
        headings.append(whole or f"Explained example {example}")
    for axis, heading in zip(axes, headings, strict=False):  # the names of all rows have made the figure wider
        title(axis, heading)
    axes[0].set_ylabel("training example: input" if "input" in examples else "training example")
    means = examples.groupby("kind")["influence"].mean()
    verbs = ("raises", "lowers") if means.get("helpful", 0.0) >= means.get("harmful", 0.0) else ("lowers", "raises")
    kinds = {"helpful": COLOURS[0], "harmful": COLOURS[3]}
    named = zip(kinds.items(), verbs, strict=True)
    handles = [Patch(color=colour, label=f"{kind}: {verb} it") for (kind, colour), verb in named]
    legend(figure, handles=handles, loc="outside lower center", ncols=2)
    return figure


def scalar_of(examples: pd.DataFrame) -> str:
    """Return the name and unit of what is explained, from the column scalar of a table of examples; "" without it."""
    return str(examples["scalar"].iloc[0]) if "scalar" in examples and len(examples) else ""


def _name(row: dict[str, object]) -> str:
    """Return how a training example is called on an axis."""
    text = row.get("input")
    return f"{row['train']}: {text}" if isinstance(text, str) and text else str(row["train"])


def _sorted_axis(axis: Axes, along: str, values: np.ndarray) -> None:
    """Mark sorted examples by their values: each value in the middle of its examples, or round values of many."""
    kinds, first, count = np.unique(values, return_index=True, return_counts=True)
    side = axis.xaxis if along == "x" else axis.yaxis
    shown = kinds
    if len(kinds) > LABELS:
        shown = MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True).tick_values(kinds[0], kinds[-1])
        shown = shown[(shown >= kinds[0]) & (shown <= kinds[-1])]
    side.set_ticks(np.interp(shown, kinds, first + (count - 1) / 2), [number(value) for value in shown])
