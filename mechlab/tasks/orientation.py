"""Is a line horizontal or vertical?"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from mechlab.core.constraints import Seed, between
from mechlab.core.memory import check_memory
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.tasks.known_program import KnownProgram
from mechlab.tasks.line_images import FAMILIES, draw, lines


class Orientation(FiniteTask):
    """Classify images by the orientation of what they show: 0 for a column, 1 for a row.

    Inputs are images (N, 1, size, size) of 0 and 1, targets (N,) class indices. The training examples are the 2 * size
    images of one full column or one full row, alternately. Validation and test are on other figures, equally many of
    each of five families: diagonal and dotted diagonal segments, zigzags, dotted bars and outlines of rectangles, see
    `mechlab.tasks.line_images` for their ranges. Each image is followed by its transpose. The accuracy is hence the
    mean over the families, and a model that has equal scores for an image and for its transpose is right on one of
    the two. By the ground truth a figure is a row where it is wider than high.

    Args:
        size: rows and columns of an image.
        held_out: images of each family for validation, and as many again for test; fewer for a small size.
        seed: of the held-out images.

    Attributes:
        input_parts: name and shape of the input.

    Source: Blazek, Venkatesh and Lin, "Automated discovery of algorithms from data", Nature Computational Science 4
    (2024), arXiv 2111.08275; the generators of the families are not published.
    """

    def __init__(
        self,
        size: Annotated[int, between(6, 256)] = 28,
        held_out: Annotated[int, between(2, 100_000)] = 400,
        seed: Seed = 0,
    ):
        self.size, self.held_out, self.seed = size, held_out, seed
        self.input_parts = {"image": (size, size)}
        needed = 30 * len(FAMILIES) * held_out * size**2
        check_memory(needed, f"{held_out:,} images of each family", "task.held_out", "choose a smaller task.held_out")
        self.spec = TaskSpec(
            inputs=size * size,
            outputs=2,
            kind="static",
            loss="cross_entropy",
            shape=(1, size, size),
            classes=("column", "row"),
        )

    def examples(self, split: Split) -> Batch:
        """Return the images of a split; see the class for the shapes."""
        return self._splits[split]

    def families(self, n: int, rng: torch.Generator) -> dict[str, Batch]:
        """Draw n distinct images of each test family by name, each image followed by its transpose; fewer of a family
        that has not so many. The two images of such a pair, which are not independent, have the same index."""
        return {family: self._family(family, n // 2, rng) for family in FAMILIES}

    def subconcepts(self, batch: Batch) -> Tensor:
        """Return the number (B,) of the line that each training image of a batch shows."""
        return batch.index

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return 1 (B,) for images (B, 1, N, N) whose figure is wider than high, else 0."""
        return _wider(inputs), None

    def ground_truth(self) -> KnownProgram:
        """Return the rule of the width and the height of a figure, defined where they differ; images may be of any
        size."""
        return KnownProgram(_wider, _not_square)

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        rng = Streams(self.seed).torch("families")
        drawn = self.families(4 * (self.held_out // 2), rng)
        each = min(len(batch) for batch in drawn.values()) // 4 * 2  # images of a family in either split, in pairs
        val, test = (torch.cat([batch.inputs[first : first + each] for batch in drawn.values()]) for first in (0, each))
        return {"train": _batch(lines(self.size)[:, None].float()), "val": _batch(val), "test": _batch(test)}

    def _family(self, family: str, pairs: int, rng: torch.Generator) -> Batch:
        images = draw(family, pairs, self.size, rng)
        batch = _batch(torch.stack([images, images.mT], 1).flatten(0, 1)[:, None].float())
        return replace(batch, index=batch.index // 2)


def _batch(images: Tensor) -> Batch:
    return Batch(images, _wider(images), None, torch.arange(len(images)))


def _wider(images: Tensor) -> Tensor:
    height, width = _height_and_width(images)
    return (width > height).long()


def _not_square(images: Tensor) -> Tensor:
    height, width = _height_and_width(images)
    return height != width


def _height_and_width(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width (B,) in pixels of what images (B, 1, rows, columns) show; 0 for an empty image."""
    return _length(images.amax((1, 3)) > 0), _length(images.amax((1, 2)) > 0)


def _length(occupied: Tensor) -> Tensor:
    """Return the number (B,) of places from the first to the last occupied one (B, N)."""
    before, after = occupied.cummax(1)[0], occupied.flip(1).cummax(1)[0].flip(1)
    return (before & after).sum(1)
