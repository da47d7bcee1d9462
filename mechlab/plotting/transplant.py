"""Figures of networks that keep a part of another one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mechlab.plotting.style import (
    STEPS,
    band,
    direct_labels,
    interval,
    legend,
    line_look,
    new_figure,
    note,
    number,
    points_axis,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 3
TICKS = 6  # most of an axis
NAMES = {"val": "validation accuracy", "train": "training accuracy"}


def accuracies_figure(curves: pd.DataFrame) -> Figure:
    """Draw the accuracy over training by kept part, a line for each step that the part was taken from.

    Args:
        curves: of one split; columns kept, from_step (NaN where nothing is kept), split, step, accuracy (mean over
            seeds), accuracy_low and accuracy_high.
    """
    parts = list(dict.fromkeys(curves["kept"]))
    columns = min(COLUMNS, len(parts))
    rows = math.ceil(len(parts) / columns)
    figure, axes = new_figure(panels=columns, width=3.0, height=2.7 * rows, rows=rows)
    steps = list(dict.fromkeys(curves["from_step"].dropna()))
    for place, (axis, kept) in enumerate(zip(axes, parts, strict=False)):
        for moment, line in curves[curves["kept"] == kept].groupby("from_step", sort=False, dropna=False):
            i = steps.index(moment) if moment in steps else len(steps)
            label = f"from step {_moment(moment)}" if moment in steps else "nothing kept"
            axis.plot(line["step"], line["accuracy"], label=label, **line_look(i, len(line)))
            band(axis, line["step"], line["accuracy_low"], line["accuracy_high"], i)
        axis.set(ylim=(-0.03, 1.03), xlabel=STEPS if place + columns >= len(parts) else "")
        axis.set_ylabel("" if place % columns else NAMES[curves["split"].iloc[0]])
        whole_numbers(axis, "x")
        if not place:
            note(axis, "bands: 95 % interval over seeds")
        title(axis, kept if kept == "nothing kept" else f"kept: {kept}")
    for axis in axes[len(parts) :]:
        axis.set_axis_off()
    handles = {text: line for axis in axes for line, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    legend(
        figure, handles=handles.values(), labels=handles.keys(), loc="outside lower center", ncols=min(6, len(handles))
    )
    return figure


def recovery_figure(means: pd.DataFrame, accuracy: float) -> Figure:
    """Draw the steps to recovery against the step that the kept part was taken from.

    Args:
        means: columns kept, from_step, networks, recovered (networks that have), recovery_step (mean over seeds),
            recovery_step_low and recovery_step_high.
        accuracy: of validation, that of a network that has recovered.
    """
    figure, (axis,) = new_figure(width=4.2, height=3.1)
    moments = list(dict.fromkeys(means["from_step"].dropna()))
    numbers = sorted(moment for moment in moments if _is_step(moment))
    places = {moment: i for i, moment in enumerate([*numbers, *(m for m in moments if not _is_step(m))])}
    for i, (kept, line) in enumerate(means.groupby("kept", sort=False)):
        if line["from_step"].isna().all():
            axis.axhline(line["recovery_step"].iloc[0], color=line_look(i)["color"], linestyle=":", label=kept)
            continue
        along = line["from_step"].map(places) + 0.05 * i  # side by side
        axis.plot(along, line["recovery_step"], label=kept, **line_look(i))
        interval(axis, along, line["recovery_step_low"], line["recovery_step_high"], i)
    stride = math.ceil(len(places) / TICKS)
    if places:
        axis.set_xticks(range(0, len(places), stride), [_moment(moment) for moment in places][::stride])
    else:
        axis.set_xticks([])
    axis.set(xlabel="step that the kept part is from" if places else "", ylabel=f"steps to accuracy {number(accuracy)}")
    points_axis(axis, "y", [0, *means["recovery_step"], *means["recovery_step_high"].dropna()])
    axis.set_ylim(bottom=0)
    late = int((means["networks"] - means["recovered"]).sum())
    counted = f"; {late} not recovered count with the last step" if late else ""
    note(axis, f"{means['networks'].sum()} networks{counted}; bars: 95 % interval over seeds")
    title(axis, "Recovery of networks that keep a part")
    direct_labels(axis)
    return figure


def _is_step(moment: object) -> bool:
    return str(moment).replace(".", "", 1).isdigit()


def _moment(moment: object) -> str:
    return number(float(moment)) if _is_step(moment) else str(moment)
