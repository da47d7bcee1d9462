"""Figures of attribution: influences, masses, terms of the decomposition, and the examples of largest influence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from mechlab.plotting.style import (
    COLOURS,
    INK,
    MANY,
    STEPS,
    TEXT,
    direct_labels,
    legend,
    line_look,
    log_axis,
    look,
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
WORDS = {  # what a map shows: its title, and the name of its colours
    "influence": ("Influence of training examples", "influence on the explained output"),
    "derivative": ("Derivatives in the weights of training examples", "derivative of the explained output"),
}
NAMES = {"label": "label", "sum": "sum of tokens"}
ORDER = "order of drawing"


def influence_map(
    influence: np.ndarray,
    train: np.ndarray,
    explained: np.ndarray,
    sort: str,
    count: int | None = None,
    what: Literal["influence", "derivative"] = "influence",
) -> Figure:
    """Draw the influences (X, N) of training examples on explained ones, both sorted by the numbers that go with them.

    Args:
        train: (N,) label or sum of tokens of each training example.
        explained: (X,) that of each explained example; of another length where the scalars belong to no example.
        sort: what the numbers are.
        count: number of explained examples; X by default.
        what: the values are.
    """
    values, examples = influence[:, np.argsort(train, kind="stable")], influence.shape[1]
    each, count = len(values) == len(explained), len(explained) if count is None else count
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
    elif len(values) == 1:
        axis.set(yticks=[], ylabel="all explained examples")
    else:
        axis.set(ylabel="explained scalar")
        whole_numbers(axis, "y")
    clipped = sizes.max(initial=0) > limit
    bar = figure.colorbar(image, ax=axis, shrink=0.9, extend="both" if clipped else "neither")
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    bar.set_label(WORDS[what][1], size=TEXT, color=INK)
    points_axis(bar.ax, "y", [-limit, limit / 3, limit])
    summed = f", neighbours summed to {COLUMNS:,} columns" if examples > COLUMNS else ""
    share = 100 * (sizes > limit).mean() if clipped else 0.0
    beyond = f"; {share:.2g} % lie beyond the ends of the colours, up to {number(sizes.max())}" if clipped else ""
    note(axis, f"n = {examples:,} training × {count:,} explained examples{summed}{beyond}")
    title(axis, WORDS[what][0])
    return figure


def mass_over_steps(mass: pd.DataFrame) -> Figure:
    """Draw the sum of absolute scores of each component at each step, for data and for decay.

    Args:
        mass: columns step, `data:COMPONENT` and `decay:COMPONENT`, a row for each step; lines that are zero are left
            out.
    """
    columns = {line: [name for name in mass.columns if name.startswith(f"{line}:")] for line in ("data", "decay")}
    lines = [line for line, names in columns.items() if line == "data" or mass[names].to_numpy().any()]
    figure, axes = new_figure(panels=len(lines), width=3.6, height=3.0)
    width = max(1, len(mass) // 200)  # neighbouring steps are averaged
    for axis, line in zip(axes, lines, strict=True):
        for place, column in enumerate(columns[line]):
            values = mass[column].rolling(width, min_periods=1, center=True).mean()
            options = line_look(place, len(mass)) | {"linewidth": 0.9, "markersize": 2.5}
            axis.plot(mass["step"], values, label=column.partition(":")[2], **options)
        axis.set(xlabel=STEPS, ylabel="sum of absolute scores")
        _size_axis(axis, mass[columns[line]].to_numpy())
        points_axis(axis, "x", mass["step"])
        if width > 1:
            note(axis, f"means of {width} neighbouring steps")
        title(axis, f"Mass of {line} by component")
        direct_labels(axis)
    return figure


def terms_with_signs(steps: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """Draw the sums of data and decay up to each step, their sizes along it, and the terms of the decomposition with
    their signs.

    Args:
        steps: columns step, and data, decay and change with `_sum`, and data and decay with `_mass`.
        lines: columns term, sum and size: a row for the movement and for each term; means over explained scalars.
    """
    figure, (sums, over, total) = new_figure(panels=3, width=3.3, height=3.0)
    names = {"movement": "change", "data": "data", "decay": "decay"}
    for place, (label, column) in enumerate(names.items()):
        look = line_look(place, len(steps)) | ({"color": INK} if label == "movement" else {})
        sums.plot(steps["step"], steps[f"{column}_sum"].cumsum(), label=label, **look)
    sums.axhline(0, color=INK, linewidth=0.5)
    sums.set(xlabel=STEPS, ylabel="sum up to the step")
    points_axis(sums, "x", steps["step"])
    note(sums, "data: at the step of the gradient")
    title(sums, "Terms with their signs")
    direct_labels(sums)

    zero = [name for name in ("data", "decay") if not steps[f"{name}_mass"].to_numpy().any()]
    for place, name in enumerate(("data", "decay"), 1):
        if name not in zero:
            over.plot(steps["step"], steps[f"{name}_mass"], label=name, **line_look(place, len(steps)))
    over.set(xlabel=STEPS, ylabel="sum of absolute scores")
    _size_axis(over, steps[["data_mass", "decay_mass"]].to_numpy())
    points_axis(over, "x", steps["step"])
    if len(zero) == 2:
        no_value(over, "0 at every step")
    elif zero:
        note(over, f"{zero[0]}: 0 at every step")
    title(over, "Data against decay")

    colours = [COLOURS[0] if value >= 0 else COLOURS[3] for value in lines["sum"]]
    total.barh(range(len(lines)), lines["sum"], color=colours, height=0.6)
    total.axvline(0, color=INK, linewidth=0.5)
    total.set(xlabel="mean over the explained scalars")
    points_axis(total, "x", [0, *lines["sum"]])
    row_names(total, list(lines["term"]))
    side_column(total, "sum", [number(value) for value in lines["sum"]])
    side_column(total, "mean size", [number(size) for size in lines["size"]], indent=56)
    title(total, "Terms of the decomposition")
    direct_labels(over)
    return figure


def statistics_over_steps(steps: pd.DataFrame) -> Figure:
    """Draw each statistic of the steps against the step, in pairs.

    Args:
        steps: columns step, change, predicted, data and decay with `_sum`, `_mass` and `_norm`, and `single` and
            `running` with `_mean` and `_max`.
    """
    panels = {
        "Change of the outputs": {"true, mean size": "change", "predicted, mean size": "predicted"},
        "Terms of the step": {"data": "data_sum", "decay": "decay_sum"},
        "Scores of parameters, sum of sizes": {"data": "data_mass", "decay": "decay_mass"},
        "Scores of parameters, norm": {"data": "data_norm", "decay": "decay_norm"},
        "Deviation along the step alone": {"largest": "single_max", "mean": "single_mean"},
        "Deviation up to the step": {"largest": "running_max", "mean": "running_mean"},
    }
    figure, axes = new_figure(panels=3, width=3.0, height=5.2, rows=2)
    below = ScaledTranslation(0, -32 / 72, figure.dpi_scale_trans)  # below the name of the x-axis
    for axis, (name, columns) in zip(axes, panels.items(), strict=True):
        for place, (label, column) in enumerate(columns.items()):
            marks = {"s": (18, 4)[place], "linewidths": 0, "alpha": (0.4, 0.9)[place], "rasterized": len(steps) > MANY}
            axis.scatter(steps["step"], steps[column], label=label, **marks, **look(place))
        axis.set(xlabel=STEPS)
        if name.startswith("Terms"):
            axis.axhline(0, color=INK, linewidth=0.5)
            points_axis(axis, "y", steps[list(columns.values())].to_numpy().ravel())
        else:
            _size_axis(axis, steps[list(columns.values())].to_numpy())
        points_axis(axis, "x", steps["step"])
        title(axis, name)
        place = {"bbox_to_anchor": (0, 0), "bbox_transform": axis.transAxes + below, "borderaxespad": 0}
        legend(axis, loc="upper left", ncols=2, **place)
    return figure


def top_examples(examples: pd.DataFrame, shown: int = 4, what: str = "influence") -> Figure:
    """Draw the most helpful and harmful training examples of the first explained ones.

    Args:
        examples: columns explained, kind, train, influence and maybe input; see `top_examples` in
            `analyses.attribution.explained_examples`.
        shown: explained examples that get a panel.
        what: name of the values.
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
        axis.set(xlabel=what)
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
    """Mark sorted examples by their values: each value in the middle of its examples, or round values of many."""
    kinds, first, count = np.unique(values, return_index=True, return_counts=True)
    side = axis.xaxis if along == "x" else axis.yaxis
    shown = kinds
    if len(kinds) > LABELS:
        shown = MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True).tick_values(kinds[0], kinds[-1])
        shown = shown[(shown >= kinds[0]) & (shown <= kinds[-1])]
    side.set_ticks(np.interp(shown, kinds, first + (count - 1) / 2), [number(value) for value in shown])


def _size_axis(axis: Axes, values: np.ndarray) -> None:
    """Make the y-axis of sizes logarithmic where all that is drawn is positive and of different sizes."""
    drawn = values[:, values.any(0)]
    if drawn.size and drawn.min() > 0 and drawn.max() > 3 * drawn.min():
        log_axis(axis, "y")
    else:
        points_axis(axis, "y", values.ravel())
