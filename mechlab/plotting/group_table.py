"""Measured numbers of networks that multiply in groups, against the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import FAINT, legend, log_axis, look, new_figure, no_value, points_axis, sample_size, title

COLUMNS = 3
SPAN = 20  # ratio of the largest to the smallest number from which axes are logarithmic
SMALL = 0.01  # largest number up to which they are too


def against_published(panels: Mapping[str, Mapping[str, np.ndarray]], models: Sequence[str]) -> Figure:
    """Draw each measured number against the right published one: a panel for each kind of number, a point for each
    network, and the line on which they agree.

    Args:
        panels: by the name of a number, `right` (n,) and `measured` (n,), NaN where one is missing.
        models: (n,) kinds of network.
    """
    rows = -(-len(panels) // COLUMNS)
    figure, axes = new_figure(panels=COLUMNS, width=2.3, height=2.2 * rows, rows=rows)
    kinds = np.array(models)
    for axis, (name, values) in zip(axes, panels.items(), strict=False):
        right, measured = values["right"], values["measured"]
        known = np.isfinite(right) & np.isfinite(measured)
        title(axis, name)
        if not known.any():
            no_value(axis)
            continue
        both = np.concatenate([right[known], measured[known]])
        ends = both.min(), both.max()
        axis.plot(ends, ends, color=FAINT, linewidth=1, zorder=1)
        for place, kind in enumerate(sorted(set(models))):
            chosen = known & (kinds == kind)
            marks = {"s": 14, "linewidths": 0, "alpha": 0.8, "zorder": 3}
            axis.scatter(right[chosen], measured[chosen], label=kind, **marks, **look(place))
        axis.set(xlabel="published, corrected", ylabel="measured")
        logarithmic = both.min() > 0 and (both.max() > SPAN * both.min() or both.max() < SMALL)
        for along in ("x", "y"):
            if logarithmic:
                log_axis(axis, along)
            else:
                points_axis(axis, along, both)
        sample_size(axis, int(known.sum()), "networks")
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    legend(axes[0])
    return figure
