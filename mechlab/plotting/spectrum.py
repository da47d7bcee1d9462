"""Figures of a learned spectrum and the theoretical one."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    MANY,
    SOFT,
    TEXT,
    legend,
    log_axis,
    new_figure,
    note,
    number,
    points_axis,
    sample_size,
    title,
    whole_numbers,
)

THEORY, LEARNED = COLOURS[3], COLOURS[0]
FARTHEST = 2.5  # largest modulus in the plane, in theoretical spectral radii
NAMED = 12  # repeated eigenvalues whose multiplicities are written
WIDE = 20.0  # ratio of moduli above which their axis is logarithmic


def spectrum_figure(
    learned: np.ndarray,
    theory: np.ndarray,
    matched: np.ndarray,
    partner: np.ndarray,
    persistent: float | None = None,
) -> Figure:
    """Draw both spectra in the complex plane, and the moduli in falling order.

    Args:
        learned: (S,) complex, all learned eigenvalues.
        theory: (R,) complex, the theoretical eigenvalues; k-fold ones are marked so.
        matched: (K,) complex, the learned eigenvalues that have a partner in theory; a line joins the two.
        partner: (K,) complex, these partners.
        persistent: modulus above which an eigenvalue counts for the rank.
    """
    figure, (plane, moduli) = new_figure(panels=2, width=3.6, height=3.6)
    for pair in zip(matched, partner, strict=True):
        plane.plot(np.real(pair), np.imag(pair), color=INK, linewidth=0.6, zorder=1)
    _draw_plane(plane, learned, theory)
    _draw_moduli(moduli, learned, theory, persistent)
    ring = {"marker": "o", "linestyle": "", "markersize": 7, "markerfacecolor": "none", "markeredgecolor": THEORY}
    point = {"marker": "o", "linestyle": "", "markersize": 3.5, "color": LEARNED}
    handles = [
        Line2D([], [], label=f"theory{_repetition(theory)}", **ring),
        Line2D([], [], label="learned", **point),
        Line2D([], [], label="matched pair", color=INK, linewidth=0.6),
        Line2D([], [], label="unit circle", color=FAINT, linewidth=0.8),
    ]
    legend(figure, handles=handles, loc="outside lower center", ncols=4, columnspacing=1.4)
    return figure


HEADINGS = {
    "trajectory": ("Eigenvalues along the trajectory", "step after the input"),
    "fixed_points": ("Eigenvalues at fixed points", "distance from the origin"),
}


def spectra_figure(spectra: np.ndarray, along: np.ndarray, theory: np.ndarray, place: str) -> Figure:
    """Draw the spectra at several states in the complex plane, and their spectral radii.

    Args:
        spectra: (P, S) complex, the eigenvalues at P states.
        along: (P,) the step of each state of a trajectory, or the distance of each fixed point from the origin.
        theory: (R,) complex, the theoretical eigenvalues.
        place: "trajectory" or "fixed_points".
    """
    heading, name = HEADINGS[place]
    figure, (plane, radii) = new_figure(panels=2, width=3.6, height=3.6)
    _draw_plane(plane, spectra.reshape(-1), theory, heading, f" at {len(spectra)} states")
    line = "-" if place == "trajectory" else ""
    radii.plot(along, np.abs(spectra).max(1), f"o{line}", color=LEARNED, linewidth=0.8, markersize=2.5)
    radii.axhline(1, color=SOFT, linewidth=0.8, linestyle=":")
    radii.set(xlabel=name, ylabel="spectral radius")
    points_axis(radii, "x", along)
    note(radii, "dotted: radius 1")
    title(radii, "Spectral radius")
    ring = {"marker": "o", "linestyle": "", "markersize": 7, "markerfacecolor": "none", "markeredgecolor": THEORY}
    handles = [
        Line2D([], [], label=f"theory{_repetition(theory)}", **ring),
        Line2D([], [], label="learned", marker="o", linestyle="", markersize=3.5, color=LEARNED),
        Line2D([], [], label="unit circle", color=FAINT, linewidth=0.8),
    ]
    legend(figure, handles=handles, loc="outside lower center", ncols=3, columnspacing=1.4)
    return figure


def _repeated(theory: np.ndarray) -> dict[complex, int]:
    """Return how often each eigenvalue occurs, for those that occur more than once."""
    values, times = np.unique(theory.round(6) + 0.0, return_counts=True)
    return {value: int(count) for value, count in zip(values, times, strict=True) if count > 1}


def _repetition(theory: np.ndarray) -> str:
    """Return how the figure marks eigenvalues that occur more than once."""
    repeated = _repeated(theory)
    if len(repeated) <= NAMED:
        return " (×k: k-fold)" if repeated else ""
    least, most = min(repeated.values()), max(repeated.values())
    return f" (double ring: {least}-fold{f' to {most}-fold' if most > least else ''})"


def _draw_plane(
    axis: Axes, learned: np.ndarray, theory: np.ndarray, heading: str = "Eigenvalues at the origin", at: str = ""
) -> None:
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    axis.plot(circle.real, circle.imag, color=FAINT, linewidth=0.8, zorder=0)
    ring = {"s": 60, "facecolors": "none", "edgecolors": THEORY, "linewidths": 1.2}
    axis.scatter(theory.real, theory.imag, **ring)
    marks = {"s": 9, "color": LEARNED, "linewidths": 0, "alpha": 0.7, "rasterized": len(learned) > MANY}
    axis.scatter(learned.real, learned.imag, **marks)
    repeated = _repeated(theory)
    if len(repeated) > NAMED:
        values = np.array(list(repeated))
        axis.scatter(values.real, values.imag, **{**ring, "s": 130, "linewidths": 0.7})
        repeated = {}
    for value, times in repeated.items():
        out = 13 * (value / abs(value) if abs(value) else 1j)  # points from the ring, away from the origin
        place = {"xy": (value.real, value.imag), "xytext": (out.real, out.imag), "textcoords": "offset points"}
        axis.annotate(f"×{times}", ha="center", va="center", fontsize=TEXT - 1, color=THEORY, **place)
    largest = max(1.0, np.abs(theory).max(initial=0))
    limit = 1.3 * min(max(largest, np.abs(learned).max(initial=0)), FARTHEST * largest)
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="real part", ylabel="imaginary part")
    sample_size(axis, len(learned), f"eigenvalues{at}{_outside(learned, limit)}")
    title(axis, heading)


def _outside(learned: np.ndarray, limit: float) -> str:
    count = int((np.maximum(np.abs(learned.real), np.abs(learned.imag)) > limit).sum())
    return f", {count} outside (largest modulus {number(np.abs(learned).max())})" if count else ""


def _draw_moduli(axis: Axes, learned: np.ndarray, theory: np.ndarray, persistent: float | None) -> None:
    kinds = ((theory, THEORY, {"markersize": 4.5, "markerfacecolor": "none"}), (learned, LEARNED, {"markersize": 2.5}))
    for values, colour, marks in kinds:
        heights = np.sort(np.abs(values))[::-1]
        axis.plot(np.arange(1, len(heights) + 1), heights, "o-", color=colour, linewidth=0.8, **marks)
    axis.set(xlabel="eigenvalue, by falling modulus", ylabel="modulus", ylim=(0, None))
    if np.abs(learned).max(initial=0) > WIDE * max(1.0, np.abs(theory).max(initial=0)):
        axis.set_ylim(auto=True)
        log_axis(axis, "y")
    whole_numbers(axis, "x")
    axis.axvline(len(theory) + 0.5, color=SOFT, linewidth=0.8, linestyle=":")
    heading = f"dotted: rank in theory, {len(theory)}"
    if persistent is not None:
        axis.axhline(persistent, color=SOFT, linewidth=0.8, linestyle=":")
        rank = int((np.abs(learned) > persistent).sum())
        heading += f"; moduli above {number(persistent)}: {rank}"
    note(axis, heading)
    title(axis, "Moduli")
