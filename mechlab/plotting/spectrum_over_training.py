"""Figures of eigenvalues over training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from mechlab.plotting.placement import log_ticks
from mechlab.plotting.spectrum import THEORY
from mechlab.plotting.style import (
    FAINT,
    INK,
    MANY,
    SOFT,
    TEXT,
    legend,
    line_look,
    log_axis,
    new_figure,
    note,
    steps_axis,
    title,
    whole_numbers,
)
from mechlab.plotting.text import number

if TYPE_CHECKING:
    import pandas as pd

SHADES = colormaps["viridis_r"]  # of steps
STAGE = (0, (1, 2))  # dashes of the lines at which the horizon grows


def paths_figure(paths: np.ndarray, theory: np.ndarray, training: pd.DataFrame, stages: pd.DataFrame) -> Figure:
    """Draw the paths of eigenvalues in the complex plane, the number of those born, and loss and accuracy.

    Args:
        paths: (K, R) complex, the paths that end at theoretical eigenvalues.
        theory: (R,) complex, these.
        training: a row for each of the K steps, with the columns step, rank, born, loss and accuracy.
        stages: the first step and the length of each stage of a curriculum, in the columns step and length.
    """
    figure, (plane, counts, losses) = new_figure(panels=3, width=3.6, height=3.4)
    _draw_paths(plane, paths, theory, training["step"].to_numpy())
    steps, most = training["step"], max(len(theory), training["rank"].max())
    for axis in (counts, losses):
        steps_axis(axis, steps)
        _draw_stages(axis, stages)
    for place, name in enumerate(("rank", "born")):
        counts.plot(steps, training[name], label=name, **line_look(place, len(steps)))
    counts.axhline(len(theory), color=THEORY, linewidth=0.9, linestyle="--", label="rank in theory")
    counts.set(ylabel="eigenvalues", ylim=(0, 1.08 * most))
    whole_numbers(counts, "y")
    title(counts, "Eigenvalues that persist")
    note(counts, _stages_in_words(stages))
    errors = 1 - training["accuracy"]
    losses.plot(steps, training["loss"], label="loss", **line_look(2, len(steps)))
    losses.plot(steps, errors.where(errors > 0), label="1 − accuracy", **line_look(5, len(steps)))
    losses.set_ylabel("loss, share of errors")
    log_axis(losses, "y")
    title(losses, "Held-out loss and error")
    handles = [line for axis in (counts, losses) for line in axis.lines if not line.get_label().startswith("_")]
    legend(figure, handles=handles, loc="outside lower right", ncols=len(handles), columnspacing=1.4)
    return figure


def births_figure(
    births: pd.DataFrame, paths: pd.DataFrame, training: pd.DataFrame, stages: pd.DataFrame, persistent: float
) -> Figure:
    """Draw the modulus of each path with its birth, and the births by angle.

    Args:
        births: a row for each real eigenvalue and each conjugate pair, with the columns theory_angle in radians and
            birth, a step, NaN for those that are never born.
        paths: their moduli, in the columns step, pair (a row of `births`) and modulus.
        training: see `paths_figure`.
        stages: see there.
        persistent: modulus above which an eigenvalue counts.
    """
    figure, (moduli, angles) = new_figure(panels=2, width=3.8, height=3.2)
    degrees = np.degrees(births["theory_angle"].to_numpy())
    colours = _hues(degrees)
    table = paths.pivot(index="step", columns="pair", values="modulus")
    steps, born = table.index.to_numpy(), births["birth"].to_numpy(float)
    for axis in (moduli, angles):
        steps_axis(axis, steps)
        _draw_stages(axis, stages)
    for pair in table.columns:
        moduli.plot(steps, table[pair], color=colours[pair], linewidth=0.9, alpha=0.9)
        if np.isfinite(born[pair]):
            mark = {"marker": "o", "markersize": 3.5, "markeredgecolor": INK, "markeredgewidth": 0.5, "zorder": 3}
            moduli.plot(born[pair], table[pair][born[pair]], color=colours[pair], **mark)
    moduli.axhline(persistent, color=SOFT, linewidth=0.8, linestyle="--")
    moduli.set(ylabel="modulus", ylim=(0, None))
    title(moduli, "Moduli of the paths")
    note(moduli, f"dot: birth; dashed: {number(persistent)}; colour: angle in theory, as at the right")
    _draw_births(angles, degrees, born, training)
    angles.set_xlim(moduli.get_xlim())
    return figure


def _hues(degrees: np.ndarray) -> np.ndarray:
    """Return the colours (R, 4) of angles from 0 to 180 degrees."""
    return colormaps["plasma"](degrees / 200)  # without the lightest


def _draw_births(axis: Axes, degrees: np.ndarray, born: np.ndarray, training: pd.DataFrame) -> None:
    """Draw a point for each angle and step of birth, as large as the number of pairs born there."""
    places, times = np.unique(np.stack([born, degrees.round(3)])[:, np.isfinite(born)], axis=1, return_counts=True)
    axis.scatter(*places, s=14 * times, c=_hues(places[1]), edgecolors=INK, linewidths=0.5, zorder=3)
    missing = degrees[~np.isfinite(born)]
    end = np.full(len(missing), training["step"].max())
    axis.scatter(end, missing, s=16, facecolors="none", edgecolors=THEORY, linewidths=1.0, zorder=3)
    axis.set(ylabel="angle in theory (degrees)", ylim=(-8, 188), yticks=range(0, 181, 45))
    title(axis, "Births")
    parts = [f"{np.isfinite(born).sum()} of {len(born)} pairs and real eigenvalues"]
    parts += [f"larger: up to {times.max()} at once"] if times.max(initial=1) > 1 else []
    parts += ["ring: never born"] if len(missing) else []
    note(axis, "; ".join(parts))


def _draw_paths(axis: Axes, paths: np.ndarray, theory: np.ndarray, steps: np.ndarray) -> None:
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    axis.plot(circle.real, circle.imag, color=FAINT, linewidth=0.8, zorder=0)
    axis.scatter(theory.real, theory.imag, s=60, facecolors="none", edgecolors=THEORY, linewidths=1.0, zorder=3)
    points = np.stack([paths.real, paths.imag], -1)  # (K, R, 2)
    positive = steps[steps > 0]
    norm = SymLogNorm(linthresh=positive[0] if len(positive) else 1, vmin=steps[0], vmax=max(steps[-1], 1))
    if len(steps) > 1:
        pieces = np.stack([points[:-1], points[1:]], 2).reshape(-1, 2, 2)
        shades = SHADES(norm(np.repeat(steps[1:], paths.shape[1])))
        lines = LineCollection(pieces, colors=shades, linewidths=0.7, rasterized=len(pieces) > MANY)
        axis.add_collection(lines)
    axis.scatter(*points[-1].T, s=9, color=SHADES(1.0), linewidths=0, zorder=4)
    largest = np.nanmax(np.abs(np.concatenate([points.reshape(-1), theory.real, theory.imag, [1]])))
    limit = 1.12 * min(largest, 2.5 * max(1, np.abs(theory).max()))
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="real part", ylabel="imaginary part")
    _draw_bar(axis, norm, steps)
    title(axis, "Paths of the eigenvalues")
    note(axis, "ring: eigenvalue in theory; dot: end of the path")


def _draw_stages(axis: Axes, stages: pd.DataFrame) -> None:
    """Draw a line at the first step of each later stage of a curriculum."""
    for first in stages["step"][1:]:
        axis.axvline(first, color=SOFT, linewidth=0.7, linestyle=STAGE, zorder=0)


def _stages_in_words(stages: pd.DataFrame) -> str:
    lengths = ", ".join(map(str, stages["length"]))
    return f"dotted: the training horizon grows ({lengths})" if len(stages) > 1 else ""


def _draw_bar(axis: Axes, norm: SymLogNorm, steps: np.ndarray) -> None:
    """Draw the colours of the steps beside a panel."""
    ticks, labels, _ = log_ticks(max(1, steps[steps > 0].min(initial=steps[-1])), max(1, steps[-1]))
    if steps[0] == 0:
        ticks, labels = np.append(0, ticks), ["0", *labels]
    bar = axis.figure.colorbar(ScalarMappable(norm, SHADES), ax=axis, shrink=0.8, pad=0.03)
    bar.set_ticks(ticks, labels=labels)
    bar.minorticks_off()
    bar.ax.set_title("step", size=TEXT - 1, color=INK)
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    bar.outline.set_visible(False)
