"""Figures of states, of training and of noise: what they name, what they leave free, and which steps they show."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mechlab.plotting.animation import frames_figure, steps_of_change
from mechlab.plotting.noise_dose import dose_figure
from mechlab.plotting.pictures import key, networks_figure, projections_figure

NAMES = [f"s{i}" for i in range(40)]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def learning(scores: list[float]) -> pd.DataFrame:
    steps = np.arange(len(scores))
    return pd.DataFrame({"step": 10 * steps, "epoch": steps, "accuracy": scores, "weighted": 1 - np.array(scores)})


def test_the_most_frequent_kinds_are_named_and_the_others_counted() -> None:
    kinds = np.repeat(np.arange(30), np.arange(30) + 1)
    handles, names = key(kinds, dict(enumerate(NAMES)), most=20)
    assert names == [*NAMES[10:30], "and 10 more"] and len(handles) == 21
    assert len({(h.get_color(), h.get_marker()) for h in handles[:-1]}) == 20
    assert key(kinds[:3], {0: "a", 1: "b"}, share=True)[1] == ["a (33%)", "b (67%)"]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_legends_and_letters_leave_the_data_free(dimensions: int) -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(300, dimensions)), rng.integers(0, 30, 300)
    letters = pd.DataFrame({"word": np.repeat([0, 1], 9), "letter": (["", *"abababab"] * 2)})
    path = np.resize(points[:4], (18, dimensions))  # there and back between four places, twice
    scores = SimpleNamespace(method="pca", nearest_mean=0.5, explained=0.8)
    figure = projections_figure([(scores, points)], [path], letters, labels, labels, NAMES)
    figure.draw_without_rendering()
    for axis in figure.axes:
        box = axis.get_legend().get_window_extent()
        assert box.y1 < axis.bbox.y0 and box.y0 > 0
        assert "n = 300 prefixes" in axis.texts[0].get_text()
    assert "all axes: 80%" in figure.axes[0].get_xlabel()
    drawn = [text for text in figure.axes[2].texts if text.get_text() in ("a", "b")]
    boxes = [text.get_window_extent() for text in drawn]
    assert len(boxes) >= 3
    centres = np.array([(box.x0 + box.x1, box.y0 + box.y1) for box in boxes]) / 2
    apart = np.linalg.norm(centres[:, None] - centres, axis=2) + 100 * np.eye(len(boxes))
    assert apart.min() > 4


def test_networks_have_a_legend_beside_them() -> None:
    planes = np.random.default_rng(0).normal(size=(3, 50, 2))
    names = ["clean", "noisy", "retrained"]
    table = pd.DataFrame({"network": names, "accuracy": [1, 0.2, 0.9], "weighted": [0, 0.5, 0.123456]})
    figure = networks_figure(planes, np.arange(50) % 3, NAMES, table)
    figure.draw_without_rendering()
    assert texts(figure) == NAMES[:3]
    assert figure.legends[0].get_window_extent().x0 > figure.axes[-1].bbox.x1
    assert figure.axes[2].texts[0].get_text() == "n = 50 prefixes, weighted ambiguity 0.123"


def test_frames_are_where_most_changes() -> None:
    """A hundred steps of which only 40 to 50 move the points, and 70 to 75 the scores."""
    moving = np.clip(np.arange(100) - 40, 0, 10) / 10
    planes = np.random.default_rng(0).normal(size=(1, 20, 2)) * (1 + 5 * moving[:, None, None])
    table = learning((np.clip(np.arange(100) - 70, 0, 5) / 5).tolist())
    shown = steps_of_change(planes, table, 12)
    assert len(shown) == 12 and shown[0] == 0 and shown[-1] == 99
    assert sum((39 <= step <= 51) or (69 <= step <= 76) for step in shown) == 10
    np.testing.assert_array_equal(shown, steps_of_change(planes, table, 12))


@pytest.mark.parametrize("count", [2, 12, 13, 60])
def test_frames_without_change_are_spread(count: int) -> None:
    planes, table = np.zeros((count, 5, 2)), learning([0.5] * count)
    shown = steps_of_change(planes, table, 12)
    assert len(np.unique(shown)) == len(shown) == min(count, 12) and {shown[0], shown[-1]} == {0, count - 1}
    assert max(b - a for a, b in pairwise(shown)) <= max(1, count / 5)


def test_each_frame_names_its_step_and_scores() -> None:
    planes = np.random.default_rng(0).normal(size=(5, 30, 2)).cumsum(0)
    table = learning([0.1, 0.2, 0.4, 0.8, 1.0])
    figure = frames_figure(planes, np.arange(30) % 4, NAMES, table)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title(loc="left") for axis in shown] == [f"step {10 * i} (epoch {i})" for i in range(5)]
    assert shown[2].texts[0].get_text() == "ambiguity 0.60, accuracy 0.40"
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().y1 < min(axis.bbox.y0 for axis in shown)
    assert texts(figure) == NAMES[:4]


def doses(chance: bool) -> pd.DataFrame:
    rows = [(dose, n, 1 - dose, dose / (n + 1)) for dose in (0.0, 0.01, 0.1, 0.5) for n in range(3 if dose else 1)]
    table = pd.DataFrame(rows, columns=["noise", "repeat", "accuracy", "weighted"])
    return table.assign(chance_accuracy=0.2, chance_weighted=0.9) if chance else table


@pytest.mark.parametrize("chance", [True, False])
def test_doses_are_on_a_logarithmic_axis_with_0_with_bands_and_chance(chance: bool) -> None:
    figure = dose_figure(doses(chance))
    figure.draw_without_rendering()
    (axis,) = figure.axes
    places = axis.transData.transform([(dose, 0) for dose in (0, 0.01, 0.1, 0.5)])[:, 0]
    assert (np.diff(places) > 20).all() and axis.bbox.x0 <= places[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "0.01", "0.1", "0.5"]
    flat = {float(line.get_ydata()[0]) for line in axis.lines if line.get_linestyle() == ":"}
    assert flat == ({0.2, 0.9} if chance else set())
    bands = [
        band.get_datalim(axis.transData) for band in axis.collections if hasattr(band, "get_fc") and band.get_paths()
    ]
    assert any(np.isclose(band.y1, 0.5) for band in bands)  # of the ambiguity: up to the first network's
