"""Figures: they draw what they are given, and leave no global state."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mechlab.binding.companion import CompanionMatrix
from mechlab.plotting.ambiguity import curve_figure, states_figure
from mechlab.plotting.spectrum import spectrum_figure
from mechlab.plotting.style import look, new_figure, scatter_kinds
from mechlab.record.artifacts import Artifacts


def test_every_figure_can_be_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    theory = CompanionMatrix.repeat_copy(2, 3).spectrum
    curve = pd.DataFrame({"clusters": [4, 8], "weighted": [0.5, 0.1], "null_permuted": [0.9, 0.8]})
    labels = rng.integers(0, 20, 50)
    figures = {
        "spectrum": spectrum_figure(np.append(theory, 0.1), theory, theory, theory),
        "states": states_figure(rng.random((50, 2)), np.array([0.6, 0.2]), labels, labels, list(map(str, range(20)))),
        "curve": curve_figure(curve, 0.05),
    }
    for name, figure in figures.items():
        Artifacts(tmp_path).save_figure(name, figure)
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert (tmp_path / f"{name}.svg").stat().st_size > 5000


def test_spectrum_shows_every_eigenvalue_and_multiplicities() -> None:
    theory = CompanionMatrix.repeat_copy(2, 3).spectrum
    figure = spectrum_figure(np.append(theory, [0.1, 0.2]), theory, theory, theory)
    rings, points = figure.axes[0].collections
    assert (len(rings.get_offsets()), len(points.get_offsets())) == (6, 8)
    assert [text.get_text() for text in figure.axes[0].texts] == ["×2", "×2", "×2", "n = 8 eigenvalues"]


def test_curve_draws_the_nulls_that_there_are() -> None:
    curve = pd.DataFrame({"clusters": [4, 8], "weighted": [0.5, 0.1]})
    labels = [line.get_label() for line in curve_figure(curve, 0.05).axes[0].lines]
    assert labels[0] == "trained"
    assert "untrained" not in labels


@pytest.mark.parametrize("names", [None, ["a", "b"]])
def test_kinds_have_names_only_if_given(names: list[str] | None) -> None:
    _, (axis,) = new_figure()
    scatter_kinds(axis, np.eye(2), np.array([0, 1]), names)
    assert axis.get_legend_handles_labels()[1] == (names or [])


def test_rare_kinds_lie_above_frequent_ones() -> None:
    _, (axis,) = new_figure()
    scatter_kinds(axis, np.zeros((6, 2)), np.array([0, 0, 1, 2, 2, 2]))
    heights = [marks.get_zorder() for marks in axis.collections]
    assert heights[2] < heights[0] < heights[1] < 2


def test_looks_are_distinct() -> None:
    looks = [tuple(look(number).values()) for number in range(64)]
    assert len(set(looks)) == 64
    assert len({colour for colour, _ in looks[:8]}) == len({marker for _, marker in looks[:8]}) == 8


def test_pyplot_is_never_imported() -> None:
    modules = "mechlab.plotting.style, mechlab.plotting.spectrum, mechlab.plotting.ambiguity"
    script = f"import sys, {modules}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
