"""Weights on a source as a background, lines along some of its axes, and points, which add up to them.

Lines with one value on most of their positions are preferred, so that a column minus a row that leaves out the crossing
is the sum of the column minus the sum of the row.
"""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np

Level = Literal["lines", "completed", "points"]


def decompose(table: np.ndarray, exists: np.ndarray | None, level: Level) -> list[tuple[tuple[bool, ...], np.ndarray]]:
    """Return [(axes summed whole, part (U, other axes))] whose contributions add up to the weights (U, *sizes)."""
    axes = table.ndim - 1
    exists = np.ones(table.shape[1:], bool) if exists is None else exists
    if level == "points" or axes == 0:
        return [((False,) * axes, table)]
    kinds = [whole for whole in itertools.product((True, False), repeat=axes) if any(whole)]
    parts = _lines(np.where(exists, table, 0), exists, kinds)
    if level == "completed":
        _complete(parts, exists)
    return list(parts.items())


def _lines(rest: np.ndarray, exists: np.ndarray, kinds: list[tuple[bool, ...]]) -> dict[tuple[bool, ...], np.ndarray]:
    """Return a background, lines and points: as long as it makes fewer weights nonzero, subtract a line's majority."""
    rest = rest.copy()
    axes = exists.ndim
    parts = {whole: np.zeros((len(rest), *kept(exists.shape, whole)), np.int64) for whole in kinds}
    active = np.arange(len(rest))
    for whole in kinds[:1]:
        value, gain = _majority(rest, exists, whole)
        value = np.where(gain > 0, value, 0)
        parts[whole] += value
        rest -= np.where(exists, value.reshape(-1, *[1] * axes), 0)
    for _ in range(sum(exists.shape)):
        if axes < 2 or not len(active):
            break
        best = np.zeros(len(active), int)
        chosen = [(None, 0, 0)] * len(active)
        for whole in kinds[1:]:
            value, gain = _majority(rest[active], exists, whole)
            gain, value = gain.reshape(len(active), -1), value.reshape(len(active), -1)
            place = gain.argmax(1)
            top = gain[np.arange(len(active)), place]
            for u in np.flatnonzero(top > best):
                chosen[u] = (whole, int(place[u]), int(value[u, place[u]]))
            best = np.maximum(best, top)
        for u, (whole, place, value) in zip(active, chosen, strict=True):
            if whole is None:
                continue
            line = np.unravel_index(place, parts[whole].shape[1:])
            parts[whole][(u, *line)] += value
            remaining = iter(line)
            index = tuple(slice(None) if summed else next(remaining) for summed in whole)
            rest[(u, *index)] -= np.where(exists[index], value, 0)
        active = active[best > 0]
    parts[(False,) * axes] = rest
    return parts


def kept(sizes: tuple[int, ...], whole: tuple[bool, ...]) -> list[int]:
    return [length for length, summed in zip(sizes, whole, strict=True) if not summed]


def _majority(rest: np.ndarray, exists: np.ndarray, whole: tuple[bool, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the value of most of each line's weights, 0 if there is none, and by how many fewer weights are nonzero
    without it, each (U, *axes that are not summed)."""
    axes = rest.ndim - 1
    order = [k for k in range(axes) if not whole[k]] + [k for k in range(axes) if whole[k]]
    across = kept(exists.shape, whole)
    lines = rest.transpose(0, *[k + 1 for k in order]).reshape(len(rest), *across, -1)
    present = exists.transpose(order).reshape(*across, -1)
    count = present.sum(-1)
    sortable = lines if present.all() else np.where(present, lines, np.iinfo(np.int64).max)
    middle = np.broadcast_to(np.maximum(count - 1, 0)[..., None] // 2, (len(rest), *across, 1))
    value = np.take_along_axis(np.sort(sortable, -1), middle, -1)[..., 0]
    value = np.where(count > 0, value, 0)
    equal = ((lines == value[..., None]) & present).sum(-1)
    zeros = ((lines == 0) & present).sum(-1)
    value = np.where(2 * equal > count, value, 0)
    return value, np.where(value != 0, equal - zeros, 0)


def _complete(parts: dict[tuple[bool, ...], np.ndarray], exists: np.ndarray) -> None:
    """Add lines along which no unit exists, where other units have lines of both directions.

    Of pairs a < b, the first index has no last line and the second no first one.
    """
    if exists.all() or exists.ndim != 2:
        return
    across, down = parts[(False, True)], parts[(True, False)]
    both = [
        (across[u].max(initial=0) + across[u].min(initial=0), down[u].max(initial=0) + down[u].min(initial=0))
        for u in range(len(across))
        if np.count_nonzero(across[u]) == np.count_nonzero(down[u]) == 1
    ]
    if not both:
        return
    pair = max(sorted(set(both)), key=both.count)
    empty_row, empty_column = np.flatnonzero(~exists.any(1)), np.flatnonzero(~exists.any(0))
    for u in range(len(across)):
        rows, columns = np.flatnonzero(across[u]), np.flatnonzero(down[u])
        if len(rows) == 1 and not len(columns) and across[u, rows[0]] == pair[0] and rows[0] in empty_column:
            down[u, rows[0]] = pair[1]
        if len(columns) == 1 and not len(rows) and down[u, columns[0]] == pair[1] and columns[0] in empty_row:
            across[u, columns[0]] = pair[0]
