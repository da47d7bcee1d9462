"""Places of ticks, limits and names in figures, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Transform

from mechlab.plotting.text import number, power_of_ten

MOST_TICKS = 5


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Return the places (P,) nearest to the wanted ones (least squares) that are at least `gap` apart.

    They lie between `low` and `high` if there is room for all; the order is that of the wanted places.
    """
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(order))
    blocks: list[tuple[float, int]] = []  # means and sizes: the isotonic regression of what is wanted less the gaps
    for value in np.asarray(wanted, float)[order] - steps:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        blocks.append((mean, size))
    flat = np.concatenate([np.full(size, mean) for mean, size in blocks]) if blocks else np.empty(0)
    places = np.empty(len(order))
    places[order] = np.clip(flat, low, max(low, high - gap * (len(order) - 1))) + steps
    return places


def log_ticks(low: float, high: float) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return ticks between positive limits, their labels, and minor ticks.

    Ticks are at powers of ten; in a narrow range at 1, 2 and 5 times them, or evenly spaced. All labels are powers of
    ten if one of them is small or large.
    """
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = decades
    for candidates in (decades, np.outer(decades, (1, 2, 5)).ravel(), MaxNLocator(4).tick_values(low, high)):
        ticks = candidates[(candidates >= low) & (candidates <= high)]
        if len(ticks) > 1:
            break
    ticks = ticks[:: -(-len(ticks) // MOST_TICKS) or 1]
    as_powers = bool((ticks < 1e-3).any() or (ticks > 1e5).any()) and set(ticks) <= set(decades)
    labels = [power_of_ten(round(np.log10(tick))) if as_powers else number(tick) for tick in ticks]
    minor = np.outer(decades, np.arange(1, 10)).ravel()
    return ticks, labels, minor[(minor >= low) & (minor <= high)]


def decimal(value: float, ticks: np.ndarray, power: int) -> str:
    """Return a tick over a power of ten, with the fewest decimals at which all ticks are exact.

    >>> decimal(0.0005, np.array([0, 0.0005, 0.001]), -4)
    '5'
    """
    scaled = np.asarray(ticks) / 10.0**power
    step = np.ptp(scaled) / max(1, len(scaled) - 1)
    decimals = next((n for n in range(12) if np.abs(scaled - scaled.round(n)).max(initial=0) <= 1e-3 * step), 12)
    return f"{value / 10.0**power + 0.0:,.{decimals}f}".replace("-", "−")


def with_room(scale: Transform, low: float, high: float, value: float) -> tuple[float, float]:
    """Return limits of an axis with the value well inside.

    Args:
        scale: of the axis, from data to a linear scale.
        low, high: the limits.
        value: in data.
    """
    ends, place = scale.transform(np.array([low, high])), float(scale.transform(value))
    margin = 0.06 * (max(ends[1], place) - min(ends[0], place))
    if place < ends[0] + margin:
        low = float(scale.inverted().transform(place - margin))
    if place > ends[1] - margin:
        high = float(scale.inverted().transform(place + margin))
    return low, high
