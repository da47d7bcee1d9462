"""Layouts of graphs by graphviz, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mechlab.plotting.graph_layout import ARROW, Edge, Layout

SECONDS = 10  # that graphviz may take
POINTS = 72  # in an inch
LOOP = 0.05  # inches between the curve and the label of a loop

Direction = Literal["LR", "TB"]


def installed() -> bool:
    """True if graphviz's program dot is on the path."""
    return shutil.which("dot") is not None


def graphviz_layout(
    n: int, edges: Sequence[Edge], initial: int, diameter: float, direction: Direction | None
) -> Layout | None:
    """Return a layout by graphviz, or None where it is not installed or fails.

    Args:
        n: number of nodes.
        edges: at most one for each pair of nodes and direction.
        initial: the node that an arrow without a source points at.
        diameter: of the nodes, in inches.
        direction: "LR" for layers from left to right, "TB" from top to bottom, None for springs instead of layers.

    Source: Gansner, Koutsofios, North and Vo (1993), "A technique for drawing directed graphs"; Gansner, Koren and
    North (2004), "Graph drawing by stress majorization".
    """
    program = shutil.which("dot")
    if program is None:
        return None
    command = [program, "-Tjson0", "-Kdot" if direction else "-Kneato"]
    text = _question(n, edges, initial, diameter, direction)
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, check=True)
        layout = _answer(json.loads(done.stdout), n, len(edges))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, IndexError):
        return None
    for label, edge in zip(layout.labels, edges, strict=True):  # dot's labels of loops touch their curves
        if edge.source == edge.target:
            label += LOOP * np.sign((label - layout.places[edge.source]).round(1))
    return layout


def _question(n: int, edges: Sequence[Edge], initial: int, diameter: float, direction: Direction | None) -> str:
    """Return the graph in the DOT language; a label is an empty table of its size, so that our fonts decide."""
    close = len(edges) > 30
    lines = [
        "digraph {",
        f"rankdir={direction}; nodesep={0.1 if close else 0.16}; ranksep={0.13 if close else 0.22};"
        if direction
        else 'overlap=false; sep="+9"; splines=true; maxiter=500;',
        f'node [shape=circle, fixedsize=true, width={diameter:.3f}, label=""];',
        "edge [arrowsize=0.5];",
        *(f"{node};" for node in range(n)),
        f"start [width={ARROW / 4:.3f}, style=invis];",
        f"start -> {initial} [number=-1, weight=10, len=0.5];",
    ]
    for number, edge in enumerate(edges):
        width, height = (max(1, round(POINTS * side)) for side in edge.size)
        size = f'FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="{height}"'
        table = f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" {size}><TR><TD></TD></TR></TABLE>>'
        label = f", label={table}" if min(edge.size) > 0 else ""
        lines.append(f"{edge.source} -> {edge.target} [number={number}, len={2 * diameter:.3f}{label}];")
    return "\n".join([*lines, "}"])


def _answer(graph: dict[str, Any], n: int, m: int) -> Layout:
    """Return the layout in graphviz's JSON, where places are texts "x,y" in points with y upwards.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is not the layout of n nodes and m edges.
    """
    place = {node["name"]: _points(node["pos"])[0] for node in graph["objects"]}
    edges = {int(edge["number"]): edge for edge in graph["edges"]}
    curves = {number: _curve(edge["pos"]) for number, edge in edges.items()}
    labels = [_points(edges[number].get("lp", "0,0"))[0] for number in range(m)]
    places = np.array([place[str(node)] for node in range(n)])
    layout = Layout(places, [curves[number] for number in range(m)], np.array(labels).reshape(m, 2), curves[-1])
    if not all(np.isfinite(points).all() for points in (places, layout.labels, *curves.values())):
        raise ValueError("places must be finite")
    return layout


def _points(text: str) -> np.ndarray:
    return np.array([[float(number) for number in point.split(",")] for point in text.split()]).reshape(-1, 2) / POINTS


def _curve(text: str) -> np.ndarray:
    """Return the control points (3k + 1, 2) of a spline "e,x,y x,y ...", which begins with the tip of the arrow."""
    tip, *others = text.split()
    points = _points(" ".join(others))
    if not tip.startswith("e,") or len(points) % 3 != 1:
        raise ValueError("an edge must be one spline with an arrow at its end")
    points[-1] = _points(tip.removeprefix("e,"))[0]
    return points
