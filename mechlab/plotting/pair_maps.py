"""Heat maps over the pairs of elements of a group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.path_kernel import CLIPPED
from mechlab.plotting.style import FAINT, INK, TEXT, new_figure, note, points_axis, title, whole_numbers

MOST = 6  # irreps that get a panel
LEFT_OUT = "trivial"
SEED = 0  # of the permutation in the panel of chance
WORDS = {"influence": "influence of the", "derivative": "derivative in the weight of the"}


def influence_of_pairs(
    influence: np.ndarray,
    pairs: np.ndarray,
    n: int,
    names: Sequence[str],
    what: Literal["influence", "derivative"] = "influence",
) -> Figure:
    """Draw the influences (R, N) of training pairs (N, 2) on the part of each irrep, each as an n x n map of a and b.

    All panels have one scale of colours. The trivial irrep is left out; of more than six others those with the largest
    sum of absolute influences are drawn. The last panel has the values of the first one permuted among the pairs: what
    chance would give.

    Args:
        n: elements of the group.
        names: of the irreps (R,).
        what: the values are; derivatives are those in the weight of a pair.
    """
    rows = [row for row, name in enumerate(names) if name != LEFT_OUT]
    rows = sorted(sorted(rows, key=lambda row: -np.abs(influence[row]).sum())[:MOST])
    sizes = np.abs(influence[rows])
    limit = float(np.quantile(sizes, CLIPPED)) if sizes.size else 0.0
    limit = limit or 1.0
    panels = [(names[row], influence[row]) for row in rows]
    if panels:
        first, values = panels[0]
        panels.append((f"{first}, permuted (chance)", np.random.default_rng(SEED).permutation(values)))
    columns = max(1, math.ceil(math.sqrt(len(panels))))
    lines = max(1, math.ceil(len(panels) / columns))
    figure, axes = new_figure(panels=columns, width=2.5, height=0.15 + 2.3 * lines, rows=lines)
    image = None
    for axis, (name, values) in zip(axes, panels, strict=False):
        square = np.full((n, n), np.nan)
        square[pairs[:, 0], pairs[:, 1]] = values
        axis.set_facecolor(FAINT)
        image = axis.imshow(square, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axis.set(xlabel="index of b", ylabel="index of a")
        whole_numbers(axis, "x")
        whole_numbers(axis, "y")
        note(axis, f"sum over all pairs {values.sum():.3g}")
        title(axis, name)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    if image is not None:
        clipped = bool(sizes.max(initial=0) > limit)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, extend="both" if clipped else "neither")
        bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
        bar.set_label(f"{WORDS[what]} training pair (a, b); grey: no such pair", size=TEXT, color=INK)
        points_axis(bar.ax, "y", [-limit, limit / 3, limit])
    return figure
