"""States of a network over training: side by side, and as an animation."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mechlab.plotting.pictures import axis_names, cloud, key, legend_of, name_axes, same_limits
from mechlab.plotting.style import (
    INK,
    direct_labels,
    line_look,
    new_figure,
    note,
    steps_axis,
    subject,
    title,
)

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

COLUMNS, ROWS = 4, 3  # of the sheet
FRAMES = 20  # of the animation at most
SECONDS, PAUSE = 0.4, 2.0  # of a frame, and of the last one
SHADES = 64  # number of colours of an animation
MEASURES = {  # column of the table -> name
    "accuracy": "accuracy",
    "weighted": "ambiguity, k-means",
    "lda": "ambiguity, LDA",
    "lda_held_out": "ambiguity, LDA held out",
}


def frames_figure(
    planes: np.ndarray, labels: np.ndarray, names: Sequence[str], table: pd.DataFrame, method: str = "pca"
) -> Figure:
    """Draw the states at up to twelve of the steps, those between which most changes, all in the same plane.

    Args:
        planes: (S, R, 2) the states at each step.
        labels: (R,) int, the automaton's state.
        names: the automaton's states in index order.
        table: a row for each step, with the columns `step`, `epoch`, `weighted` and `accuracy`, and if known
            `explained_1` and `explained_2`, the shares of the variance along the plane's axes.
        method: of the projection to the plane.
    """
    shown = steps_of_change(planes, table, COLUMNS * ROWS)
    rows, columns = math.ceil(len(shown) / COLUMNS), min(COLUMNS, len(shown))
    handles, texts = key(labels, dict(enumerate(names)))
    figure, axes = new_figure(panels=columns, width=2.4, height=2.5 * rows, rows=rows)
    for axis, frame in zip(axes, shown, strict=False):
        cloud(axis, planes[frame], labels)
        same_limits(axis, planes)
        _describe(axis, table.iloc[frame], method)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    heading = f"state (n = {len(labels):,} prefixes)"
    legend_of(figure, handles, texts, heading, loc="outside lower left", ncols=min(len(texts), 4 * columns))
    return figure


def scores_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy and ambiguity against the optimiser step, on a logarithmic axis that shows step 0."""
    figure, (axis,) = new_figure(width=3.6)
    title(axis, "Ambiguity while learning")
    _draw_scores(axis, table)
    return figure


def moving_states(
    planes: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    table: pd.DataFrame,
    method: str = "pca",
    about: str = "",
) -> bytes:
    """Return an animation of the states over up to 20 of the steps, with the scores beside them, as a GIF.

    The steps are those between which most changes, the first and the last one among them. The same arguments give the
    same bytes.

    Args:
        planes, labels, names, table, method: as in `frames_figure`.
        about: the sentence that names network, task and seed.
    """
    shown = steps_of_change(planes, table, FRAMES)
    figure, (states, scores) = new_figure(panels=2, width=3.3, height=3.4)
    canvas, kinds = FigureCanvasAgg(figure), np.unique(labels)
    cloud(states, planes[0], labels)
    clouds = list(states.collections)
    same_limits(states, planes)
    handles, texts = key(labels, dict(enumerate(names)))
    heading = f"state (n = {len(labels):,} prefixes)"
    legend_of(figure, handles, texts, heading, loc="outside lower left", ncols=min(len(texts), 8))
    subject(figure, about)
    _describe(states, table.iloc[0], method)
    title(scores, "Scores of all recorded steps")
    _draw_scores(scores, table)
    now = scores.axvline(0, color=INK, linewidth=1.0)
    canvas.draw()
    figure.set_layout_engine("none")  # the layout is that of the first frame
    frames = []
    for frame in shown:
        for kind, marks in zip(kinds, clouds, strict=True):
            marks.set_offsets(planes[frame][labels == kind])
        now.set_xdata([table["step"].iloc[frame]] * 2)
        for words in list(states.texts):
            words.remove()
        _describe(states, table.iloc[frame], method)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return gif(frames)


def steps_of_change(planes: np.ndarray, table: pd.DataFrame, most: int) -> np.ndarray:
    """Return the indices of at most `most` of S steps, with about the same change between neighbours.

    The change between two steps is the root mean square distance that the points move, plus the absolute differences of
    accuracy and ambiguity (medians of three steps, as k-means varies), each as a share of its sum over all steps. The
    first and the last step are always among the result, and with at most `most` steps all are.

    Args:
        planes: (S, R, 2) the states at each step.
        table: a row for each step, with the columns `weighted` and `accuracy`.
        most: at least 2.
    """
    if len(planes) <= most:
        return np.arange(len(planes))
    moved = np.sqrt((np.diff(planes.astype(np.float64), axis=0) ** 2).sum(2).mean(1))  # (S-1,)
    scores = table[["accuracy", "weighted"]].to_numpy(float, copy=True)  # (S, 2)
    scores[1:-1] = np.median([scores[:-2], scores[1:-1], scores[2:]], axis=0)
    scored = np.abs(np.diff(scores, axis=0)).sum(1)
    change = sum(part / max(part.sum(), 1e-12) for part in map(np.nan_to_num, (moved, scored)))
    reached = np.concatenate([[0], np.cumsum(change)])
    chosen = {0, len(planes) - 1}
    chosen |= {int(np.abs(reached - part).argmin()) for part in np.linspace(0, reached[-1], most)[1:-1]}
    while len(chosen) < most:  # several parts had the same nearest step: the widest gap with steps inside is divided
        ends = [(a, b) for a, b in pairwise(sorted(chosen)) if b > a + 1]
        a, b = max(ends, key=lambda gap: (round(reached[gap[1]] - reached[gap[0]], 9), gap[1] - gap[0], -gap[0]))
        middle = (reached[a] + reached[b]) / 2
        chosen.add(min(range(a + 1, b), key=lambda i: (round(abs(reached[i] - middle), 9), abs(2 * i - a - b))))
    return np.array(sorted(chosen))


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


def _describe(axis: Axes, line: pd.Series, method: str) -> None:
    """Write the step, its scores and the axes' shares of the variance at a panel of states."""
    axis.set(xticks=[], yticks=[])
    name_axes(axis, axis_names(line, 2, method))
    title(axis, f"step {line.step:,.0f} (epoch {line.epoch:.3g})")
    note(axis, f"ambiguity {line.weighted:.2f}, accuracy {line.accuracy:.2f}")


def _draw_scores(axis: Axes, table: pd.DataFrame) -> None:
    steps_axis(axis, table["step"])
    for i, (column, name) in enumerate(MEASURES.items()):
        axis.plot(table["step"], table[column], label=name, **line_look(i, len(table)))
    axis.set(ylim=(-0.03, 1.03), ylabel="score")
    direct_labels(axis)
