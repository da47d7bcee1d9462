"""Figures of a network that runs by itself: accuracy against horizon and noise, exponents, multipliers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    MANY,
    SOFT,
    band,
    direct_labels,
    legend,
    line_look,
    log_axis,
    look,
    new_figure,
    no_value,
    note,
    number,
    sample_size,
    ticks_at,
    title,
    whole_numbers,
)

FARTHEST = 2.0  # largest modulus in the plane
RESOLVED = 1e-12  # of the largest multiplier of a cycle: below, rounding decides
CHANCE = {"color": SOFT, "linestyle": ":", "linewidth": 1.1, "label": "chance"}


def horizon_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy against horizon on a logarithmic axis: over all steps up to it, and over the last tenth of them.

    Args:
        table: a row for each horizon, with columns horizon, accuracy, recent, each also as _low and _high, untrained
            and chance.
    """
    figure, (panel,) = new_figure(width=4.0, height=2.9)
    for i, (column, name) in enumerate({"accuracy": "all steps", "recent": "last tenth"}.items()):
        panel.plot(table["horizon"], table[column], label=name, **line_look(i, len(table)))
        band(panel, table["horizon"], table[f"{column}_low"], table[f"{column}_high"], i)
    known = table.dropna(subset="untrained")
    panel.plot(known["horizon"], known["untrained"], label="untrained", **line_look(7, len(known)))
    panel.plot(table["horizon"], table["chance"], **CHANCE)
    log_axis(panel, "x")
    lowest = min(table[["recent_low", "chance"]].min().min(), known["untrained"].min())
    panel.set(xlabel="horizon (steps after the inputs)", ylabel="accuracy", ylim=(max(0, lowest - 0.05), 1.02))
    title(panel, "Accuracy against horizon")
    note(panel, "bands: 95 % bootstrap interval over sequences")
    direct_labels(panel)
    return figure


def noise_figure(table: pd.DataFrame) -> Figure:
    """Draw the accuracy against the noise in the state, on a logarithmic axis with 0.

    Args:
        table: a row for each level, with columns noise, accuracy, low, high and chance.
    """
    figure, (panel,) = new_figure(width=4.0, height=2.9)
    panel.plot(table["noise"], table["accuracy"], label="network", **line_look(0, len(table)))
    band(panel, table["noise"], table["low"], table["high"], 0)
    panel.plot(table["noise"], table["chance"], **CHANCE)
    panel.set_xscale("symlog", linthresh=table["noise"][table["noise"] > 0].min(), linscale=0.6)
    panel.set(xlabel="standard deviation of the noise, relative to the state", ylabel="accuracy", ylim=(None, 1.02))
    ticks_at(panel, "x", table["noise"])
    title(panel, "Noise in the state at each step")
    note(panel, "band: 95 % bootstrap interval over sequences")
    direct_labels(panel)
    return figure


def lyapunov_figure(exponents: np.ndarray, rank: int, neutral: float) -> Figure:
    """Draw the Lyapunov spectrum, and its largest exponents enlarged.

    Args:
        exponents: (N, k) of N trajectories, in falling order, in nats per step.
        rank: the theoretical rank; 0 for none.
        neutral: absolute value up to which an exponent counts as 0.
    """
    figure, (whole, top) = new_figure(panels=2, width=3.3, height=2.9)
    order, mean = np.arange(1, exponents.shape[1] + 1), exponents.mean(0)
    for panel in (whole, top):
        panel.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
        for one in exponents:
            panel.plot(order, one, color=look(0)["color"], linewidth=0.5, alpha=0.35)
        panel.plot(order, mean, "o-", color=look(0)["color"], markersize=2.5, linewidth=0.9)
        panel.set(xlabel="exponent, in falling order", ylabel="nats per step")
        whole_numbers(panel, "x")
    if 0 < rank < len(order):
        whole.axvline(rank + 0.5, color=SOFT, linewidth=0.8, linestyle=":")
        note(whole, f"dotted: rank in theory, {rank}")
    sample_size(whole, len(exponents), "trajectories (thin lines) and their mean")
    title(whole, "Lyapunov spectrum")
    top.axhspan(-neutral, neutral, color=COLOURS[2], alpha=0.1, linewidth=0, zorder=0)
    reach = max(5 * neutral, 1.3 * np.abs(exponents[:, 0]).max())
    shown = max(3, int((mean > -reach).sum()) + 1)
    top.set(ylim=(-reach, reach), xlim=(0.5, min(shown, len(order)) + 0.5))
    whole_numbers(top, "x")
    note(top, f"shaded: up to {number(neutral)} from 0")
    title(top, "The largest exponents")
    return figure


def floquet_figure(logarithms: np.ndarray, angles: np.ndarray, period: int) -> Figure:
    """Draw Floquet multipliers in the complex plane, with their moduli per step, and these moduli in falling order.

    Args:
        logarithms: (N, S) of the moduli over the period, NaN where unknown.
        angles: (N, S) in radians.
        period: in steps.
    """
    figure, (plane, moduli) = new_figure(panels=2, width=3.4, height=3.4)
    rates = np.exp(logarithms / period)
    values = (rates * np.exp(1j * angles))[np.isfinite(logarithms)]
    _plane(plane, values, np.abs(values) > 1)
    plane.set(xlabel="real part", ylabel="imaginary part")
    note(plane, f"orange: outside the circle, {number((np.abs(values) > 1).sum() / len(logarithms))} per orbit")
    sample_size(plane, len(logarithms), f"orbits of {period} steps; moduli per step")
    title(plane, "Floquet multipliers")
    order = np.arange(1, rates.shape[1] + 1)
    moduli.axhline(1, color=FAINT, linewidth=0.8, zorder=0)
    for row in rates:
        moduli.plot(order, row, color=look(0)["color"], linewidth=0.7, alpha=0.5)
    moduli.set(xlabel="multiplier, in falling order", ylabel="modulus per step", ylim=(0, None))
    whole_numbers(moduli, "x")
    note(moduli, "one line per orbit; none where rounding decides")
    title(moduli, "Moduli")
    return figure


def fixed_points_figure(solutions: Mapping[str, tuple[np.ndarray, int]]) -> Figure:
    """Draw the eigenvalues of the Jacobian at fixed points, and at cycles with their moduli per step, in the complex
    plane.

    Args:
        solutions: by kind, "fixed_points" or "cycles", the multipliers (K, S) complex and the period in steps.
    """
    figure, panels = new_figure(panels=len(solutions), width=3.4, height=3.6)
    for panel, (kind, (multipliers, period)) in zip(panels, solutions.items(), strict=True):
        heading = "Jacobian at fixed points" if kind == "fixed_points" else f"Jacobian of cycles of {period} steps"
        if not len(multipliers):
            no_value(panel, "none was found")
            title(panel, heading)
            continue
        sizes = np.abs(multipliers)
        unstable = (sizes > 1).any(1)
        resolved = (sizes > RESOLVED * sizes.max(1, keepdims=True)) | (period == 1)
        scaled = sizes ** (1 / period) * np.exp(1j * np.angle(multipliers))
        _plane(panel, scaled[resolved], np.broadcast_to(unstable[:, None], scaled.shape)[resolved])
        panel.set(xlabel="real part", ylabel="imaginary part")
        outside = (sizes > 1).sum(1)
        most = f"{outside.min()}" if outside.min() == outside.max() else f"{outside.min()} to {outside.max()}"
        note(panel, f"eigenvalues outside the circle: {most}")
        note(panel, f"n = {len(unstable)}, {(~unstable).sum()} stable" + ("; moduli per step" if period > 1 else ""))
        title(panel, heading)
    points = {"linestyle": "", "marker": "o", "markersize": 3.5}
    handles = [
        Line2D([], [], label="of a stable solution", color=look(0)["color"], **points),
        Line2D([], [], label="of an unstable one", color=look(3)["color"], **points),
        Line2D([], [], label="unit circle", color=FAINT, linewidth=0.8),
    ]
    legend(figure, handles=handles, loc="outside lower center", ncols=3, columnspacing=1.4)
    return figure


def _plane(axis: Axes, values: np.ndarray, unstable: np.ndarray) -> None:
    """Scatter complex values (P,) over the unit circle, those of unstable solutions (P,) bool in another colour."""
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    axis.plot(circle.real, circle.imag, color=FAINT, linewidth=0.8, zorder=0)
    axis.plot(0, 0, "+", color=INK, markersize=5, markeredgewidth=0.6, zorder=0)
    for chosen, colour in ((~unstable, look(0)["color"]), (unstable, look(3)["color"])):
        marks = {"s": 9, "alpha": 0.6, "linewidths": 0, "rasterized": chosen.sum() > MANY}
        axis.scatter(values[chosen].real, values[chosen].imag, color=colour, **marks)
    limit = 1.2 * min(max(1.0, np.abs(values).max(initial=0)), FARTHEST)
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
