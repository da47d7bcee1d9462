"""Figures of many networks of variable binding: pass rates, and accuracy against missing eigenvalues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    legend,
    look,
    new_figure,
    note,
    number,
    row_names,
    sample_size,
    side_column,
    threshold,
    title,
)

ROWS = 60  # of a figure
JITTER = 0.006  # largest displacement of a point, so that equal ones are seen


def pass_rates(names: Sequence[str], runs: Sequence[int], rates: Mapping[str, np.ndarray]) -> Figure:
    """Draw the share of runs that pass, with its interval: a panel for each criterion, a line for each row.

    Args:
        names: of the rows.
        runs: of each row.
        rates: share and the ends of its interval (rows, 3), by criterion.
    """
    shown = min(len(names), ROWS)
    figure, axes = new_figure(panels=len(rates), width=1.5, height=0.9 + 0.17 * shown)
    for place, (axis, (criterion, values)) in enumerate(zip(axes, rates.items(), strict=True)):
        lines = np.arange(shown)
        axis.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
        axis.hlines(lines, values[:shown, 1], values[:shown, 2], color=COLOURS[0], linewidth=1.6)
        axis.plot(values[:shown, 0], lines, "o", color=COLOURS[0], markersize=4.5, clip_on=False)
        axis.set(xlim=(-0.06, 1.06), xlabel="share of runs")
        axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        if place == 0:
            row_names(axis, names[:shown], longest=60)
        else:
            axis.set_yticks(lines, [""] * shown)
            axis.tick_params(axis="y", length=0)
            axis.set_ylim(shown - 0.4, -0.6)
        title(axis, criterion)
    side_column(axes[-1], "runs", [str(count) for count in runs[:shown]])
    if shown < len(names):
        note(axes[0], f"the first {shown} of {len(names)} rows")
    return figure


def rank_deficit(
    missing: np.ndarray,
    accuracy: np.ndarray,
    tasks: Sequence[str],
    horizon: int,
    least: float,
    correlation: Mapping[str, float],
) -> Figure:
    """Draw the accuracy of each network against the share of theoretical eigenvalues that it misses, by task.

    Args:
        missing, accuracy: (n,).
        tasks: (n,) of the networks.
        horizon: at which accuracy is measured.
        least: the accuracy of a network that passes.
        correlation: `spearman`, with `spearman_low` and `spearman_high`; NaN where they are not defined.
    """
    figure, (axis,) = new_figure(width=3.8, height=3.0)
    shift = np.random.default_rng(0).uniform(-JITTER, JITTER, len(missing))
    kind_of = np.array(tasks)
    for place, task in enumerate(sorted(set(tasks))):
        members = kind_of == task
        marks = {"s": 14, "linewidths": 0, "alpha": 0.7, "clip_on": False, "zorder": 3, **look(place)}
        axis.scatter(missing[members] + shift[members], accuracy[members], label=task, **marks)
    highest = float(missing.max()) if len(missing) else 1.0
    axis.set(xlabel="share of eigenvalues missing", ylabel=f"accuracy at horizon {horizon}")
    axis.set(xlim=(-0.02, max(0.1, 1.05 * highest)), ylim=(min(0.45, *accuracy, 1), 1.005))
    threshold(axis, least, "above")
    value, low, high = (correlation[name] for name in ("spearman", "spearman_low", "spearman_high"))
    if np.isfinite(value):
        ends = f" [{number(low)}, {number(high)}]" if np.isfinite(low) else ""
        note(axis, f"Spearman's correlation {number(value)}{ends}")
    sample_size(axis, len(missing), "networks, spread sideways a little")
    title(axis, "Rank and generalisation")
    legend(figure, loc="outside lower center", ncols=min(4, max(1, len(set(tasks)))))
    return figure
