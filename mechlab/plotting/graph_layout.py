"""The places of a graph's nodes, edges and labels: what a layout is, and a simple one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

ARROW = 0.3  # length of the arrow at the initial node, in inches
BENDS = (0.1, -0.1, 0.22, -0.22, 0.36, -0.36, 0.5, -0.5)  # of an edge, in its length
ALONG = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78)  # an edge, of its label
CIRCLE = 8  # nodes at most are placed around a circle
STRETCH = (1.0, 1.3, 1.6)  # of distances, until labels have room


class Edge(NamedTuple):
    """An edge between two nodes, and the width and height of its label in inches; (0, 0) for no label."""

    source: int
    target: int
    size: tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """A drawing of a graph, in inches.

    Args:
        places: (n, 2) the centres of the nodes.
        curves: for each edge the control points (3k + 1, 2) of k cubic Bezier curves in a row.
        labels: (number of edges, 2) the centres of the labels.
        start: (3k + 1, 2) the control points of the arrow at the initial node.
    """

    places: np.ndarray
    curves: list[np.ndarray]
    labels: np.ndarray
    start: np.ndarray

    def limits(self, edges: Sequence[Edge], diameter: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower left and the upper right corner (2,) of the drawing."""
        half = np.array([edge.size for edge in edges]).reshape(-1, 2) / 2
        corners = [self.places - diameter / 2, self.places + diameter / 2, self.labels - half, self.labels + half]
        points = np.concatenate([corners[0], corners[1], self.start])
        labelled = [corner[half.min(1) > 0] for corner in corners[2:]]
        points = np.concatenate([points, *labelled, *(at(curve) for curve in self.curves)])
        return points.min(0), points.max(0)

    def overlaps(self, edges: Sequence[Edge], diameter: float) -> int:
        """Return the number of labels that overlap a node or an earlier label."""
        boxes: list[tuple[np.ndarray, np.ndarray]] = []
        count = 0
        for edge, place in zip(edges, self.labels, strict=True):
            if min(edge.size) <= 0:
                continue
            half = np.array(edge.size) / 2
            count += _hidden(place, half, self.places, diameter / 2, boxes)
            boxes.append((place, half))
        return count


def at(curve: np.ndarray, samples: int = 12) -> np.ndarray:
    """Return points (k * samples, 2) on k cubic Bezier curves with control points (3k + 1, 2)."""
    return np.concatenate([_on(curve[i : i + 4], np.linspace(0, 1, samples)) for i in range(0, len(curve) - 1, 3)])


def plain_layout(n: int, edges: Sequence[Edge], initial: int, diameter: float) -> Layout:
    """Return a layout around a circle, or by springs for more than eight nodes, with the initial node at the left.

    Edges are bent around nodes, and labels moved along edges, where one of a few bends and places avoids overlaps.

    Args:
        n, edges, initial, diameter: as in `graphviz_layout`.

    Source: for the springs Kamada and Kawai (1989), "An algorithm for drawing general undirected graphs"; Gansner,
    Koren and North (2004), "Graph drawing by stress majorization".
    """
    layouts = []
    for stretch in STRETCH:
        layouts.append(_stretched(n, edges, initial, diameter, stretch))
        if not layouts[-1].overlaps(edges, diameter):
            break
    return min(layouts, key=lambda layout: layout.overlaps(edges, diameter))


def _stretched(n: int, edges: Sequence[Edge], initial: int, diameter: float, stretch: float) -> Layout:
    widest = max((edge.size[0] for edge in edges if edge.source != edge.target), default=0.0)
    unit = stretch * (diameter + max(0.45, min(widest, 1.2) + 0.15))  # between neighbours
    joined = np.zeros((n, n))
    for edge in edges:
        joined[edge.source, edge.target] = joined[edge.target, edge.source] = edge.source != edge.target
    places = _around(joined, initial, unit)
    if n > CIRCLE:
        places = _springs(places, joined, unit)
        turn = np.arctan2(*(places[initial] - places.mean(0))[::-1]) - np.pi
        places = (places - places.mean(0)) @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    begin = places[initial] - (diameter / 2 + ARROW, 0)
    start = begin + np.outer(np.arange(4) / 3, (ARROW, 0))

    curves: dict[int, np.ndarray] = {}
    labels = np.zeros((len(edges), 2))
    boxes: list[tuple[np.ndarray, np.ndarray]] = [(start.mean(0), np.array([ARROW / 2, 0.05]))]
    for number in sorted(range(len(edges)), key=lambda i: edges[i].source == edges[i].target):  # loops last: most free
        edge = edges[number]
        back = bool(joined[edge.source, edge.target]) and any(e[:2] == (edge.target, edge.source) for e in edges)
        loop = edge.source == edge.target
        options = _loops(places, edge, diameter) if loop else _bent(places, edge, diameter, back)
        others = np.delete(places, [edge.source, edge.target], axis=0)
        half, costs = np.array(edge.size) / 2, {}
        for i, (curve, label_places) in enumerate(options):
            line = at(curve)[1:-1]
            crossed = (np.linalg.norm(line[:, None] - others, axis=2) < diameter / 2 + 0.06).any(0).sum()
            covered = any((np.abs(line - centre) < extent).all(1).any() for centre, extent in boxes)
            for j, place in enumerate(label_places):
                hidden = _hidden(place, half, places, diameter / 2, boxes)
                costs[i, j] = 3 * crossed + 2 * hidden + covered
        i, j = min(costs, key=costs.__getitem__)  # the first of the best
        curves[number], labels[number] = options[i][0], options[i][1][j]
        boxes.append((labels[number], half))
    return Layout(places, [curves[number] for number in range(len(edges))], labels, start)


def _around(joined: np.ndarray, initial: int, unit: float) -> np.ndarray:
    """Return places (n, 2) around a circle, the initial node at the left and joined nodes close together."""
    n = len(joined)
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
    size = unit / (2 * np.sin(np.pi / n)) if n > 1 else 0.0
    angle = np.empty(n)
    angle[order] = np.pi - 2 * np.pi * np.arange(n) / n
    return size * np.column_stack([np.cos(angle), np.sin(angle)])


def _springs(places: np.ndarray, joined: np.ndarray, unit: float) -> np.ndarray:
    """Return places (n, 2) whose distances approximate `unit` times those in the graph, and are at least `unit`."""
    n = len(joined)
    distance = np.where(joined > 0, 1.0, np.inf)
    np.fill_diagonal(distance, 0)
    for k in range(n):
        distance = np.minimum(distance, distance[:, [k]] + distance[[k]])
    distance = unit * np.where(np.isfinite(distance), distance, 3) ** 0.8  # far pairs closer: a more even drawing
    weights = np.divide(1, distance**2, where=distance > 0, out=np.zeros_like(distance))
    laplacian = np.diag(weights.sum(1)) - weights
    inverse = np.linalg.pinv(laplacian)
    for _ in range(200):  # the iteration of stress majorization
        apart = np.linalg.norm(places[:, None] - places, axis=2) + np.eye(n)
        pull = weights * distance / apart
        places = inverse @ ((np.diag(pull.sum(1)) - pull) @ places)
    for _ in range(100):  # nodes that are too close move apart
        difference = places[:, None] - places
        apart = np.linalg.norm(difference, axis=2) + 10 * unit * np.eye(n)
        short = np.maximum(0, unit - apart)
        places = places + 0.5 * (difference * (short / apart)[..., None]).sum(1)
    return places


def _bent(places: np.ndarray, edge: Edge, diameter: float, back: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return possible curves between the rims of two nodes, each with possible places of the label."""
    source, target = places[edge.source], places[edge.target]
    across = np.array([(target - source)[1], -(target - source)[0]])
    outside = np.sign((source + target) / 2 @ across) or 1.0
    options = []
    for bend in (0.18, 0.3, 0.45) if back else (0.0, *(outside * np.array(BENDS))):  # one of two on each side
        control = (source + target) / 2 + bend * across
        begin = source + diameter / 2 * _unit(control - source)
        end = target + diameter / 2 * _unit(control - target)
        curve = np.stack([begin, (begin + 2 * control) / 3, (end + 2 * control) / 3, end])
        options.append((curve, _on(curve, np.array(ALONG))))
    return options


def _loops(places: np.ndarray, edge: Edge, diameter: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return possible curves from a node to itself, outwards first, each with possible places of the label."""
    node, r = places[edge.source], diameter / 2
    outwards = node - places.mean(0)
    first = np.arctan2(outwards[1], outwards[0]) if np.linalg.norm(outwards) > 1e-9 else np.pi / 2
    options = []
    for angle in first + np.array([0, 1, -1, 2, -2, 3, -3, 4]) * np.pi / 4:
        turns, distances = np.array([0.45, 0.55, -0.55, -0.45]), r * np.array([1, 2.7, 2.7, 1])
        curve = node + distances[:, None] * np.column_stack([np.cos(angle + turns), np.sin(angle + turns)])
        along = np.array([np.cos(angle), np.sin(angle)])
        beyond = 2.3 * r + np.abs(along * edge.size).min() / 2  # the label's border touches the curve
        options.append((curve, node + np.outer([beyond, 1.2 * beyond, 1.5 * beyond], along)))
    return options


def _on(curve: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the points (len(t), 2) of a cubic Bezier curve (4, 2) at parameters t."""
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1) @ curve


def _hidden(
    place: np.ndarray,
    half: np.ndarray,
    nodes: np.ndarray,
    radius: float,
    boxes: Sequence[tuple[np.ndarray, np.ndarray]],
) -> bool:
    """True if a label of half the size `half` at a place overlaps a node or one of some labels."""
    nearest = np.clip(nodes, place - half, place + half)
    on_node = bool((np.linalg.norm(nearest - nodes, axis=1) < radius).any())
    return on_node or any((np.abs(place - centre) < half + extent).all() for centre, extent in boxes)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
