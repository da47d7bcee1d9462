"""Words as arrows between a network's states."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from mpl_toolkits.mplot3d.proj3d import proj_transform

from mechlab.plotting.style import INK, TEXT, look, text_width

SMALL = TEXT - 2  # size of letters in points
BEND = 0.16  # of an arrow, in its length: arrows there and back lie beside each other
SHORT = 9  # points; shorter arrows have no letter
GAP = 1  # points between letters


def draw_trajectories(
    figure: Figure, panels: Sequence[tuple[Axes, Sequence[np.ndarray]]], words: Sequence[Sequence[str]]
) -> None:
    """Draw words as arrows, each arrow with its letter where there is room, and a mark at the end of each word.

    To be called when all else is drawn: the places of letters depend on the layout.

    Args:
        figure: of the panels.
        panels: each with the points (T+1, 2 or 3) along each word, the first one before any letter.
        words: for each word its letters at these points, an empty one first.
    """
    for axis, ways in panels:
        for points in ways:
            axis.plot(*points.T, linewidth=0, alpha=0)  # the limits of the axes have room for them
    figure.draw_without_rendering()
    for axis, ways in panels:
        placed: list[tuple[np.ndarray, np.ndarray]] = []  # centres and half sizes of letters
        for number, (points, word) in enumerate(zip(ways, words, strict=True)):
            _draw_trajectory(axis, _in_plane(axis, points), word[1:], number, placed)
            mark = {"markersize": 4.5, "markeredgecolor": INK, "markeredgewidth": 0.5, "zorder": 7}
            axis.plot(*points[-1:].T, linewidth=0, **look(number), **mark)
        for points in ways[:1]:  # the initial state is the same for all
            ring = {"marker": "o", "markersize": 5, "markeredgewidth": 0.9, "color": "white", "markeredgecolor": INK}
            axis.plot(*points[:1].T, linewidth=0, zorder=9, **ring)


def _draw_trajectory(
    axis: Axes, points: np.ndarray, letters: Sequence[str], number: int, placed: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Draw arrows along points (T+1, 2); letters are left out where they would cover those placed before."""
    colour = look(number)["color"]
    arrow = {"arrowstyle": "-|>,head_length=0.45,head_width=0.2", "mutation_scale": 8, "linewidth": 1.0}
    arrow |= {"connectionstyle": f"arc3,rad={BEND}", "shrinkA": 0, "shrinkB": 0, "color": colour}
    ends = axis.transData.transform(points) * 72 / axis.figure.dpi
    halo = [withStroke(linewidth=1.5, foreground="white")]
    for (begin, end), (from_, to), letter in zip(pairwise(points), pairwise(ends), letters, strict=True):
        length = np.linalg.norm(to - from_)
        if length < 1:
            continue
        axis.annotate("", end, begin, arrowprops={**arrow, "alpha": 0.9}, annotation_clip=False)
        across = np.array([(to - from_)[1], -(to - from_)[0]]) / length
        offset = (BEND / 2 * length + 5) * across
        place = (from_ + to) / 2 + offset
        half = np.array([text_width(letter, SMALL) + GAP, SMALL + GAP]) / 2
        if length < SHORT or any((np.abs(place - other) < half + size).all() for other, size in placed):
            continue
        placed.append((place, half))
        options = {"ha": "center", "va": "center", "path_effects": halo, "zorder": 8, "parse_math": False}
        middle = axis.transData.inverted().transform((from_ + to) / 2 * axis.figure.dpi / 72)
        axis.annotate(letter, middle, offset, textcoords="offset points", fontsize=SMALL, color=colour, **options)


def _in_plane(axis: Axes, points: np.ndarray) -> np.ndarray:
    """Return points (T+1, 2 or 3) as (T+1, 2) in the panel's own plane."""
    if axis.name != "3d":
        return points
    return np.column_stack(proj_transform(*points.T, axis.get_proj())[:2])
