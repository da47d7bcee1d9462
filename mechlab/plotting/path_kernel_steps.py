"""Figures of a path-kernel decomposition along training: masses, terms, and statistics of the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from mechlab.plotting.style import (
    COLOURS,
    INK,
    MANY,
    STEPS,
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
)

if TYPE_CHECKING:
    import pandas as pd

TERMS = {  # the same colour in all panels
    "movement": INK,
    "data": COLOURS[1],
    "decay": COLOURS[2],
    "clipping": COLOURS[4],
    "residual": COLOURS[5],
    "arithmetic": COLOURS[6],
    "earlier": COLOURS[0],
    "rest": COLOURS[3],
}


def mass_over_steps(mass: pd.DataFrame, unit: str = "") -> Figure:
    """Draw the sum of absolute scores of each component at each step, for data and for decay.

    Args:
        mass: columns step, `data:COMPONENT` and `decay:COMPONENT`, a row for each step; lines that are zero are left
            out.
        unit: of the scores; empty for none.
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
        axis.set(xlabel=STEPS, ylabel=_with_unit("sum of absolute scores", unit))
        _size_axis(axis, mass[columns[line]].to_numpy())
        points_axis(axis, "x", mass["step"])
        if width > 1:
            note(axis, f"means of {width} neighbouring steps")
        title(axis, f"Mass of {line} by component")
        direct_labels(axis)
    return figure


def terms_with_signs(steps: pd.DataFrame, lines: pd.DataFrame, unit: str = "") -> Figure:
    """Draw the sums of data and decay up to each step, their sizes along it, and the terms of the decomposition with
    their signs.

    Args:
        steps: columns step, and data, decay and change with `_sum`, and data and decay with `_mass`.
        lines: columns term, sum and size: a row for the movement and for each term; means over explained scalars.
        unit: of the explained scalars.
    """
    figure, (sums, over, total) = new_figure(width=4.2, height=7.2, rows=3)
    names, points = {"movement": "change", "data": "data", "decay": "decay"}, len(steps)
    for place, (label, column) in enumerate(names.items()):
        style = line_look(place, points) | {"color": TERMS[label]}
        sums.plot(steps["step"], steps[f"{column}_sum"].cumsum(), label=label, **style)
    sums.axhline(0, color=INK, linewidth=0.5)
    sums.set(xlabel=STEPS, ylabel=_with_unit("sum up to the step", unit))
    points_axis(sums, "x", steps["step"])
    note(sums, "data: at the step of the gradient")
    title(sums, "Terms with their signs")

    zero = [name for name in ("data", "decay") if not steps[f"{name}_mass"].to_numpy().any()]
    for place, name in enumerate(("data", "decay"), 1):
        if name not in zero:
            over.plot(steps["step"], steps[f"{name}_mass"], **line_look(place, points) | {"color": TERMS[name]})
    over.set(xlabel=STEPS, ylabel=_with_unit("sum of absolute scores", unit))
    _size_axis(over, steps[["data_mass", "decay_mass"]].to_numpy())
    points_axis(over, "x", steps["step"])
    if len(zero) == 2:
        no_value(over, "0 at every step")
    elif zero:
        note(over, f"{zero[0]}: 0 at every step")
    title(over, "Data against decay")

    total.barh(range(len(lines)), lines["sum"], color=[TERMS[term] for term in lines["term"]], height=0.6)
    total.axvline(0, color=INK, linewidth=0.5)
    total.set(xlabel=_with_unit("mean over the explained scalars", unit))
    points_axis(total, "x", [0, *lines["sum"]])
    row_names(total, list(lines["term"]))
    side_column(total, "sum", [number(value) for value in lines["sum"]])
    side_column(total, "mean size", [number(size) for size in lines["size"]], indent=56)
    title(total, "Terms of the decomposition")
    legend(figure, loc="outside lower center", ncols=len(names))
    return figure


def statistics_over_steps(steps: pd.DataFrame, unit: str = "") -> Figure:
    """Draw each statistic of the steps against the step, in pairs; a pair of equal ones once.

    Args:
        steps: columns step, change, predicted, data and decay with `_sum`, `_mass` and `_norm`, and `single` and
            `running` with `_mean` and `_max`.
        unit: of the explained scalars.
    """
    deviation = {"largest": "_max", "mean": "_mean"}
    panels = {
        ("Change of the outputs", "mean size"): {"true": "change", "predicted": "predicted"},
        ("Terms of the step", "mean with sign"): {"data": "data_sum", "decay": "decay_sum"},
        ("Scores of parameters", "sum of sizes"): {"data": "data_mass", "decay": "decay_mass"},
        ("Scores of parameters", "norm"): {"data": "data_norm", "decay": "decay_norm"},
        ("Predicted less true change, of the step", "size"): {k: f"single{end}" for k, end in deviation.items()},
        ("Predicted less true change, up to the step", "size"): {k: f"running{end}" for k, end in deviation.items()},
    }
    figure, axes = new_figure(panels=2, width=3.4, height=8.4, rows=3)
    below = ScaledTranslation(0, -32 / 72, figure.dpi_scale_trans)  # below the name of the x-axis
    for axis, ((name, quantity), columns) in zip(axes, panels.items(), strict=True):
        first, second = (steps[column] for column in columns.values())
        if first.equals(second):
            columns = {" = ".join(columns): next(iter(columns.values()))}
        for place, (label, column) in enumerate(columns.items()):
            colour = TERMS.get(label, COLOURS[(0, 3)[place]])
            marks = {"marker": "o", "s": 16, "facecolors": "none"} if place == 0 else {"marker": "x", "s": 7}
            marks |= {"edgecolors": colour} if place == 0 else {"c": [colour]}
            many = {"linewidths": 0.7, "rasterized": len(steps) > MANY}
            axis.scatter(steps["step"], steps[column], label=label, **marks, **many)
        axis.set(xlabel=STEPS, ylabel=_with_unit(quantity, unit))
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


def _with_unit(quantity: str, unit: str) -> str:
    return f"{quantity} ({unit})" if unit else quantity


def _size_axis(axis: Axes, values: np.ndarray) -> None:
    """Make the y-axis of sizes logarithmic where all that is drawn is positive and of different sizes."""
    drawn = values[:, values.any(0)]
    if drawn.size and drawn.min() > 0 and drawn.max() > 3 * drawn.min():
        log_axis(axis, "y")
    else:
        points_axis(axis, "y", values.ravel())
