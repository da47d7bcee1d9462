"""Patches of integers as few sums of boxes."""

from __future__ import annotations

import functools

import numpy as np

Box = tuple[int, tuple[int, ...], tuple[int, ...]]  # value, first and last position along each axis
MOST_CELLS = 1_000_000


def boxes(points: np.ndarray, values: np.ndarray) -> tuple[Box, ...]:
    """Return boxes whose values add up to a patch: one of blocks of equal values side by side, or a background minus
    what differs from it, whichever are fewer.

    Args:
        points: (m, axes), positions from 0.
        values: (m,), not 0.
    """
    return _cached(points.shape[1], points.astype(np.int64).tobytes(), values.astype(np.int64).tobytes())


def fewest_boxes(points: np.ndarray, values: np.ndarray) -> int:
    """Return a lower bound on the number of boxes that add up to a patch.

    A box has 2^axes corners, at which alone its mixed differences along all axes are not 0.
    """
    if len(points) < 3:
        return 1
    axes, shape = points.shape[1], points.max(0, initial=0) + 3
    if np.prod(shape.astype(object)) > MOST_CELLS:
        return 1
    grid = np.zeros(shape, np.int64)
    grid[tuple(points.T + 1)] = values
    for axis in range(axes):
        grid = np.diff(grid, axis=axis)
    return max(1, -(-np.count_nonzero(grid) // 2**axes))


@functools.lru_cache(maxsize=20_000)
def _cached(axes: int, points: bytes, values: bytes) -> tuple[Box, ...]:
    amounts = np.frombuffer(values, np.int64)
    where = np.frombuffer(points, np.int64).reshape(len(amounts), axes)
    if len(amounts) == 1 or not axes:
        return tuple((int(v), tuple(map(int, p)), tuple(map(int, p))) for p, v in zip(where, amounts, strict=True))
    shape = where.max(0) + 1
    if np.prod(shape.astype(object)) > MOST_CELLS:
        return tuple((int(v), tuple(map(int, p)), tuple(map(int, p))) for p, v in zip(where, amounts, strict=True))
    grid = np.zeros(shape, np.int64)
    grid[tuple(where.T)] = amounts
    return tuple(_fewest(grid))


def _fewest(grid: np.ndarray) -> list[Box]:
    side_by_side = _blocks(grid)
    values, counts = np.unique(grid, return_counts=True)
    common = int(counts.argmax())
    if len(side_by_side) < 3 or values[common] == 0 or 2 * counts[common] <= grid.size:
        return side_by_side
    value = int(values[common])
    whole = (value, (0,) * grid.ndim, tuple(n - 1 for n in grid.shape))
    different = [whole, *_blocks(grid - value)]
    return different if len(different) < len(side_by_side) else side_by_side


def _blocks(grid: np.ndarray) -> list[Box]:
    """Return boxes of equal values that do not overlap, each from its first point as far as it goes."""
    rest, made = grid.copy(), []
    for point in np.argwhere(grid):
        first = tuple(map(int, point))
        value = int(rest[first])
        if not value:
            continue
        last = list(first)
        for axis in reversed(range(grid.ndim)):
            while last[axis] + 1 < grid.shape[axis]:
                face = tuple(
                    slice(last[axis] + 1, last[axis] + 2) if k == axis else slice(first[k], last[k] + 1)
                    for k in range(grid.ndim)
                )
                if not (rest[face] == value).all():
                    break
                last[axis] += 1
        rest[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] = 0
        made.append((value, first, tuple(last)))
    return made
