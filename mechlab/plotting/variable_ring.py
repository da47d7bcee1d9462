"""An animation of the variables of a linear rule as they move round a ring of blocks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D

from mechlab.plotting.animation import gif
from mechlab.plotting.style import FAINT, INK, SOFT, TEXT, new_figure, subject, title
from mechlab.plotting.variable_pictures import common_scale
from mechlab.plotting.variables import SIGNED

INNER, OUTER, OUTSIDE = 0.4, 1.1, 1.5  # radii of the ring, and the place of the columns beside it


def ring_animation(examples: Mapping[str, np.ndarray], active: np.ndarray, about: str = "") -> bytes:
    """Return an animation of the decoded variables of one sequence, as a GIF: the s blocks on a ring, the newest at the
    left, where the input enters; a step moves each block clockwise by one place. Input and output are beside the ring.

    Args:
        examples: `ring` and `ring_variables` (steps, s d), decoded and true from the first input on, the latter 0 for
            what lies before; `example_inputs` and `example_outputs` (T, d).
        active: (s d,) bool; variables on no cycle are not coloured.
        about: the sentence that names network, task and seed.
    """
    decoded, variables = examples["ring"], examples["ring_variables"]
    inputs, outputs = examples["example_inputs"], examples["example_outputs"]
    d = inputs.shape[1]
    s = len(active) // d
    figure, (axis,) = new_figure(width=4.8, height=3.8)
    axis.set(xlim=(-1.65, 1.65), ylim=(-1.28, 1.28), aspect="equal")
    axis.axis("off")
    cells, centres = _spokes(s, d)
    ring = _collection(axis, cells)
    given, read = _column(axis, -OUTSIDE, d, "input"), _column(axis, OUTSIDE, d, "output")
    wrong = axis.scatter([], [], s=7, color="black", linewidths=0, zorder=3)
    _name_blocks(axis, s)
    subject(figure, about)
    title(axis, "Step 00 of 00: the input is read")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")  # the layout is that of the first frame
    scale, frames = common_scale(decoded[s - 1 :], active), []
    for step in range(len(decoded)):
        ring.set_array(np.ma.array(decoded[step] / scale, mask=~active))
        missed = active & (variables[step] != 0) & ((decoded[step] >= 0) != (variables[step] > 0))
        wrong.set_offsets(centres[missed])
        given.set_array(np.ma.array(inputs[step], mask=inputs[step] == 0))
        read.set_array(np.ma.array(outputs[step], mask=np.full(d, step < s)))
        part = "the input is read" if step < s else f"{step - s + 1} after the input"
        title(axis, f"Step {step + 1}: {part}")
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return gif(frames)


def _spokes(s: int, d: int) -> tuple[list[Rectangle], np.ndarray]:
    """Return a square for each of the s d variables, and the centres (s d, 2): a spoke for each block, the first
    component innermost."""
    length = (OUTER - INNER) / d
    width = min(0.2, 0.9 * 2 * np.pi * INNER / s)
    squares, centres = [], []
    for block in range(s):
        turn = Affine2D().rotate(_angle(block, s))
        for component in range(d):
            near = INNER + component * length
            square = Rectangle((near, -width / 2), 0.92 * length, 0.92 * width)
            square.set_transform(turn)
            squares.append(square)
            centres.append(turn.transform((near + length / 2, 0)))
    return squares, np.array(centres)


def _angle(block: int, s: int) -> float:
    """Return the direction of a block, 0 the oldest: the newest is at the left, older ones follow clockwise."""
    return np.pi - 2 * np.pi * (s - 1 - block) / s


def _column(axis: Axes, x: float, d: int, name: str) -> PatchCollection:
    """Draw a column of d squares beside the ring, the first component at the top."""
    size = min(0.24, 1.9 / d)
    top = size * d / 2
    squares = [Rectangle((x - size / 2, top - (i + 1) * size), 0.92 * size, 0.92 * size) for i in range(d)]
    axis.text(x, top + 0.05, name, ha="center", va="bottom", fontsize=TEXT, color=INK)
    return _collection(axis, squares)


def _collection(axis: Axes, squares: list[Rectangle]) -> PatchCollection:
    patches = PatchCollection(squares, cmap=colormaps[SIGNED].with_extremes(bad=FAINT), linewidths=0)
    patches.set_clim(-1.5, 1.5)
    return axis.add_collection(patches)


def _name_blocks(axis: Axes, s: int) -> None:
    for block in range(s):
        angle = _angle(block, s)
        place = (OUTER + 0.1) * np.array([np.cos(angle), np.sin(angle)])
        axis.text(*place, str(block + 1), ha="center", va="center", fontsize=TEXT - 1, color=SOFT)
