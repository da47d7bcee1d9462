"""States of a network over training: side by side, and as an animation."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mechlab.plotting.pictures import MOST_NAMES, cloud, same_limits
from mechlab.plotting.style import COLOURS, INK, TEXT, legend, new_figure, title

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

COLUMNS, ROWS = 4, 3  # of the sheet
SECONDS, PAUSE = 0.35, 2.0  # of a frame, and of the last one
SHADES = 64  # number of colours of an animation
LINES = {
    "accuracy": ("accuracy", COLOURS[2], "^-"),
    "weighted": ("ambiguity, k-means", COLOURS[0], "o-"),
    "lda": ("ambiguity, LDA", COLOURS[3], "s-"),
    "lda_held_out": ("ambiguity, LDA on held-out rows", COLOURS[1], "D--"),
}


def frames_figure(planes: np.ndarray, labels: np.ndarray, names: Sequence[str], table: pd.DataFrame) -> Figure:
    """Draw the states at up to twelve of the steps, all in the same plane.

    Args:
        planes: (S, R, 2) the states at each step.
        labels: (R,) int, the automaton's state.
        names: the automaton's states in index order.
        table: a row for each step, with the columns `step`, `epoch`, `weighted` and `accuracy`.
    """
    shown = np.unique(np.linspace(0, len(planes) - 1, COLUMNS * ROWS).round().astype(int))
    rows = math.ceil(len(shown) / COLUMNS)
    figure, axes = new_figure(panels=COLUMNS, width=2.1, height=2.2 * rows, rows=rows)
    for axis, frame in zip(axes, shown, strict=False):
        cloud(axis, planes[frame], labels, names)
        same_limits(axis, planes)
        axis.set(xticks=[], yticks=[])
        title(axis, _headline(table.iloc[frame], short=True))  # the step, ambiguity and accuracy
    if len(np.unique(labels)) <= MOST_NAMES:
        legend(axes[0], markerscale=1.4)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure


def scores_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy and ambiguity against the optimiser step, on a logarithmic axis that shows step 0."""
    figure, (axis,) = new_figure(width=4.4)
    _scores(axis, table)
    legend(axis)
    title(axis, "Ambiguity while learning")
    return figure


def moving_states(planes: np.ndarray, labels: np.ndarray, names: Sequence[str], table: pd.DataFrame) -> bytes:
    """Return an animation of the states over steps, with the scores beside them, as a deterministic GIF.

    Args:
        planes, labels, names, table: as in `frames_figure`.
    """
    figure, (states, scores) = new_figure(panels=2, width=3.3, height=3.1)
    canvas = FigureCanvasAgg(figure)
    kinds = np.unique(labels)
    cloud(states, planes[0], labels, names)
    clouds = list(states.collections)
    same_limits(states, planes)
    states.set(xticks=[], yticks=[])
    if len(kinds) <= MOST_NAMES:
        legend(states, markerscale=1.4, loc="upper right")
    _scores(scores, table)
    legend(scores, loc="center right")
    now = scores.axvline(0, color=INK, linewidth=1.0)
    frames = []
    for frame, points in enumerate(planes):
        for kind, marks in zip(kinds, clouds, strict=True):
            marks.set_offsets(points[labels == kind])
        now.set_xdata([table["step"].iloc[frame]] * 2)
        figure.suptitle(_headline(table.iloc[frame]), fontsize=TEXT + 1, color=INK)
        canvas.draw()
        figure.set_layout_engine("none")  # the layout is fixed after the first frame
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return gif(frames)


def gif(frames: Sequence[np.ndarray]) -> bytes:
    """Return pictures (height, width, 3) uint8 as a GIF that repeats after a pause."""
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    palette = _joined(pictures).quantize(
        SHADES, dither=Image.Dither.NONE
    )  # the same for all frames, or colours would flicker
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [round(1000 * SECONDS)] * (len(pictures) - 1) + [round(1000 * PAUSE)]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False
    )
    return buffer.getvalue()


def _joined(pictures: Sequence[Image]) -> Image:
    """Return the first, a middle and the last picture above each other."""
    from PIL import Image

    chosen = [pictures[0], pictures[len(pictures) // 2], pictures[-1]]
    paper = Image.new("RGB", (chosen[0].width, sum(picture.height for picture in chosen)))
    for place, picture in enumerate(chosen):
        paper.paste(picture, (0, place * picture.height))
    return paper


def _scores(axis: Axes, table: pd.DataFrame) -> None:
    for column, (name, colour, line) in LINES.items():
        axis.plot(table["step"], table[column], line, color=colour, markersize=3, linewidth=1.1, label=name)
    axis.set_xscale("symlog")
    axis.set(xlabel="optimiser step", ylim=(-0.03, 1.03), xlim=(0, None))


def _headline(line: pd.Series, short: bool = False) -> str:
    if short:
        return f"{line.step:.0f}: amb. {line.weighted:.2f}, acc. {line.accuracy:.2f}"
    start = f"step {line.step:.0f}, epoch {line.epoch:.1f}"
    return f"{start}   weighted ambiguity {line.weighted:.3f}   accuracy {line.accuracy:.3f}"
