"""The house style of figures, without pyplot and its global state: colours, intervals, thresholds, axes, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from mechlab.plotting.placement import decimal, log_ticks, spread, with_room
from mechlab.plotting.text import number, power_of_ten, shortened, text_width, wrapped

TEXT = 8  # points
INK = "#333333"
FAINT = "#cccccc"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#8C6D31", "#555555")
SOFT = COLOURS[7]  # of small print
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
LINE_HEIGHT = 1.25  # of text, in font sizes
HEADER = "_header"  # label of the small lines between a panel and its title
BESIDE = "_beside"  # label of the conditions of thresholds, beside a panel
LAYERS = 50  # of points of several kinds in random order
MANY = 1000  # points that are rasterised: as vector marks they make a large file
STEPS = "optimiser step"

Along = Literal["x", "y"]


def new_figure(panels: int = 1, width: float = 3.2, height: float = 2.8, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side, and their axes, row by row.

    Args:
        panels: number of panels in a row.
        width: width of a panel in inches.
        height: height of the figure in inches.
        rows: number of rows.
    """
    figure = Figure(figsize=(panels * width, height), layout="constrained")
    axes = list(figure.subplots(rows, panels, squeeze=False).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(INK)
        axis.tick_params(which="both", labelsize=TEXT - 1, color=INK, labelcolor=INK)
        for label in (axis.xaxis.label, axis.yaxis.label):
            label.set(size=TEXT, color=INK)
        for side in (axis.xaxis, axis.yaxis):
            side.get_offset_text().set(size=TEXT - 1, color=INK)
    return figure, axes


def subject(figure: Figure, text: str) -> None:
    """Write the sentence that names network, task, seed and step at the upper left, above all panels.

    The figure becomes taller by the lines that it takes, so that panels keep their size. Another heading of the figure
    stands below it. A second call with the same text has no effect, and neither has an empty text.
    """
    if not text:
        return
    size, indent = TEXT - 1, 4.0  # points
    width, height = figure.get_size_inches()
    written = wrapped(text, 72 * width - 2 * indent, size)
    heading = figure.get_suptitle()
    if heading.startswith(written):
        return
    grown = height + (LINE_HEIGHT * size * (written.count("\n") + 1) + 3) / 72
    figure.set_figheight(grown)
    if figure.get_layout_engine() is None:  # then nothing makes room
        for axis in figure.axes:
            left, bottom, wide, high = axis.get_position(original=True).bounds
            axis.set_position((left, bottom * height / grown, wide, high * height / grown))
    whole = f"{written}\n{heading}" if heading else written
    place = {"x": indent / (72 * width), "ha": "left"}
    if figure.get_layout_engine() is None:
        place |= {"y": 1 - 2 / (72 * grown), "va": "top"}
    words = figure.suptitle(whole, fontsize=size, color=SOFT, linespacing=LINE_HEIGHT - 0.05, **place)
    words.set_parse_math(False)  # names come from records: a dollar sign in them begins no formula


def title(axis: Axes, text: str) -> None:
    """Write a panel's title at its upper left, above its other headings, in lines of the panel's width."""
    text = wrapped(text, _width(axis), TEXT + 1)
    place = {"loc": "left", "pad": 3 + _header_height(axis), "va": "bottom"}  # also of several lines
    words = axis.set_title(text, fontsize=TEXT + 1, color=INK, **place)
    words.set_parse_math(False)


def sample_size(axis: Axes, n: int, noun: str) -> None:
    """Write the size of the sample that a panel shows below its title, such as "n = 2,000 prefixes"."""
    note(axis, f"n = {n:,} {noun}")


def note(axis: Axes, text: str) -> None:
    """Write small print between a panel and its title."""
    _header(axis, wrapped(text, _width(axis), TEXT - 1), 0, "axes", ha="left")


def no_value(axis: Axes, text: str = "no value") -> None:
    """Write in an empty panel that it has no data, and give it no ticks."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", fontsize=TEXT - 1, color=SOFT)
    axis.set(xticks=[], yticks=[])


def legend(axis: Axes | Figure, **options: Any) -> None:
    """Draw a panel's or a figure's legend without a frame; `options` are matplotlib's."""
    axis.legend(**{"frameon": False, "fontsize": TEXT - 1, "handletextpad": 0.4, "labelcolor": INK, **options})


def look(number: int) -> dict[str, str]:
    """Return the colour and marker of the number-th kind of point; 64 are distinct, the first 8 by either alone."""
    turn, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + turn) % len(MARKERS)]}


def line_look(number: int, points: int = 1) -> dict[str, Any]:
    """Return the colour, dashes and marker of the number-th line; the first 8 are solid, and 32 are distinct.

    Args:
        number: of the line.
        points: that it has; at most about eight of them are marked.
    """
    dashes = DASHES[number // len(COLOURS) % len(DASHES)]
    marks = {"markersize": 3.5, "markevery": max(1, points // 8)}
    return {**look(number), "linestyle": dashes, "linewidth": 1.2, **marks}


def scatter_kinds(
    axis: Axes,
    points: np.ndarray,
    kinds: np.ndarray,
    names: list[str] | None = None,
    size: float = 9,
    mixed: bool = False,
) -> None:
    """Scatter points (P, 2), each kind (P,) with its own colour and marker, and its name for the legend if given.

    Rare kinds lie above frequent ones; where `mixed`, points of all kinds are drawn in random order, so that of kinds
    at the same places each remains visible. The size of the marks is their area in square points.
    """
    occurring, count = np.unique(kinds, return_counts=True)
    heights = 1 + np.argsort(np.argsort(-count, kind="stable")) / max(1, len(count))  # below the lines of a panel
    layer = np.random.default_rng(0).integers(LAYERS if mixed else 1, size=len(points))
    for kind, height in zip(occurring, heights, strict=True):
        label = None if names is None else names[kind]
        for i in np.unique(layer[kinds == kind]):
            members = points[(kinds == kind) & (layer == i)]
            above = 1 + (i + (height - 1)) / LAYERS if mixed else height
            marks = {"s": size, "alpha": 0.75, "linewidths": 0, "rasterized": len(points) > MANY, "zorder": above}
            axis.scatter(*members.T, label=label, **marks, **look(int(kind)))
            label = None  # once in a legend


def band(axis: Axes, x: Sequence[float], low: Sequence[float], high: Sequence[float], number: int = 0) -> None:
    """Draw the intervals along the number-th line: (P,) places and ends; those of a single point as a bar."""
    if len(x) == 1:
        interval(axis, x, low, high, number)
    else:
        axis.fill_between(x, low, high, color=look(number)["color"], alpha=0.2, linewidth=0, zorder=1)


def interval(
    axis: Axes,
    places: float | Sequence[float],
    low: float | Sequence[float],
    high: float | Sequence[float],
    number: int = 0,
    along: Along = "y",
) -> None:
    """Draw intervals of points as bars without caps.

    Args:
        axis: the panel.
        places: (P,) of the points on the other axis.
        low, high: (P,) their ends; intervals with an unknown end (NaN) are left out.
        number: of the kind of point; see `look`.
        along: the axis along which the intervals lie.
    """
    ends = np.broadcast_arrays(*(np.atleast_1d(np.asarray(values, float)) for values in (places, low, high)))
    known = np.isfinite(ends).all(0)
    draw = axis.vlines if along == "y" else axis.hlines
    draw(*(values[known] for values in ends), color=look(number)["color"], linewidth=1.6, zorder=2)


def threshold(
    axis: Axes,
    value: float | None,
    better: Literal["below", "above"],
    along: Along = "y",
    label: str | None = None,
) -> None:
    """Draw the threshold of a claim: a line, the side on which the claim holds lightly shaded, and its condition.

    To be called when the panel's data are drawn and its scales set: its limits are fixed here, with the line inside.

    Args:
        axis: the panel.
        value: the threshold; None or NaN for none.
        better: the side on which the claim holds.
        along: the axis that has the value.
        label: the condition; by default as in "≤ 0.05", and none if empty.
    """
    if value is None or not np.isfinite(value):
        return
    limits, set_limits = (axis.get_ylim, axis.set_ylim) if along == "y" else (axis.get_xlim, axis.set_xlim)
    low, high = sorted(limits())
    scale = (axis.yaxis if along == "y" else axis.xaxis).get_transform()
    if not np.isfinite(scale.transform(value)):
        return  # a logarithmic axis has no place for it
    low, high = with_room(scale, low, high, value)
    set_limits((low, high) if limits()[0] <= limits()[1] else (high, low))
    line, span = (axis.axhline, axis.axhspan) if along == "y" else (axis.axvline, axis.axvspan)
    line(value, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
    span(value, low if better == "below" else high, color=COLOURS[2], alpha=0.1, linewidth=0, zorder=0)
    text = f"{'≤' if better == 'below' else '≥'} {number(value)}" if label is None else label
    if text and along == "x":
        _header(axis, text, value, "data", ha="center")
    elif text:
        beside = axis.get_yaxis_transform() + ScaledTranslation(3 / 72, 0, axis.figure.dpi_scale_trans)
        axis.text(1, value, text, transform=beside, va="center", fontsize=TEXT - 1, color=INK, label=BESIDE)


def whole_numbers(axis: Axes, along: Along) -> None:
    """Give an axis integer ticks that look like integers."""
    side = axis.xaxis if along == "x" else axis.yaxis
    largest = max(map(abs, side.get_view_interval()), default=0)
    side.set_major_locator(
        MaxNLocator(nbins=4 if largest >= 1e5 else 6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    side.set_major_formatter(FuncFormatter(lambda value, _: number(round(value))))


def points_axis(axis: Axes, along: Along, values: Sequence[float]) -> None:
    """Scale an axis for these values: ticks without an offset, and a single value gets its one tick and no scale.

    To be called when the axis has its name, to which the power of ten of very small or large values is added.
    """
    side = axis.xaxis if along == "x" else axis.yaxis
    finite = np.asarray(values, float)[np.isfinite(np.asarray(values, float))]
    if not len(finite):
        side.set_major_locator(NullLocator())
        return
    low, high = finite.min(), finite.max()
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = abs(low) / 2 or 0.5
        (axis.set_xlim if along == "x" else axis.set_ylim)(low - room, low + room)
        side.set_ticks([low], [number(low)])
        side.set_minor_locator(NullLocator())
    elif (finite == finite.round()).all():
        whole_numbers(axis, along)
    else:
        power = int(np.floor(np.log10(max(abs(low), abs(high)))))
        power = 0 if -4 < power < 5 else power
        side.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        side.set_major_formatter(FuncFormatter(lambda value, _: decimal(value, side.get_majorticklocs(), power)))
        if power:
            side.set_label_text(f"{side.get_label_text()} (×{power_of_ten(power)})".strip())


def log_axis(axis: Axes, along: Along) -> None:
    """Make an axis logarithmic, with ticks at powers of ten, or at 1, 2 and 5 times them in a narrow range.

    To be called when the panel's data, of which some are positive, are drawn.
    """
    axis.set(**{f"{along}scale": "log"})
    side = axis.xaxis if along == "x" else axis.yaxis
    _set_log_ticks(axis, along, *log_ticks(*sorted(side.get_view_interval())))


def steps_axis(axis: Axes, steps: Sequence[float]) -> None:
    """Make the x-axis one of optimiser steps: logarithmic, with step 0; linear for a narrow range of steps."""
    axis.set_xlabel(STEPS)
    steps = np.unique(np.asarray(steps, float)[np.isfinite(np.asarray(steps, float))])
    positive = steps[steps > 0]
    if len(steps) < 2:
        points_axis(axis, "x", steps)
    elif positive[-1] < 20 * positive[0]:
        whole_numbers(axis, "x")
    else:
        ticks, labels, minor = log_ticks(positive[0], positive[-1])
        if len(positive) < len(steps):
            axis.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
            ticks, labels = np.append(0, ticks), ["0", *labels]
        else:
            axis.set_xscale("log")
        _set_log_ticks(axis, "x", ticks, labels, minor)


def ticks_at(axis: Axes, along: Along, values: Sequence[float]) -> None:
    """Put ticks at the values that were measured, without those whose labels would overlap.

    To be called when the panel's data are drawn and its scales set.
    """
    side = axis.xaxis if along == "x" else axis.yaxis
    values = np.unique(np.asarray(values, float)[np.isfinite(np.asarray(values, float))])
    labels = [number(value) for value in values]
    chosen = _apart(axis, along, values, labels)
    side.set_ticks(values[chosen], [labels[i] for i in chosen])
    side.set_minor_locator(NullLocator())


def row_names(axis: Axes, names: Sequence[str], longest: int = 40) -> None:
    """Name the rows 0, 1, … of a panel on its y-axis, the first at the top; the figure becomes wider by the names."""
    texts = [shortened(str(name), longest) for name in names]
    axis.set_yticks(range(len(texts)), texts)
    for words in axis.get_yticklabels():
        words.set_parse_math(False)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(texts) - 0.4, -0.6)
    _widen(axis.figure, max((text_width(text, TEXT - 1) for text in texts), default=0))


def side_column(axis: Axes, heading: str, texts: Sequence[str], indent: float = 0.0) -> None:
    """Write a text beside each of the rows 0, 1, … of a panel, and a heading above them.

    Args:
        axis: the panel.
        heading: of the column.
        texts: of the rows.
        indent: space in points between the panel and the column.
    """
    place = ScaledTranslation((8 + indent) / 72, 0, axis.figure.dpi_scale_trans)
    small = {"fontsize": TEXT - 1, "parse_math": False}
    for row, text in enumerate(texts):
        axis.text(1, row, text, transform=axis.get_yaxis_transform() + place, va="center", color=INK, **small)
    above = axis.transAxes + place + ScaledTranslation(0, 3 / 72, axis.figure.dpi_scale_trans)
    axis.text(1, 1, heading, transform=above, va="bottom", color=SOFT, **small)
    _widen(axis.figure, max(text_width(text, TEXT - 1) for text in (heading, *texts)) + 8)


def direct_labels(axis: Axes, lines: Sequence[Line2D] | None = None) -> None:
    """Write the names of lines beside their right ends, in place of a legend, moved apart so that they do not overlap.

    To be called when all else is drawn. The figure becomes wider by the names, and taller if they need it.

    Args:
        axis: the panel.
        lines: those to name; by default all that have a label.
    """
    lines = [line for line in (axis.lines if lines is None else lines) if not str(line.get_label()).startswith("_")]
    ends = {line: end for line in lines if (end := _right_end(line)) is not None}
    if not ends:
        return
    figure, size, gap = axis.figure, TEXT - 1, LINE_HEIGHT * (TEXT - 1)
    texts = [shortened(str(line.get_label()), 40) for line in ends]
    conditions = [text for text in axis.texts if text.get_label() == BESIDE]
    _widen(figure, max(text_width(text, size) for text in texts) + 12)
    figure.draw_without_rendering()  # places the panel
    missing = gap * (len(ends) + len(conditions)) - _height(axis)
    if missing > 0:
        figure.set_figheight(figure.get_figheight() + missing / 72 + 0.02)
        figure.draw_without_rendering()
    height = _height(axis)
    to_panel = axis.transData + axis.transAxes.inverted()
    points = to_panel.transform([*ends.values(), *((0, text.get_position()[1]) for text in conditions)])
    points = np.clip(points, 0, 1)
    places = spread(points[:, 1] * height, gap, gap / 2, height - gap / 2) / height
    beside = axis.transAxes + ScaledTranslation(10 / 72, 0, figure.dpi_scale_trans)
    for line, text, end, place in zip(ends, texts, points, places, strict=False):
        leader = {"arrowstyle": "-", "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0, "linewidth": 0.7}
        options = {"textcoords": beside, "va": "center", "fontsize": size, "color": INK, "annotation_clip": False}
        axis.annotate(
            text,
            end,
            (1, place),
            xycoords="axes fraction",
            arrowprops={**leader, "color": line.get_color(), "alpha": 0.8},
            parse_math=False,
            **options,
        )
    for condition, place in zip(conditions, places[len(ends) :], strict=True):
        condition.set(position=(1, place), transform=beside)


def _header(axis: Axes, text: str, place: float, coordinates: Literal["axes", "data"], ha: str) -> None:
    """Write a small line between a panel and its title, above those that are there."""
    across = axis.transAxes if coordinates == "axes" else axis.get_xaxis_transform()
    above = across + ScaledTranslation(0, (3 + _header_height(axis)) / 72, axis.figure.dpi_scale_trans)
    small = {"fontsize": TEXT - 1, "color": SOFT, "va": "bottom", "ha": ha, "parse_math": False, "linespacing": 1.05}
    write = axis.text2D if axis.name == "3d" else axis.text
    words = write(place, 1, text, transform=above, label=HEADER, **small)
    words.set_in_layout(coordinates == "data")  # else a long line would make the panel narrower
    title(axis, axis.get_title(loc="left"))


def _header_height(axis: Axes) -> float:
    lines = sum(text.get_text().count("\n") + 1 for text in axis.texts if text.get_label() == HEADER)
    return lines * LINE_HEIGHT * (TEXT - 1)


def _width(axis: Axes) -> float:
    """Return the width in points of a panel's place in the figure, less that of the names of its y-axis."""
    place, whole = axis.get_subplotspec(), 72 * axis.figure.get_size_inches()[0]
    columns = 1 if place is None else place.get_gridspec().ncols
    spanned = 1 if place is None else place.colspan.stop - place.colspan.start
    return whole * spanned / columns - 54


def _set_log_ticks(axis: Axes, along: Along, ticks: np.ndarray, labels: Sequence[str], minor: np.ndarray) -> None:
    side = axis.xaxis if along == "x" else axis.yaxis
    chosen = _evenly_apart(axis, along, ticks, labels)
    side.set_ticks(ticks[chosen], [labels[i] for i in chosen])
    side.set_minor_locator(FixedLocator(minor))
    side.set_minor_formatter("")
    axis.tick_params(axis=along, which="minor", length=1.5)


def _evenly_apart(axis: Axes, along: Along, ticks: np.ndarray, labels: Sequence[str]) -> list[int]:
    """Return the indices of every k-th tick from the highest on, and of a tick at 0, with the least k at which labels
    do not overlap."""
    for stride in range(1, len(ticks)):
        chosen = sorted({*range(len(ticks) - 1, -1, -stride), *([0] if ticks[0] == 0 else [])})
        if len(_apart(axis, along, ticks[chosen], [labels[i] for i in chosen])) == len(chosen):
            return chosen
    return _apart(axis, along, ticks, labels)


def _apart(axis: Axes, along: Along, ticks: np.ndarray, labels: Sequence[str]) -> list[int]:
    """Return the indices of the ticks, from the lowest on, whose labels do not overlap with those of ticks before."""
    side = axis.xaxis if along == "x" else axis.yaxis
    low, high = side.get_transform().transform(np.array(sorted(side.get_view_interval())))
    length = 72 * (axis.bbox.width if along == "x" else axis.bbox.height) / axis.figure.dpi
    places = (side.get_transform().transform(np.asarray(ticks, float)) - low) / (high - low) * length
    halves = [text_width(label, TEXT - 1) / 2 + 2 if along == "x" else TEXT * 0.6 for label in labels]
    chosen: list[int] = []
    for i in range(len(ticks)):
        if not chosen or places[i] - places[chosen[-1]] >= halves[i] + halves[chosen[-1]]:
            chosen.append(i)
    return chosen


def _right_end(line: Line2D) -> tuple[float, float] | None:
    """Return the last finite point of a line, or None."""
    points = np.asarray(line.get_xydata(), float)
    finite = points[np.isfinite(points).all(1)]
    return tuple(finite[finite[:, 0].argmax()]) if len(finite) else None


def _height(axis: Axes) -> float:
    """Return the height of a panel in points, as laid out."""
    return 72 * axis.bbox.height / axis.figure.dpi


def _widen(figure: Figure, points: float) -> None:
    figure.set_figwidth(figure.get_figwidth() + points / 72)
