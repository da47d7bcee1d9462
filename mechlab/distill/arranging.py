"""Arranging units by the translations of their patches: dense grids of indices, triangles, or explicit lists."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Where = Literal["all", "less", "different"]


@dataclass(frozen=True)
class Place:
    """The translation along one axis, as a function of a block's indices: start, sign * index[axis] + start, or
    listed[index[axis]]."""

    start: int = 0
    axis: int | None = None
    sign: Literal[1, -1] = 1
    listed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Arrangement:
    """Units with block indices.

    Args:
        units: rows of the table of translations, in row-major order of the indices of units that exist.
        sizes: number of values of each index.
        where: units that exist.
        columns: how each translation follows the indices.
    """

    units: tuple[int, ...]
    sizes: tuple[int, ...]
    where: Where
    columns: tuple[Place, ...]


def arrange(table: np.ndarray, moduli: Sequence[int]) -> list[list[Arrangement]]:
    """Return the ways to arrange units, each a list of arrangements that share out the units.

    Args:
        table: (U, K) translations.
        moduli: length of the axis of each translation that is periodic, 0 for the others.
    """
    grid = _grid(table, moduli)
    if grid is not None:
        return [[grid]]
    ways = [[_listed(table, moduli)]]
    split = _split(table, moduli)
    return ways if split is None else [*ways, split]


def _columns(table: np.ndarray, moduli: Sequence[int]) -> tuple[list[Place], list[int]]:
    """Return places with the number of a free column as their axis, and the free columns."""
    free: list[int] = []
    columns: list[Place] = []
    for k, column in enumerate(table.T):
        place = None
        if (column == column[0]).all():
            place = Place(int(column[0]))
        for j, sign in itertools.product(range(len(free)), (1, -1)):
            if place is None:
                rest = column - sign * table[:, free[j]]
                rest = rest % moduli[k] if moduli[k] else rest
                if (rest == rest[0]).all():
                    start = int(rest[0])
                    start -= moduli[k] if moduli[k] and 2 * start > moduli[k] else 0
                    place = Place(start, j, sign)
        if place is None:
            place = Place(0, len(free))
            free.append(k)
        columns.append(place)
    return columns, free


def _grid(table: np.ndarray, moduli: Sequence[int]) -> Arrangement | None:
    """Return all units as a dense grid, or a triangle or off-diagonal of it; None if they are none of these."""
    columns, free = _columns(table, moduli)
    if not free:
        return Arrangement((0,), (), "all", tuple(columns)) if len(table) == 1 else None
    values = table[:, free]
    low, high = values.min(0), values.max(0)
    count = int(np.prod((high - low + 1).astype(object)))
    if count == len(table) and len(np.unique(values, axis=0)) == count:
        return _placed(columns, values, list(range(len(free))), low, high - low + 1, "all")
    for a, b in itertools.combinations(range(len(free)), 2):
        first, second = values[:, a], values[:, b]
        low[[a, b]], high[[a, b]] = min(low[a], low[b]), max(high[a], high[b])
        n = int(high[a] - low[a] + 1)
        others = count_of(high, low, (a, b))
        if len(np.unique(values, axis=0)) == len(table):
            if (first < second).all() and len(table) == others * (n * (n - 1) // 2):
                return _placed(columns, values, [a, b], low, high - low + 1, "less")
            if (first > second).all() and len(table) == others * (n * (n - 1) // 2):
                return _placed(columns, values, [b, a], low, high - low + 1, "less")
            if (first != second).all() and len(table) == others * n * (n - 1):
                return _placed(columns, values, [a, b], low, high - low + 1, "different")
        low, high = values.min(0), values.max(0)
    return None


def count_of(high: np.ndarray, low: np.ndarray, left_out: tuple[int, int]) -> int:
    """Return the number of points of a box without two of its axes."""
    return int(np.prod([int(high[k] - low[k] + 1) for k in range(len(low)) if k not in left_out], dtype=object))


def _placed(
    columns: list[Place], values: np.ndarray, front: list[int], low: np.ndarray, sizes: np.ndarray, where: Where
) -> Arrangement:
    """Return a grid with the free columns `front` as its first indices, and indices that start at 0."""
    order = [*front, *[k for k in range(values.shape[1]) if k not in front]]
    moved = [
        column
        if column.axis is None
        else Place(column.start + column.sign * int(low[column.axis]), order.index(column.axis), column.sign)
        for column in columns
    ]
    units = np.lexsort(values[:, order[::-1]].T)
    return Arrangement(tuple(map(int, units)), tuple(int(sizes[k]) for k in order), where, tuple(moved))


def _listed(table: np.ndarray, moduli: Sequence[int]) -> Arrangement:
    """Return all units with one index and lists of positions."""
    units = np.lexsort(table.T[::-1]) if table.shape[1] else np.arange(len(table))
    rows, index = table[units], np.arange(len(table))
    columns = []
    for column, modulus in zip(rows.T, moduli, strict=True):
        rest = (column - index) % modulus if modulus else column - index
        if (column == column[0]).all():
            columns.append(Place(int(column[0])))
        elif (rest == rest[0]).all():
            columns.append(Place(int(rest[0]), 0))
        else:
            columns.append(Place(0, 0, 1, tuple(map(int, column))))
    return Arrangement(tuple(map(int, units)), (len(table),), "all", tuple(columns))


def _split(table: np.ndarray, moduli: Sequence[int], most: int = 6) -> list[Arrangement] | None:
    """Return the units as at most `most` grids, by runs of values of one translation with equal sets of the others."""
    best = None
    for k in range(table.shape[1]):
        if len(np.unique(table[:, k])) < 2:
            continue
        parts = _runs(table, k)
        if len(parts) > most:
            continue
        grids = [(part, _grid(table[part], moduli)) for part in parts]
        if any(grid is None for _, grid in grids):
            continue
        way = [
            Arrangement(tuple(int(part[u]) for u in grid.units), grid.sizes, grid.where, grid.columns)
            for part, grid in grids
            if grid is not None
        ]
        if best is None or len(way) < len(best):
            best = way
    return best


def _runs(table: np.ndarray, k: int) -> list[np.ndarray]:
    """Return the rows of each run of consecutive values in column k whose rows agree in number."""
    values, counts = np.unique(table[:, k], return_counts=True)
    cuts = np.flatnonzero((np.diff(values) > 1) | (np.diff(counts) != 0)) + 1
    return [np.flatnonzero(np.isin(table[:, k], part)) for part in np.split(values, cuts)]
