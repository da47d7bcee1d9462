"""What every figure must satisfy, measured on its layout."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SLACK = 0.5  # pixels


def laid_out(figure: Figure) -> Figure:
    """Return the figure after its layout is computed."""
    FigureCanvasAgg(figure).draw()
    return figure


def texts_of(artist: Artist) -> Iterator[Text]:
    """Yield the texts of a figure or of a part of it that are visible."""
    for child in artist.get_children():
        if isinstance(child, Axis) and child.get_visible():
            yield from (text for text in (child.label, child.get_offset_text(), *shown(child)) if text.get_text())
        elif child.get_visible() and isinstance(child, Text):
            yield from [child] if child.get_text().strip() else []
        elif child.get_visible():
            yield from texts_of(child)


def shown(side: Axis) -> list[Text]:
    """Return the labels of an axis's ticks that are inside its limits."""
    low, high = sorted(side.get_view_interval())
    labels = [tick.label1 for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
    return [label for label in labels if label.get_visible() and label.get_text().strip()]


def tick_labels(axis: Axes, along: str) -> list[Text]:
    """Return the visible tick labels along "x" or "y"."""
    return shown(axis.xaxis if along == "x" else axis.yaxis)


def overlap(a: Bbox, b: Bbox) -> bool:
    wide = min(a.x1, b.x1) - max(a.x0, b.x0)
    high = min(a.y1, b.y1) - max(a.y0, b.y0)
    return wide > SLACK and high > SLACK


def drawn_points(axis: Axes) -> np.ndarray:
    """Return the points of a panel's lines and scatters, (P, 2) pixels."""
    places = [line.get_transform().transform(line.get_xydata()) for line in axis.lines if len(line.get_xydata()) > 0]
    for marks in axis.collections:
        if isinstance(marks, PathCollection) and len(marks.get_offsets()):
            places.append(marks.get_offset_transform().transform(np.ma.getdata(marks.get_offsets())))
    return np.concatenate(places) if places else np.empty((0, 2))


def check_figure(figure: Figure) -> None:
    """Assert that nothing leaves the page, no texts overlap, no legend covers data, and no axis has an offset."""
    laid_out(figure)
    page = figure.bbox.padded(SLACK)
    for text in texts_of(figure):
        box = text.get_window_extent()
        assert page.contains(box.x0, box.y0), f"{text.get_text()!r} leaves the page"
        assert page.contains(box.x1, box.y1), f"{text.get_text()!r} leaves the page"
    for axis in figure.axes:
        if not axis.get_visible() or axis.name == "3d":
            continue
        for along in ("x", "y"):
            check_apart(tick_labels(axis, along))
            side = axis.xaxis if along == "x" else axis.yaxis
            offset = side.get_offset_text().get_text()
            assert not offset or "10^" in offset, f"offset {offset}"
        if found := axis.get_legend():
            box = found.get_window_extent()
            assert not [place for place in drawn_points(axis) if box.contains(*place)], "the legend covers data"
        headings = [axis.title, *(text for text in (axis._left_title, axis._right_title) if text.get_text())]
        check_apart([*(text for text in headings if text.get_text()), *(t for t in axis.texts if is_outside(axis, t))])


def is_outside(axis: Axes, text: Text) -> bool:
    """True if a text of a panel lies beside or above it."""
    box = text.get_window_extent()
    return text.get_visible() and (box.x0 >= axis.bbox.x1 - 1 or box.y0 >= axis.bbox.y1 - 1)


def check_apart(texts: list[Text]) -> None:
    """Assert that the boxes of texts do not overlap."""
    for one, other in itertools.combinations(texts, 2):
        boxes = one.get_window_extent(), other.get_window_extent()
        assert not overlap(*boxes), f"{one.get_text()!r} overlaps {other.get_text()!r}"


def png(figure: Figure) -> bytes:
    """Return the figure as it is saved."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    return buffer.getvalue()
