"""Drawings of automata: nothing overlaps, nothing is missing, with graphviz where it is installed and without it."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.text import Text

from mechlab.automata.random import random_automaton
from mechlab.plotting import graphviz
from mechlab.plotting.automaton import MOST, automaton_figure
from mechlab.plotting.graph_layout import Edge, at, plain_layout
from mechlab.plotting.graphviz import graphviz_layout
from mechlab.record.artifacts import Artifacts

LETTERS = ("connect", "disconnect", "subscribe", "publish", "unsubscribe", "invalid")
BROKER = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 2, 1, 1, 0], [0, 0, 2, 2, 1, 0]])
ANSWERS = [
    ["CONNACK", *["CONCLOSED"] * 5],
    ["CONCLOSED", "CONCLOSED", "SUBACK", "PUBACK", "UNSUBACK", "CONCLOSED"],
    ["CONCLOSED", "CONCLOSED", "SUBACK", "PUBACK__PUBLISH", "UNSUBACK", "CONCLOSED"],
]


@pytest.fixture(params=["graphviz, if installed", "without graphviz"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without graphviz":
        monkeypatch.setenv("PATH", os.devnull)
        assert not graphviz.installed()


def broker() -> Figure:
    return automaton_figure(["q0", "q1", "q2"], [""] * 3, LETTERS, BROKER, 0, heading="Broker", edge_outputs=ANSWERS)


def drawn(n: int, m: int, classes: int = 2, **options) -> Figure:
    machine = random_automaton(n, m, np.random.default_rng(0), classes)
    outputs = [machine.classes[output] for output in machine.outputs]
    accepting = [output == "accept" for output in outputs] if classes == 2 else None
    return automaton_figure(machine.states, outputs, machine.alphabet, machine.transitions, 0, accepting, **options)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


@pytest.mark.ci
@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("size", [(1, 2), (2, 2), (5, 2), (12, 2), (20, 3, 3), (51, 2), (80, 2), "broker"])
def test_states_do_not_overlap_and_labels_are_beside_them(size: tuple[int, ...] | str) -> None:
    if size == (1, 2):
        figure = automaton_figure(["q0"], ["x"], ["a", "b"], np.zeros((1, 2), int), 0, [True])
    else:
        figure = broker() if size == "broker" else drawn(*size)
    n = 3 if size == "broker" else size[0]
    figure.draw_without_rendering()
    (axis,) = figure.axes
    rims = [patch for patch in axis.patches if isinstance(patch, Circle) and patch.get_fill()]
    assert len(rims) == (n if n <= MOST["graphviz" if graphviz.installed() else "plain"][0] else 0)
    if not rims:  # a matrix
        assert all(f"q{i}" in texts(figure) for i in range(n)) and {"a", "b"} <= set(texts(figure))
        return
    for one, other in combinations(rims, 2):
        assert np.linalg.norm(np.subtract(one.center, other.center)) > 1.05 * (one.radius + other.radius)
    inches = axis.transData.inverted()
    for text in axis.texts:
        box = text.get_window_extent().transformed(inches)
        nearest = [np.clip(rim.center, box.min, box.max) for rim in rims]
        distance = [np.linalg.norm(p - rim.center) / rim.radius for p, rim in zip(nearest, rims, strict=True)]
        inside = text.get_text().split("\n")[0] in {f"q{i}" for i in range(n)}
        assert min(distance) < 0.1 if inside else min(distance) > 0.9, text.get_text()
        low, high = figure.bbox.transformed(inches).get_points()
        assert (box.min > low).all() and (box.max < high).all()


@pytest.mark.usefixtures("both_ways")
def test_all_letters_and_outputs_are_named() -> None:
    words = " ".join(texts(broker())).replace(",", " ").split()
    assert {*LETTERS, *np.unique(ANSWERS)} <= set(words)
    moore = " ".join(texts(drawn(8, 3, 3)))
    assert all(name in moore for name in ("q0\ny", "q7\ny", "y0", "y1", "y2", "a", "b", "c"))


def test_long_names_of_a_large_machine_are_abbreviated_and_explained() -> None:
    rng = np.random.default_rng(0)
    letters = [f"{first}-the-temperature" for first in ("raise", "lower", "read")]
    given = [[f"{('', 'not-')[i]}acknowledged" for i in row] for row in rng.integers(0, 2, (14, 3))]
    states = [f"q{i}" for i in range(14)]
    figure = automaton_figure(states, states, letters, rng.integers(0, 14, (14, 3)), 0, edge_outputs=given)
    note = " ".join(texts(figure))
    assert all(f"= {letter}" in note.replace("\n", " ") for letter in letters)


def test_a_sink_of_many_states_has_a_line_in_place_of_edges() -> None:
    """A chain of twelve states whose other letter leads to a rejecting sink."""
    moves = np.array([[min(i + 1, 11), 12] for i in range(12)] + [[12, 12]])
    states, accepting = [f"q{i}" for i in range(13)], [i == 11 for i in range(13)]
    figure = automaton_figure(states, [""] * 13, ["a", "b"], moves, 0, accepting)
    assert "Transitions that are not drawn lead to q12." in texts(figure)
    moves[:, 1] = 0
    assert "not drawn" not in " ".join(texts(automaton_figure(states, [""] * 13, ["a", "b"], moves, 0, accepting)))


def test_names_with_dollars_and_marks_are_text() -> None:
    names = ["$a_1$", '"<b>&\\n"', "->"]
    figure = automaton_figure(names, [""] * 3, ["$x", "y$ ]"], np.array([[1, 2], [2, 0], [2, 0]]), 0, [True] * 3)
    figure.draw_without_rendering()
    assert set(names) <= set(texts(figure))


@pytest.mark.usefixtures("both_ways")
def test_the_same_automaton_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        Artifacts(tmp_path / folder).save_figure("automaton", drawn(10, 2))
    for name in ("automaton.svg", "automaton.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_edges_end_at_the_rims_of_their_states() -> None:
    machine = random_automaton(9, 2, np.random.default_rng(1))
    edges = [Edge(i, int(j), (0.1, 0.1)) for i, row in enumerate(machine.transitions) for j in np.unique(row)]
    layouts = [plain_layout(9, edges, 0, 0.4), *(graphviz_layout(9, edges, 0, 0.4, way) for way in ("LR", "TB", None))]
    assert len([layout for layout in layouts if layout]) >= (3 if graphviz.installed() else 1)
    for layout in layouts:
        for edge, curve in zip(edges, layout.curves if layout else [], strict=bool(layout)):
            ends = np.linalg.norm(curve[[0, -1]] - layout.places[[edge.source, edge.target]], axis=1)
            assert np.abs(ends - 0.2).max() < 0.03
            assert np.isfinite(at(curve)).all()


@pytest.mark.parametrize(
    "script", ["exit 1", "echo nonsense", "echo '{}'", "echo '[1]'", "sleep 5", 'echo \'{"objects": [], "edges": []}\'']
)
def test_a_program_that_fails_is_as_none(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dot").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin:/usr/bin")
    monkeypatch.setattr(graphviz, "SECONDS", 0.2)
    assert graphviz.installed()
    assert graphviz_layout(2, [Edge(0, 1, (0.1, 0.1))], 0, 0.3, "LR") is None
