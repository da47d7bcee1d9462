"""What every figure must satisfy, measured on its layout."""

from __future__ import annotations

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
            if artist.name == "3d":
                continue  # pictures in space have no ticks
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
    texts = [text for text in texts_of(figure) if not inside(text)]
    for text in texts:
        box = text.get_window_extent()
        assert page.contains(box.x0, box.y0), f"{text.get_text()!r} leaves the page"
        assert page.contains(box.x1, box.y1), f"{text.get_text()!r} leaves the page"
    check_apart(texts)
    for axis in figure.axes:
        for side in (axis.xaxis, axis.yaxis):
            assert not side.get_offset_text().get_text()
        for found in (axis.get_legend(), *figure.legends):
            if found is not None and axis.get_visible():
                box = found.get_window_extent()
                assert not [place for place in drawn_points(axis) if box.contains(*place)], "the legend covers data"


def inside(text: Text) -> bool:
    """True if a text belongs to the data of a panel, as a name of a point does."""
    if text.axes is None or text not in text.axes.texts:
        return False
    box, panel = text.get_window_extent(), text.axes.bbox
    return panel.x0 <= box.x0 < panel.x1 - 1 and panel.y0 <= box.y0 < panel.y1 - 1


def check_apart(texts: list[Text]) -> None:
    """Assert that the boxes of texts do not overlap."""
    boxes = [text.get_window_extent() for text in texts]
    for (one, a), (other, b) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not overlap(a, b), f"{one.get_text()!r} overlaps {other.get_text()!r}"
