"""Figures about datamodels: scores against costs, and the sizes of metagradients at several weightings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    INK,
    direct_labels,
    interval,
    legend,
    line_look,
    log_axis,
    new_figure,
    note,
    points_axis,
    title,
)

if TYPE_CHECKING:
    import pandas as pd

FAMILIES = {  # of estimators: the beginnings of their names, longest first, and their names in figures
    "metagradient_median": "median of metagradients",
    "metagradient_mean": "mean of metagradients",
    "metagradient": "one metagradient",
    "regression_pairs": "regression with pairs",
    "regression": "regression",
    "prior_pairs": "prior and pairs",
    "prior": "regression with prior",
}


def label_of(name: str) -> str:
    """Return the name of an estimator in figures, with its number of retrainings in brackets."""
    family, number = _family(name), name.rpartition("_")[2]
    return f"{FAMILIES[family]} ({int(number):,})" if number.isdigit() else FAMILIES[family]


def _family(name: str) -> str:
    return next(family for family in FAMILIES if name.startswith(family))


def score_by_cost(table: pd.DataFrame, sample: str) -> Figure:
    """Draw the linear datamodeling score of each estimator against its cost, with intervals.

    Args:
        table: columns estimator, retrainings, weightings, cost, lds, lds_low, lds_high.
        sample: what scores and intervals are over, such as "200 held-out subsets without 5 % of the examples".
    """
    figure, (axis,) = new_figure(width=5.4, height=3.2)
    family = table["estimator"].map(_family)
    for place, (key, label) in enumerate(FAMILIES.items()):
        rows = table[family == key].sort_values("cost")
        if len(rows):
            interval(axis, rows["cost"], rows["lds_low"], rows["lds_high"], place)
            axis.plot(rows["cost"], rows["lds"], label=label, **line_look(place))
    axis.set(xlabel="cost (trainings)", ylabel="rank correlation with the outcome")
    points_axis(axis, "y", table["lds"])
    log_axis(axis, "x")
    ceiling = table[family == "regression"].sort_values("retrainings").tail(1)
    for _, row in ceiling.iterrows():
        axis.axhline(row["lds"], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
        note(axis, f"dashed: best additive prediction, of {row['retrainings']:,} retrainings")
    note(axis, sample)
    title(axis, "Linear datamodeling score")
    legend(figure, loc="outside right center")
    return figure


def sizes(norms: np.ndarray) -> Figure:
    """Draw the norms of metagradients (1 + W, Q), relative to the median of each output, in order of size.

    Args:
        norms: at the weights 1, and at W random removals.
    """
    figure, (axis,) = new_figure(width=3.6, height=2.8)
    typical = np.median(norms[1:], 0)
    relative = norms[1:] / np.where(typical > 0, typical, 1)  # no example has an effect on an output that never moved
    places = 100 * (np.arange(len(relative)) + 0.5) / len(relative)
    for number in range(relative.shape[1]):
        label = f"output {number}" if relative.shape[1] <= 12 else None
        axis.plot(places, np.sort(relative[:, number]), label=label, **line_look(number, len(places)))
    axis.set(xlabel="random removals, in order of size (%)", ylabel="norm / median norm")
    if (relative > 0).any():
        log_axis(axis, "y")
    note(axis, f"n = {len(relative):,} random removals")
    title(axis, "Metagradients at other weights")
    direct_labels(axis)
    return figure
