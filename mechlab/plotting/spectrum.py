"""Figures of a learned spectrum and the theoretical one."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, FAINT, INK, legend, new_figure, title


def spectrum_figure(learned: np.ndarray, theory: np.ndarray, matched: np.ndarray, partner: np.ndarray) -> Figure:
    """Draw both spectra in the complex plane, and the moduli in falling order.

    Args:
        learned: (S,) complex, all learned eigenvalues.
        theory: (R,) complex, the theoretical eigenvalues; k-fold ones are marked so.
        matched: (K,) complex, the learned eigenvalues that have a partner in theory; a line joins the two.
        partner: (K,) complex, these partners.
    """
    figure, (plane, moduli) = new_figure(panels=2, width=3.6, height=3.4)
    for pair in zip(matched, partner, strict=True):
        plane.plot(np.real(pair), np.imag(pair), color=FAINT, linewidth=0.8, zorder=0)
    _draw_plane(plane, learned, theory)
    _draw_moduli(moduli, learned, theory)
    return figure


def _draw_plane(axis: Axes, learned: np.ndarray, theory: np.ndarray) -> None:
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    axis.plot(circle.real, circle.imag, color=FAINT, linewidth=0.8, zorder=0)
    ring = {"s": 60, "facecolors": "none", "edgecolors": COLOURS[3], "linewidths": 1.2}
    axis.scatter(theory.real, theory.imag, **ring)
    axis.scatter(learned.real, learned.imag, s=9, color=COLOURS[0], linewidths=0, alpha=0.7)
    for value, times in zip(*np.unique(theory.round(6), return_counts=True), strict=True):
        if times > 1:
            out = value * (1.22 / abs(value))
            text = f"×{times}"
            axis.text(out.real, out.imag, text, ha="center", va="center", fontsize=7, color=COLOURS[3])
    reach = 1.1 * max(1.25, np.abs(learned).max(), np.abs(theory).max())
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="real part", ylabel="imaginary part")
    title(axis, "Eigenvalues at the origin")


def _draw_moduli(axis: Axes, learned: np.ndarray, theory: np.ndarray) -> None:
    for values, colour, name in ((theory, COLOURS[3], "theory"), (learned, COLOURS[0], "learned")):
        heights = np.sort(np.abs(values))[::-1]
        axis.plot(np.arange(1, len(heights) + 1), heights, ".-", color=colour, markersize=4, linewidth=0.8, label=name)
    axis.axvline(len(theory) + 0.5, color=INK, linewidth=0.8, linestyle=":")
    axis.set(xlabel="eigenvalue, by falling modulus", ylabel="modulus", ylim=(0, None))
    legend(axis)
    title(axis, f"Rank in theory: {len(theory)}")
