"""Images of lines and other figures that are wider than high, drawn at random: the test families of orientation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mechlab.tasks.distinct import first_occurrences

PUBLISHED = 28  # rows and columns for which the ranges of the families are given
Figures = tuple[Tensor, Tensor, Tensor]  # height (B,), width (B,) and pixels (B, N, N) in the upper left corner


def lines(size: int) -> Tensor:
    """Return all images of one full column or one full row (2 N, N, N) bool, alternately, for N = size."""
    each = torch.eye(size, dtype=torch.bool)
    columns, rows = each[:, None, :].expand(-1, size, -1), each[:, :, None].expand(-1, -1, size)
    return torch.stack([columns, rows], 1).flatten(0, 1)


def diagonal(n: int, size: int, rng: torch.Generator) -> Figures:
    """Draw n segments of width w and height h, in runs of equal length, with w in 8..28 and h in 2..w/2."""
    width, height = _extent(n, size, rng)
    return _graph(size, width, height, lambda column: column * height[:, None] // width[:, None], rng)


def dotted_diagonal(n: int, size: int, rng: torch.Generator) -> Figures:
    """Draw n segments as in `diagonal`, of which every second pixel remains."""
    height, width, pixels = diagonal(n, size, rng)
    return height, width, pixels & (torch.arange(size) % 2 == 0)


def zigzag(n: int, size: int, rng: torch.Generator) -> Figures:
    """Draw n triangle waves of slope 1 and any phase, of width w in 10..28 and height in 2..min(w/2, 8)."""
    width = _uniform(_scaled(10, size, 4), size, n, rng)
    height = _uniform(2, (width // 2).clamp(max=_scaled(8, size, 2)), n, rng)
    period = 2 * (height - 1)
    phase = _uniform(0, period - 1, n, rng)

    def wave(column: Tensor) -> Tensor:
        place = (column + phase[:, None]) % period[:, None]
        return torch.minimum(place, period[:, None] - place)

    return _graph(size, width, height, wave, rng)


def dotted(n: int, size: int, rng: torch.Generator) -> Figures:
    """Draw n horizontal bars of thickness 1..3 and width 7..28, of which every second column remains."""
    height = _uniform(1, _scaled(3, size, 1), n, rng)
    width = _uniform(_scaled(7, size, 3), size, n, rng)
    row, column = torch.arange(size)[:, None], torch.arange(size)
    pixels = (row < height[:, None, None]) & (column < width[:, None, None]) & (column % 2 == 0)
    return height, width, pixels


def outline(n: int, size: int, rng: torch.Generator) -> Figures:
    """Draw n borders, one pixel wide, of rectangles of width w in 6..28 and height in 3..w/2."""
    width = _uniform(_scaled(6, size, 6), size, n, rng)
    height = _uniform(3, width // 2, n, rng)
    row, column = torch.arange(size)[:, None], torch.arange(size)
    h, w = height[:, None, None], width[:, None, None]
    inside = (row < h) & (column < w)
    return height, width, inside & ((row == 0) | (row == h - 1) | (column == 0) | (column == w - 1))


FAMILIES: dict[str, Callable[[int, int, torch.Generator], Figures]] = {
    "diagonal": diagonal,
    "outline": outline,
    "zigzag": zigzag,
    "dotted": dotted,
    "dotted_diagonal": dotted_diagonal,
}


def draw(family: str, n: int, size: int, rng: torch.Generator) -> Tensor:
    """Draw n distinct images of a family at random places (n, N, N) bool for N = size, fewer if there are not so many.

    Ranges in pixels are given for N = 28 and in proportion to N otherwise. Each number is uniform in its range, given
    those drawn before it; images that have been drawn before are left out.
    """
    images = torch.empty(0, size, size, dtype=torch.bool)
    while len(images) < n:
        height, width, pixels = FAMILIES[family](2 * n + 100, size, rng)
        more = _placed(pixels, height, width, size, rng)
        together = torch.cat([images, more])
        together = together[first_occurrences(together)]
        if len(together) == len(images):
            break
        images = together
    return images[:n]


def _extent(n: int, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    width = _uniform(_scaled(8, size, 4), size, n, rng)
    return width, _uniform(2, width // 2, n, rng)


def _graph(
    size: int, width: Tensor, height: Tensor, row_of: Callable[[Tensor], Tensor], rng: torch.Generator
) -> Figures:
    """Return the images of functions of the column, each turned upside down with probability 1/2."""
    column = torch.arange(size)[None]
    rows = row_of(column).long()  # (B, N)
    turned = torch.randint(2, (len(width), 1), generator=rng).bool()
    rows = torch.where(turned, height[:, None] - 1 - rows, rows)
    pixels = rows[:, None, :] == torch.arange(size)[:, None]
    return height, width, pixels & (column < width[:, None])[:, None, :]


def _placed(pixels: Tensor, height: Tensor, width: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """Return figures (B, N, N) moved down and to the right by random distances within the image."""
    n = len(pixels)
    down, right = _uniform(0, size - height, n, rng), _uniform(0, size - width, n, rng)
    place = torch.arange(size)
    rows, columns = (place - down[:, None]) % size, (place - right[:, None]) % size  # (B, N), where pixels come from
    return pixels[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _uniform(low: int, high: int | Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw n whole numbers (n,) from `low` to `high`, both included."""
    count = torch.as_tensor(high) - low + 1
    return low + (torch.rand(n, generator=rng, dtype=torch.float64) * count).long()


def _scaled(pixels: int, size: int, least: int) -> int:
    """Return a length that is given for images of 28 pixels, in proportion to the size and at least `least`."""
    return max(least, round(pixels * size / PUBLISHED))
