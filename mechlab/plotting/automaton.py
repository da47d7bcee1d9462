"""A finite automaton as a graph; a large one as the matrix of its transitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path

from mechlab.plotting.style import COLOURS, INK, TEXT, new_figure, title

MOST_STATES = 30  # with more, the matrix is drawn
RADIUS = 0.3  # of a state
APART = 1.25  # between neighbours
INCHES = 0.8  # for a unit of length
FILL = "#f4f6f8"


def automaton_figure(
    names: Sequence[str],
    outputs: Sequence[str],
    letters: Sequence[str],
    transitions: np.ndarray,
    initial: int,
    accepting: Sequence[bool] | None = None,
    heading: str = "",
) -> Figure:
    """Draw an automaton.

    Args:
        names: names of the n states.
        outputs: the class of each state; written below its name unless `accepting` is given.
        letters: the m letters.
        transitions: (n, m) int, the target of each state and letter.
        initial: the initial state, marked by an arrow without a source.
        accepting: for a DFA, True for accepting states, which have a double circle.
    """
    if len(names) > MOST_STATES:
        return _matrix_figure(transitions, heading)
    order = _around(transitions, initial)
    n = len(names)
    size = APART / (2 * np.sin(np.pi / n)) if n > 2 else (APART / 2 if n == 2 else 0.0)
    angle = np.empty(n)
    angle[order] = np.pi - 2 * np.pi * np.arange(n) / n  # the initial state at the left, the others clockwise
    places = size * np.column_stack([np.cos(angle), np.sin(angle)])

    extent = size + 1.05
    figure, (axis,) = new_figure(width=2 * extent * INCHES, height=2 * extent * INCHES + 0.3)
    axis.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")
    axis.axis("off")
    for (source, target), label in _edges(transitions, letters).items():
        if source == target:
            # the arrow without a source enters the initial state from outside, so its loop is drawn beside it
            _loop(axis, places[source], angle[source] - (0.9 if source == initial else 0), label)
        else:
            back = bool((transitions[target] == source).any())
            _edge(axis, places[source], places[target], label, back, first=source < target)
    _arrow(axis, [places[initial] + (-RADIUS - 0.55, 0), places[initial] + (-RADIUS, 0)], [Path.MOVETO, Path.LINETO])
    for i, place in enumerate(places):
        axis.add_patch(Circle(place, RADIUS, facecolor=FILL, edgecolor=INK, linewidth=1, zorder=3))
        if accepting is not None and accepting[i]:
            axis.add_patch(Circle(place, 0.82 * RADIUS, fill=False, edgecolor=INK, linewidth=0.8, zorder=4))
        text = names[i] if accepting is not None else f"{names[i]}\n{outputs[i]}"
        longest = max(map(len, text.split("\n")))
        font = min(TEXT, 1.5 * TEXT * 4 / max(longest, 4) * 0.75)
        axis.text(*place, text, ha="center", va="center", fontsize=font, color=INK, zorder=5, linespacing=0.95)
    title(axis, heading)
    return figure


def _edges(transitions: np.ndarray, letters: Sequence[str]) -> dict[tuple[int, int], str]:
    """Return the label of each edge, with all letters between the same two states."""
    letters_of: dict[tuple[int, int], list[str]] = {}
    for source, row in enumerate(transitions.tolist()):
        for letter, target in zip(letters, row, strict=True):
            letters_of.setdefault((source, target), []).append(letter)
    return {pair: "any" if len(read) == len(letters) > 3 else ", ".join(read) for pair, read in letters_of.items()}


def _around(transitions: np.ndarray, initial: int) -> np.ndarray:
    """Return the order of states around a circle, the initial one first, with connected states close together."""
    n = len(transitions)
    joined = np.zeros((n, n))
    np.add.at(joined, (np.repeat(np.arange(n), transitions.shape[1]), transitions.ravel()), 1)
    joined += joined.T
    order = np.concatenate([[initial], np.delete(np.arange(n), initial)])
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    distance = np.minimum(steps, n - steps)

    def cost(some: np.ndarray) -> float:
        return float((joined[np.ix_(some, some)] * distance).sum())

    least, better = cost(order), True
    while better:
        better = False
        for i in range(1, n):
            for j in range(i + 1, n):
                swapped = order.copy()
                swapped[[i, j]] = order[[j, i]]
                if cost(swapped) < least - 1e-9:
                    order, least, better = swapped, cost(swapped), True
    return order


def _edge(axis: Axes, source: np.ndarray, target: np.ndarray, label: str, back: bool, first: bool) -> None:
    """Draw a bent arrow between the rims of two states; `back` is True if there is one in the other direction too."""
    along, middle = target - source, (source + target) / 2
    across = np.array([along[1], -along[0]])
    if np.linalg.norm(along) < 1.01 * APART:  # neighbours: one on each side
        bend = 0.16 if back else 0.05
    else:  # towards the centre, away from the states between them
        bend = (0.05 if first or not back else 0.2) * (1 if middle @ across > -1e-9 else -1)
    control = middle - bend * across
    begin, end = (place + RADIUS * _unit(control - place) for place in (source, target))
    _arrow(axis, [begin, control, end], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    t = 0.4  # nearer the source: labels of crossing arrows fall on different places
    place = (1 - t) ** 2 * begin + 2 * t * (1 - t) * control + t**2 * end
    _label(axis, place - 0.1 * np.sign(bend) * _unit(across), label)


def _loop(axis: Axes, place: np.ndarray, angle: float, label: str) -> None:
    """Draw an arrow from a state to itself, in the direction of the angle."""

    def at(turn: float, distance: float) -> np.ndarray:
        return place + distance * np.array([np.cos(angle + turn), np.sin(angle + turn)])

    points = [at(0.45, RADIUS), at(0.5, 2.6 * RADIUS), at(-0.5, 2.6 * RADIUS), at(-0.45, RADIUS)]
    _arrow(axis, points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    _label(axis, at(0, 2.6 * RADIUS), label)


def _arrow(axis: Axes, points: list[np.ndarray], codes: list[int]) -> None:
    style = {"arrowstyle": "-|>", "mutation_scale": 8, "linewidth": 0.9, "color": COLOURS[7], "zorder": 2}
    axis.add_patch(FancyArrowPatch(path=Path(np.array(points), codes), **style))


def _label(axis: Axes, place: np.ndarray, text: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
    axis.text(*place, text, ha="center", va="center", fontsize=TEXT - 0.5, color=COLOURS[0], zorder=6, bbox=box)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _matrix_figure(transitions: np.ndarray, heading: str) -> Figure:
    """Draw the number of letters from each state (row) to each state (column)."""
    n = len(transitions)
    counts = np.zeros((n, n))
    np.add.at(counts, (np.repeat(np.arange(n), transitions.shape[1]), transitions.ravel()), 1)
    figure, (axis,) = new_figure(width=4.2, height=4.0)
    axis.imshow(counts, cmap="Greys", interpolation="nearest", vmin=0)
    axis.set(xlabel="to state", ylabel="from state")
    title(axis, heading)
    return figure
