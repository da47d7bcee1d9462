"""Pictures of single sequences of a linear rule: predictions beside the truth, and the grid of variables over time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import FAINT, INK, TEXT, new_figure, note, number, title
from mechlab.plotting.variables import SIGNED

LONGEST = 200  # steps after the input that are drawn of a sequence
TILES = 13  # of the published picture in a row
SNAPSHOTS = (1, 2, 3, 4, 5, 14, 15, 16, 17, 18)  # steps after the input


def prediction_figure(examples: Mapping[str, np.ndarray], s: int) -> Figure:
    """Draw the network's outputs below the true ones, over time: of a held-out sequence, and of the published picture
    if there is one, in squares of s steps, downwards, as in the picture itself.

    Args:
        examples: `example_inputs`, `example_targets` and `example_outputs`, (T, d) each, and those of `picture`.
        s: number of input steps.
    """
    pictured = "picture_inputs" in examples
    figure, axes = new_figure(rows=6 if pictured else 2, width=6.9, height=4.6 if pictured else 1.9)
    truth, outputs = _with_inputs(examples, "example", s)
    truth, outputs = truth[: s + LONGEST], outputs[: s + LONGEST]
    title(axes[0], "A held-out sequence")
    note(axes[0], f"red: +1, blue: -1; {_accuracy(truth, outputs, s)}")
    for axis, name, values in ((axes[0], "truth", truth), (axes[1], "output", outputs)):
        _strip(axis, values.T, name)
        axis.axvline(s - 0.5, color=INK, linewidth=0.8)
    _mark(axes[1], _wrong(truth, outputs).T)
    axes[0].tick_params(labelbottom=False)
    axes[1].set_xlabel(f"step (the first {s} read, {len(truth) - s} predicted)")
    if pictured:
        truth, outputs = _with_inputs(examples, "picture", s)
        title(axes[2], "The published picture")
        note(
            axes[2], f"{_accuracy(truth, outputs, s)}; squares of {s} steps from top to bottom, the first is the input"
        )
        for row, half in enumerate((slice(0, TILES * s), slice(TILES * s, None))):
            above, below = axes[2 + 2 * row : 4 + 2 * row]
            _strip(above, _tiles(truth[half], s), "truth")
            _strip(below, _tiles(outputs[half], s), "output")
            _mark(below, _tiles(_wrong(truth, outputs)[half].astype(float), s) == 1)
            for axis in (above, below):
                axis.set_xticks([])
                axis.spines[["left", "bottom"]].set_visible(False)
    return figure


def snapshots_figure(variables: np.ndarray, decoded: np.ndarray, active: np.ndarray, d: int) -> Figure:
    """Draw the grid of variables (blocks downwards, the oldest first; components across) at up to ten steps after the
    input: the true ones above the decoded ones, on one scale.

    Args:
        variables, decoded: (K, s d) from the end of the input on.
        active: (s d,) bool; the other variables have no future and stay grey.
        d: components of a block.
    """
    steps = [step for step in SNAPSHOTS if step < len(variables)]
    columns = len(SNAPSHOTS)
    figure, axes = new_figure(panels=columns, rows=2, width=0.69, height=2.25)
    scale = common_scale(decoded[steps], active)
    right = (decoded >= 0) == (variables > 0)
    for column, step in enumerate(steps):
        above, below = axes[column], axes[columns + column]
        for axis, values in ((above, variables[step]), (below, decoded[step] / scale)):
            grid = np.where(active, values, np.nan).reshape(-1, d)
            axis.set_facecolor(FAINT)
            axis.imshow(grid, cmap=SIGNED, vmin=-1.5, vmax=1.5, interpolation="nearest", aspect="auto")
            axis.set(xticks=[], yticks=[])
            axis.spines[["left", "bottom"]].set_visible(False)
        _mark(below, (active & ~right[step]).reshape(-1, d))
        above.set_title(f"+{step}", fontsize=TEXT - 1, color=INK)
        below.set_xlabel(number(round(float(right[step][active].mean()), 3)), fontsize=TEXT - 1, color=INK)
    axes[0].set_ylabel("true")
    axes[columns].set_ylabel("decoded")
    for column in range(len(steps), columns):
        axes[column].set_visible(False)
        axes[columns + column].set_visible(False)
    heading = "Variables at steps after the input (red +1, blue -1, grey: on no cycle); below, the share of right signs"
    figure.suptitle(heading, fontsize=TEXT, color=INK, x=0.01, ha="left")
    return figure


def common_scale(decoded: np.ndarray, active: np.ndarray) -> float:
    """Return the median size of decoded active variables, 1 where that is 0."""
    return float(np.median(np.abs(decoded[..., active]))) or 1.0


def _with_inputs(examples: Mapping[str, np.ndarray], name: str, s: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the true system and the outputs (T, d), with the inputs as the first s steps of the one and no values in
    the other."""
    truth, outputs = examples[f"{name}_targets"].copy(), examples[f"{name}_outputs"].copy()
    truth[:s], outputs[:s] = examples[f"{name}_inputs"][:s], np.nan
    return truth, outputs


def _wrong(truth: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    return np.isfinite(outputs) & ((outputs >= 0) != (truth > 0))


def _accuracy(truth: np.ndarray, outputs: np.ndarray, s: int) -> str:
    wrong = _wrong(truth, outputs)[s:]
    return f"{wrong.sum():,} of {wrong.size:,} signs wrong (dots)"


def _strip(axis: Axes, values: np.ndarray, name: str) -> None:
    """Draw values (d, T) as an image, with a name."""
    axis.imshow(values, cmap=SIGNED, vmin=-1.5, vmax=1.5, interpolation="nearest", aspect="auto")
    axis.set(yticks=[])
    axis.set_ylabel(name, rotation=0, ha="right", va="center")


def _tiles(values: np.ndarray, s: int) -> np.ndarray:
    """Return values (T, d) as squares of s steps beside each other, (s, tiles (d + 1)), with gaps between them."""
    tiles = np.full((TILES, s, values.shape[1] + 1), np.nan)
    whole = values.reshape(-1, s, values.shape[1])
    tiles[: len(whole), :, :-1] = whole
    return tiles.swapaxes(0, 1).reshape(s, -1)


def _mark(axis: Axes, cells: np.ndarray) -> None:
    """Put a dot on the chosen cells of an image, bool as its values."""
    rows, columns = np.nonzero(cells)
    axis.scatter(columns, rows, s=2.5, color="black", linewidths=0)
