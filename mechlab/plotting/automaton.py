"""A finite automaton as a graph; a large one as the matrix of its transitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path

from mechlab.plotting.graph_layout import Edge, Layout, plain_layout
from mechlab.plotting.graphviz import graphviz_layout
from mechlab.plotting.machine import Machine
from mechlab.plotting.style import COLOURS, DASHES, INK, TEXT, legend, text_width, title, wrapped
from mechlab.plotting.transition_matrix import matrix_figure

MOST = {"graphviz": (60, 160), "plain": (16, 60)}  # states and edges; with more, the matrix is drawn
UNNAMED = 60  # edges; with more, a letter is a colour and dashes instead of a label
COLOURED = 12  # edges; with more, labels and edges are coloured by letter
PAGES = 3  # a larger drawing is not readable: the matrix is drawn
PAGE = np.array([7.0, 8.5])  # width and height in inches
SMALLEST, LARGEST = 0.3, 0.62  # diameters of states, in inches
FILL = "#f4f6f8"
PALE = "#8a8a8a"


def automaton_figure(
    names: Sequence[str],
    outputs: Sequence[str],
    letters: Sequence[str],
    transitions: np.ndarray,
    initial: int,
    accepting: Sequence[bool] | None = None,
    heading: str = "",
    edge_outputs: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """Draw an automaton, in layers by graphviz where it is installed.

    States that are never left and do not accept are pale; where many edges lead to one of them, a line says so instead.

    Args:
        names: names of the n states.
        outputs: the class of each state, written below its name unless `accepting` or `edge_outputs` is given.
        letters: the m letters.
        transitions: (n, m) int, the target of each state and letter.
        initial: the initial state, marked by an arrow without a source.
        accepting: for a DFA, True for accepting states, which have a double circle.
        heading: the title.
        edge_outputs: for a Mealy machine, (n, m) the class of each transition.
    """
    given = None if edge_outputs is None else np.array([list(row) for row in edge_outputs])
    accepts = None if accepting is None else tuple(map(bool, accepting))
    transitions = np.asarray(transitions)
    machine = Machine(tuple(names), tuple(outputs), tuple(letters), transitions, initial, accepts, given)
    drawing, meanings = _drawing(machine), ""
    if drawing is not None and _pages(drawing) > 1.1:
        short, explained = machine.abbreviated()
        smaller = _drawing(short) if explained else None
        if smaller is not None and _pages(smaller) < _pages(drawing):
            drawing, meanings = smaller, explained
    if drawing is None or _pages(drawing) > PAGES:
        shown = outputs if accepting is None and given is None else ()
        return matrix_figure(names, letters, transitions, initial, accepting, shown, heading)
    return _figure(drawing, heading, meanings)


@dataclass(frozen=True)
class Drawing:
    """A machine, the texts in its states and at its edges, and their places."""

    machine: Machine
    texts: list[str]
    labels: list[str]
    edges: list[Edge]
    diameter: float
    layout: Layout


def _drawing(machine: Machine) -> Drawing | None:
    """Return the drawing of a machine, or None for one that is too large."""
    n, font = len(machine.names), machine.font
    texts = list(machine.names)
    if machine.accepting is None and machine.edge_outputs is None:
        texts = [f"{name}\n{output}" for name, output in zip(texts, machine.outputs, strict=True)]
    needed = max(np.hypot(*_size(text, font)) for text in texts) + (0.1 if machine.accepting else 0.04)
    diameter = float(np.clip(needed, SMALLEST if n <= 25 else 0.22, LARGEST))
    labels = [machine.label(pair) for pair in machine.edges]
    if len(machine.edges) > UNNAMED and len(machine.letters) <= len(COLOURS):
        labels = ["" if machine.letter(pair) is not None else machine.label(pair) for pair in machine.edges]
    edges = [Edge(*pair, _size(label, font)) for pair, label in zip(machine.edges, labels, strict=True)]

    def fits(kind: str) -> bool:
        return n <= MOST[kind][0] and len(edges) <= MOST[kind][1]

    layouts: list[Layout | None] = []
    if fits("graphviz"):
        layouts = [graphviz_layout(n, edges, machine.initial, diameter, direction) for direction in ("LR", "TB")]
    if not any(layouts) and fits("plain"):
        layouts = [plain_layout(n, edges, machine.initial, diameter)]
    drawings = [Drawing(machine, texts, labels, edges, diameter, layout) for layout in layouts if layout]
    if drawings and min(map(_pages, drawings)) > 2:  # long and thin, or very large
        springs = graphviz_layout(n, edges, machine.initial, diameter, None)
        drawings += [Drawing(machine, texts, labels, edges, diameter, springs)] if springs else []
    return min(drawings, key=lambda one: _pages(one) + one.layout.overlaps(edges, diameter), default=None)


def _pages(drawing: Drawing) -> float:
    """Return how many times larger than a page a drawing is; at least 1."""
    low, high = drawing.layout.limits(drawing.edges, drawing.diameter)
    return max(1.0, float(((high - low) / PAGE).max()))


def _figure(drawing: Drawing, heading: str, meanings: str) -> Figure:
    machine, diameter, layout = drawing.machine, drawing.diameter, drawing.layout
    low, high = layout.limits(drawing.edges, diameter)
    low, high = low - 0.08, high + 0.08
    width = max(high[0] - low[0], 2.6)
    low[0] -= (width - (high[0] - low[0])) / 2
    notes = []
    if meanings:
        notes.append(meanings)
    if machine.omitted is not None:
        notes.append(f"Transitions that are not drawn lead to {machine.names[machine.omitted]}.")
    note = "\n".join(wrapped(text, 72 * width - 8, TEXT - 1) for text in notes)
    unnamed = "" in drawing.labels
    below = (note.count("\n") + 1) * 1.25 * (TEXT - 1) / 72 + 0.08 if note else 0.0
    below += 0.25 if unnamed else 0
    above = 0.3
    height = high[1] - low[1]

    total = height + below + above
    figure = Figure(figsize=(width, total))  # without a layout engine: an inch of the drawing is an inch of the figure
    axis = figure.add_axes((0, 0, 1, (height + below) / total))
    axis.set(xlim=(low[0], low[0] + width), ylim=(low[1] - below, high[1]))
    axis.axis("off")
    _draw_edges(axis, drawing)
    _draw_states(axis, drawing)
    if note:
        axis.text(
            low[0] + 0.05,
            low[1] - 0.04,
            note,
            va="top",
            fontsize=TEXT - 1,
            color=INK,
            linespacing=1.2,
            parse_math=False,
        )
    if unnamed:
        handles = [Line2D([], [], label=name, **_look(i)) for i, name in enumerate(machine.letters)]
        legend(axis, handles=handles, loc="lower left", ncols=8, borderaxespad=0.2, handlelength=2.5)
    title(axis, heading)
    return figure


def _draw_edges(axis: Axes, drawing: Drawing) -> None:
    machine, layout = drawing.machine, drawing.layout
    coloured = len(machine.edges) > COLOURED and len(machine.letters) <= len(COLOURS)
    for pair, label, curve, place in zip(machine.edges, drawing.labels, layout.curves, layout.labels, strict=True):
        letter = machine.letter(pair)
        look = _look(letter) if coloured and letter is not None else {"color": INK if coloured else COLOURS[7]}
        if label:
            look["linestyle"] = "-"
        ink = look["color"] if coloured else COLOURS[0]
        if pair[1] in machine.sinks:
            look["color"] = ink = PALE
        _arrow(axis, curve, look)
        if label:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.8}
            middle = {"ha": "center", "va": "center", "linespacing": 1.05, "parse_math": False}
            axis.text(*place, label, fontsize=machine.font, color=ink, zorder=6, bbox=box, **middle)
    _arrow(axis, layout.start, {"color": INK})


def _draw_states(axis: Axes, drawing: Drawing) -> None:
    machine, diameter, font = drawing.machine, drawing.diameter, drawing.machine.font
    for i, (place, text) in enumerate(zip(drawing.layout.places, drawing.texts, strict=True)):
        ink = PALE if i in machine.sinks else INK
        rim = {"edgecolor": ink, "linewidth": 1.0 if len(machine.names) <= 25 else 0.8}
        axis.add_patch(Circle(place, diameter / 2, facecolor=FILL, zorder=3, **rim))
        if machine.accepting is not None and machine.accepting[i]:
            axis.add_patch(Circle(place, diameter / 2 - 0.035, fill=False, zorder=4, **{**rim, "linewidth": 0.8}))
        room = (diameter - (0.1 if machine.accepting else 0.04)) / np.hypot(*_size(text, font))
        middle = {"ha": "center", "va": "center", "linespacing": 0.95, "parse_math": False}
        axis.text(*place, text, fontsize=font * min(1, room), color=ink, zorder=5, **middle)


def _arrow(axis: Axes, points: np.ndarray, look: dict[str, object]) -> None:
    path = Path(points, [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1))
    line = FancyArrowPatch(path=path, arrowstyle="-", linewidth=0.8, zorder=2, shrinkA=0, shrinkB=0, **look)
    axis.add_patch(line)
    tip, back = points[-1], points[-1] - points[-2]
    back = 0.075 * back / max(np.linalg.norm(back), 1e-9)
    across = 0.42 * np.array([back[1], -back[0]])
    axis.fill(*np.array([tip, tip - back + across, tip - back - across]).T, color=look["color"], zorder=2, linewidth=0)


def _look(letter: int) -> dict[str, object]:
    return {"color": COLOURS[letter], "linestyle": DASHES[letter % len(DASHES)]}


def _size(text: str, font: float) -> tuple[float, float]:
    """Return the width and height of a text in inches, with a little room; (0, 0) for none."""
    if not text:
        return 0.0, 0.0
    lines = text.split("\n")
    return (max(text_width(line, font) for line in lines) + 5) / 72, (1.2 * font * len(lines) + 1) / 72
