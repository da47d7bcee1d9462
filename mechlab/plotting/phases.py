"""Figures of phases of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.report import MeanInterval, forest
from mechlab.plotting.style import (
    INK,
    SOFT,
    STEPS,
    TEXT,
    direct_labels,
    line_look,
    log_axis,
    new_figure,
    note,
    points_axis,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

LOSS = "val/loss"
SHOWN = 3  # runs, each a column of panels
UNITS = {"Mass of data": "sum of absolute scores", "Mass of weight decay": "sum of absolute scores"}


def curves_with_changes(curves: pd.DataFrame, changes: pd.DataFrame) -> Figure:
    """Draw the masses of data and decay by component, the loss and the norm of each run, with its changes of phase.

    Args:
        curves: columns seed, step, norm, val/loss if there is one, `data:COMPONENT` and `decay:COMPONENT`.
        changes: columns seed, change, step, step_low, step_high; the interval of a change is shaded.
    """
    seeds = list(dict.fromkeys(curves["seed"]))[:SHOWN]
    kinds = _kinds(curves)
    figure, axes = new_figure(panels=len(seeds), width=3.6, height=1.9 * len(kinds) + 0.3, rows=len(kinds))
    for column, seed in enumerate(seeds):
        own, marks = curves[curves["seed"] == seed], changes[changes["seed"] == seed]
        for row, (heading, names) in enumerate(kinds.items()):
            axis = axes[row * len(seeds) + column]
            for place, name in enumerate(names):
                look = line_look(place, len(own)) | {"linewidth": 0.9, "markersize": 2.5}
                axis.plot(own["step"], own[name], label=name.partition(":")[2] or "_single", **look)
            values = own[names].to_numpy()
            if values.min() > 0 and values.max() > 3 * values.min():
                log_axis(axis, "y")
            else:
                points_axis(axis, "y", values.ravel())
            points_axis(axis, "x", own["step"])
            _mark(axis, marks)
            title(axis, f"{heading}, seed {seed}" if row == 0 else heading)
            if row == len(kinds) - 1:
                axis.set_xlabel(STEPS)
            if column == 0:
                axis.set_ylabel(UNITS.get(heading, ""))
    for row, names in enumerate(kinds.values()):
        if len(names) > 1:
            direct_labels(axes[(row + 1) * len(seeds) - 1])
    return figure


def steps_of_changes(changes: pd.DataFrame, over_runs: pd.DataFrame) -> Figure:
    """Draw the step of each change in each run, with the mean over runs and its interval.

    Args:
        changes: columns change and step.
        over_runs: columns change, mean, mean_low and mean_high.
    """
    rows = []
    means = over_runs.set_index("change")
    for change, values in changes.groupby("change")["step"]:
        label = f"change {change} ({len(values)} runs)"
        if change in means.index:
            row = means.loc[change]
            rows.append(MeanInterval(label, values.tolist(), row["mean"], row["mean_low"], row["mean_high"]))
        else:
            rows.append(MeanInterval(label, values.tolist(), values.mean(), None, None))
    figure = forest("Changes of phase over runs", rows)
    figure.axes[0].set_xlabel(STEPS)
    return figure


def explained(runs: pd.DataFrame) -> Figure:
    """Draw the share of the variance of the curves that segmentations explain against their number of changes.

    Args:
        runs: columns seed, changes (the number chosen for the run by itself), null_gain (the largest share for each
            change in surrogates without phases) and explained_0, explained_1, ....
    """
    figure, (axis,) = new_figure(width=3.4, height=2.6)
    names = sorted((name for name in runs if name.startswith("explained_")), key=lambda name: int(name[10:]))
    numbers = np.arange(len(names))
    for place, row in enumerate(runs.to_dict("records")):
        values = np.array([row[name] for name in names], float)
        look = line_look(place, len(values)) | {"markevery": 1}
        axis.plot(numbers, values, label=f"seed {row['seed']:.0f}: {row['changes']:.0f}", **look)
    axis.set(xlabel="changes of phase", ylabel="share of variance explained", ylim=(None, 1.02))
    whole_numbers(axis, "x")
    null = f"{runs['null_gain'].iloc[0]:.2f} explained by each change in surrogates"
    note(axis, f"beside each seed: its number of changes; {null}")
    title(axis, "Number of changes")
    direct_labels(axis)
    return figure


def _kinds(curves: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns of each panel by its heading."""
    groups = {
        line: [n for n in curves if n.startswith(f"{line}:") and n != f"{line}:all"] for line in ("data", "decay")
    }
    groups = {line: [n for n in names if (curves[n] > 0).any()] for line, names in groups.items()}
    kinds = {"Mass of data": groups["data"], "Mass of weight decay": groups["decay"]}
    kinds["Validation loss"] = [LOSS] if LOSS in curves else []
    kinds["Norm of the parameters"] = ["norm"]
    return {heading: names for heading, names in kinds.items() if names}


def _mark(axis: Axes, changes: pd.DataFrame) -> None:
    """Draw the changes of a run as vertical lines, with their intervals shaded and their steps above."""
    for row in changes.to_dict("records"):
        axis.axvspan(row["step_low"], row["step_high"], color=SOFT, alpha=0.2, linewidth=0, zorder=0)
        axis.axvline(row["step"], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
        place = {"transform": axis.get_xaxis_transform(), "ha": "left", "va": "top"}
        axis.text(row["step"], 0.98, f" {row['step']:,.0f}", fontsize=TEXT - 2, color=SOFT, **place)
