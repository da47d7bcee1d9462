"""Shared parts of figures: subjects, thresholds, intervals, axes, names of lines."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from figure_checks import check_apart, check_figure, laid_out, tick_labels
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mechlab.plotting.placement import log_ticks, spread
from mechlab.plotting.style import (
    COLOURS,
    band,
    direct_labels,
    interval,
    legend,
    line_look,
    log_axis,
    new_figure,
    points_axis,
    row_names,
    sample_size,
    steps_axis,
    subject,
    threshold,
    title,
    whole_numbers,
)
from mechlab.plotting.text import number, text_width, wrapped

LONG = (
    "GRU on Tomita 5 (vocabulary 2, up to 30 letters), hidden=64, seed 3, step 12,000, from the folder "
    "runs/tomita-gru/0123456789abcdef-s3-with-a-very-long-name-that-nobody-would-have-chosen-for-a-folder"
)


def plain() -> Figure:
    figure, axes = new_figure(panels=2)
    for axis in axes:
        axis.plot([0, 1])
        title(axis, "A panel")
    return figure


def with_legend() -> Figure:
    figure = plain()
    legend(figure, handles=figure.axes[0].lines, labels=["a line"], loc="outside lower center")
    return figure


def in_space() -> Figure:
    figure = Figure(figsize=(3.2, 2.9), layout="constrained")
    axis = figure.add_subplot(1, 1, 1, projection="3d")
    axis.scatter([0, 1], [0, 1], [0, 1])
    title(axis, "A panel in space")
    return figure


def without_layout() -> Figure:
    figure = Figure(figsize=(3, 3))
    figure.subplots().set_title("A panel", loc="left")
    return figure


def tight() -> Figure:
    figure = Figure(figsize=(3, 3), layout="tight")
    figure.subplots().set_title("A panel", loc="left")
    return figure


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (plain, LONG),
        (plain, "costs $x and $y"),
        (with_legend, LONG),
        (in_space, LONG),
        (without_layout, LONG),
        (tight, LONG),
    ],
)
def test_the_subject_is_above_all_panels_and_inside_the_page(make, text: str) -> None:
    before = laid_out(make())
    figure = make()
    subject(figure, text)
    check_figure(figure)
    words = next(artist for artist in figure.texts if artist.get_text())
    assert words.get_text().replace("\n", "").replace(" ", "") == text.replace(" ", "")
    box = words.get_window_extent()
    assert box.x0 < 10 and all(box.y0 >= axis.get_tightbbox().y1 for axis in figure.axes)
    for one, other in zip(before.axes, figure.axes, strict=True):  # panels keep their size
        assert other.bbox.height == pytest.approx(one.bbox.height, rel=0.05)
        assert other.bbox.width == pytest.approx(one.bbox.width, rel=0.06)


def test_a_second_subject_and_an_empty_one_have_no_effect() -> None:
    figure = plain()
    size = figure.get_size_inches().tolist()
    subject(figure, "")
    assert figure.get_suptitle() == "" and figure.get_size_inches().tolist() == size
    subject(figure, LONG)
    once = figure.get_suptitle(), figure.get_size_inches().tolist()
    subject(figure, LONG)
    assert (figure.get_suptitle(), figure.get_size_inches().tolist()) == once


def test_another_heading_stands_below_the_subject() -> None:
    figure = plain()
    figure.suptitle("frame 3")
    subject(figure, "GRU")
    assert figure.get_suptitle() == "GRU\nframe 3"
    check_figure(figure)


@pytest.mark.parametrize("better", ["below", "above"])
@pytest.mark.parametrize("along", ["x", "y"])
@pytest.mark.parametrize("log", [False, True])
def test_a_threshold_shades_the_side_on_which_the_claim_holds(better: str, along: str, log: bool) -> None:
    figure, (axis,) = new_figure()
    data = np.array([0.2, 0.3])
    axis.plot(*((data, [1, 2]) if along == "x" else ([1, 2], data)))
    if log:
        axis.set(**{f"{along}scale": "log"})
    threshold(axis, 0.05, better, along=along)
    title(axis, "A claim")
    low, high = axis.get_xlim() if along == "x" else axis.get_ylim()
    assert low < 0.05 < 0.3 < high
    box = axis.patches[0].get_extents().transformed(axis.transData.inverted())
    ends = (box.x0, box.x1) if along == "x" else (box.y0, box.y1)
    assert ends == pytest.approx((low, 0.05) if better == "below" else (0.05, high))
    assert {text.get_text() for text in axis.texts} == {"≤ 0.05" if better == "below" else "≥ 0.05"}
    check_figure(figure)


def test_an_inverted_axis_stays_so_and_no_threshold_draws_nothing() -> None:
    _, (axis,) = new_figure()
    axis.plot([1, 2])
    axis.invert_yaxis()
    threshold(axis, 3, "above")
    assert axis.get_ylim()[0] > 3 > axis.get_ylim()[1]
    count = len(axis.lines)
    threshold(axis, None, "above")
    threshold(axis, float("nan"), "above")
    assert len(axis.lines) == count


def test_headings_of_a_panel_do_not_overlap() -> None:
    for order in (0, 1):
        figure, (axis,) = new_figure()
        axis.barh(range(3), [0.1, 0.5, 1])
        if order:
            title(axis, "A title that is much too long for a single line of a panel as narrow as this one is")
        threshold(axis, 0.05, "below", along="x")
        sample_size(axis, 2000, "prefixes")
        if not order:
            title(axis, "A title that is much too long for a single line of a panel as narrow as this one is")
        assert "n = 2,000 prefixes" in {text.get_text() for text in axis.texts}
        check_figure(figure)


def test_intervals_leave_out_unknown_ends_and_a_point_has_a_bar() -> None:
    _, (axis,) = new_figure()
    interval(axis, [0, 1, 2], [0, np.nan, 2], [1, 2, np.nan])
    assert [segment.tolist() for segment in axis.collections[0].get_segments()] == [[[0, 0], [0, 1]]]
    interval(axis, 3, 0.25, 0.5, along="x", number=1)
    assert axis.collections[1].get_segments()[0].tolist() == [[0.25, 3], [0.5, 3]]
    assert tuple(axis.collections[1].get_color()[0][:3]) == to_rgb(COLOURS[1])
    band(axis, [1], [2], [3])
    assert axis.collections[2].get_segments()[0].tolist() == [[1, 2], [1, 3]]
    band(axis, [1, 2], [2, 2], [3, 3])
    assert axis.collections[3].get_paths()[0].get_extents().bounds == (1, 2, 1, 1)


def test_thirty_two_lines_look_different() -> None:
    looks = [tuple(map(str, line_look(n).values())) for n in range(32)]
    assert len(set(looks)) == 32
    assert len({(str(line_look(n)["linestyle"]), line_look(n)["color"]) for n in range(32)}) == 32


@pytest.mark.parametrize("count", [2, 30])
def test_names_of_lines_do_not_overlap(count: int) -> None:
    figure, (axis,) = new_figure()
    for n in range(count):
        axis.plot([0, 1, 2], [0, 1, 1 + 1e-3 * n], label=f"a name of the line {n}", **line_look(n, 3))
    axis.plot([0, 1], [np.nan, np.nan], label="without a value")
    laid_out(figure)
    width = axis.bbox.width
    direct_labels(axis)
    check_figure(figure)
    assert [text.get_text() for text in axis.texts] == [f"a name of the line {n}" for n in range(count)]
    heights = [text.get_window_extent().y0 for text in axis.texts]
    assert heights == sorted(heights)  # as the lines end
    assert axis.bbox.width == pytest.approx(width, rel=0.1)


def test_spread_is_the_nearest_arrangement() -> None:
    """Against scipy's least squares under the same constraints."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    for _ in range(5):
        wanted = rng.uniform(0, 6, 6)
        order = np.argsort(wanted)
        apart = [{"type": "ineq", "fun": lambda x, i=i, j=j: x[j] - x[i] - 1} for i, j in itertools.pairwise(order)]
        best = minimize(lambda x, w=wanted: ((x - w) ** 2).sum(), wanted, bounds=[(0, 6)] * 6, constraints=apart).x
        np.testing.assert_allclose(spread(wanted, 1, 0, 6), best, atol=1e-3)
    assert spread([], 1, 0, 6).size == 0
    assert np.diff(spread([3, 3, 3], 5, 0, 6)).tolist() == [5, 5]  # no room: apart all the same


@pytest.mark.parametrize("steps", [[0], [0, 1, 3, 10, 30, 100, 1000, 12345], [0, 100, 200, 300], [50, 5000], [0, 700]])
@pytest.mark.parametrize("width", [2.0, 4.0])
def test_steps_are_whole_and_apart(steps: list[int], width: float) -> None:
    figure, (axis,) = new_figure(width=width)
    axis.plot(steps, np.ones(len(steps)), "o")
    steps_axis(axis, steps)
    check_figure(figure)
    labels = [label.get_text() for label in tick_labels(axis, "x")]
    assert labels and all(label.replace(",", "").isdecimal() for label in labels)
    assert ("0" in labels) == (0 in steps)
    low, high = axis.get_xlim()
    assert low < min(steps) and max(steps) < high


def test_whole_numbers() -> None:
    for high, wide in ((1, 3.2), (3, 3.2), (2_000_000, 2.5)):
        figure, (axis,) = new_figure(width=wide)
        axis.plot([0, high], [0, 1])
        whole_numbers(axis, "x")
        check_figure(figure)
        assert all(label.get_text().replace(",", "").isdecimal() for label in tick_labels(axis, "x"))


@pytest.mark.parametrize("value", [0.0, 0.734, -12000.0, 1e-12])
def test_a_constant_has_one_tick(value: float) -> None:
    figure, (axis,) = new_figure()
    values = np.array([value, value * (1 + 1e-16), np.nan])
    axis.plot(values, "o-")
    points_axis(axis, "y", values)
    laid_out(figure)
    assert [label.get_text() for label in tick_labels(axis, "y")] == [number(value)]
    low, high = axis.get_ylim()
    assert high - low >= abs(value) and low < value < high


def test_ticks_have_no_offset_and_nothing_has_no_ticks() -> None:
    figure, (axis,) = new_figure()
    axis.plot([1000.0, 1000.001])
    points_axis(axis, "y", [1000.0, 1000.001])
    check_figure(figure)
    points_axis(axis, "y", [np.nan])
    assert not len(axis.get_yticks())


def test_rows_have_names_of_any_length() -> None:
    figure, (axis,) = new_figure(height=1.2)
    width = laid_out(figure).axes[0].bbox.width
    axis.barh(range(3), [1, 2, 3])
    row_names(axis, ["short", "a name of enormous length that no page has any room for, $whatever$", "c"])
    check_figure(figure)
    assert axis.get_ylim() == (2.6, -0.6)
    assert axis.bbox.width == pytest.approx(width, rel=0.15)
    assert max(len(label.get_text()) for label in axis.get_yticklabels()) == 40
    check_apart(tick_labels(axis, "y"))


def test_wrapped_lines_fit() -> None:
    lines = wrapped(LONG, 150, 7).split("\n")
    assert len(lines) > 3 and max(text_width(line, 7) for line in lines) <= 150
    assert "".join(lines).replace(" ", "") == LONG.replace(" ", "")
    assert wrapped("", 100, 7) == ""


def test_ticks_of_a_logarithmic_axis() -> None:
    """Powers of ten, thinned; 1, 2 and 5 times them; evenly spaced ones in the narrowest range."""
    assert log_ticks(0.05, 30)[1] == ["0.1", "1", "10"]
    assert log_ticks(1e-9, 1)[1] == ["10⁻⁹", "10⁻⁷", "10⁻⁵", "10⁻³", "10⁻¹"]
    assert log_ticks(30, 900)[1] == ["50", "100", "200", "500"]
    narrow = log_ticks(0.31, 0.38)[0]
    assert len(narrow) >= 2 and 0.31 <= narrow.min() < narrow.max() <= 0.38
    assert log_ticks(1, 100)[2].tolist() == [*range(1, 10), *range(10, 100, 10), 100]


@pytest.mark.parametrize("ends", [(1.2e-7, 3.4e-6), (2e-6, 3.2e-6), (1.2e-4, 1.9e-4), (1e-9, 1.0)])
def test_logarithmic_ticks_of_a_small_panel_do_not_overlap(ends: tuple[float, float]) -> None:
    figure, axes = new_figure(panels=3, width=2.0)
    axes[1].plot(ends, ends)
    for along in ("x", "y"):
        log_axis(axes[1], along)
    check_figure(figure)
    for along in ("x", "y"):
        check_apart(tick_labels(axes[1], along))
        assert len(tick_labels(axes[1], along)) >= 2


@pytest.mark.parametrize(("last", "label"), [(900, "100"), (60_000, "10,000"), (250_000, "10,000")])
def test_late_steps_have_a_label(last: int, label: str) -> None:
    figure, axes = new_figure(panels=3, width=2.2, rows=2)
    for axis in axes:
        axis.plot([0, 1, last], np.ones(3))
        steps_axis(axis, [0, 1, last])
    check_figure(figure)
    labels = [words.get_text() for words in tick_labels(axes[1], "x")]
    assert labels[0] == "0" and labels[-1] == label
