"""Recognise handwritten digits."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F

from mechlab.core.constraints import OnlyWhereSet, Seed, between
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.core.task import SPLITS, Batch, FiniteTask, Split, TaskSpec


class Digits(FiniteTask):
    """The 1797 images of scikit-learn's digits, or those of some of the digits.

    Inputs are images (N, 1, 8, 8) with pixels in [0, 1]; targets (N,) are class indices. Every split has the same
    share of each digit, up to rounding. There is no known mechanism.

    Args:
        classes: the digits to distinguish, in the order of their class indices; all ten by default.
        held_out: share of each digit's images that goes to validation, and as much again to test.
        seed: of the split; the seed of the run is another one.
        shift: each training image is moved by up to so many pixels up or down and left or right, anew at each step;
            pixels that come in are 0.

    Raises:
        ConfigError: the classes are not at least two distinct digits.

    Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI repository (1998).
    """

    def __init__(
        self,
        classes: tuple[Annotated[int, between(0, 9)], ...] | None = None,
        held_out: Annotated[float, between(0.02, 0.45)] = 0.15,
        seed: Seed = 0,
        shift: Annotated[int, between(0, 7), OnlyWhereSet()] = 0,
    ):
        self.classes, self.held_out, self.seed, self.shift = classes, held_out, seed, shift
        self._digits = tuple(range(10)) if classes is None else tuple(classes)
        if len(set(self._digits)) < max(len(self._digits), 2) or not set(self._digits) <= set(range(10)):
            raise ConfigError(
                "classes must be at least two distinct digits from 0 to 9, or null for all of them",
                got=list(self._digits),
                key="task.classes",
                fix="for instance task.classes=[3,8]",
            )
        self.spec = TaskSpec(
            inputs=64,
            outputs=len(self._digits),
            kind="static",
            loss="cross_entropy",
            shape=(1, 8, 8),
            classes=tuple(map(str, self._digits)),
        )

    def examples(self, split: Split) -> Batch:
        """Return the images of a split, in the order of scikit-learn's rows."""
        return self._splits[split]

    @property
    def augments(self) -> bool:
        """True if images are shifted."""
        return self.shift > 0

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Return the batch with each image moved by a uniformly drawn number of pixels on either axis."""
        n, size = len(batch), batch.inputs.shape[-1]
        moved = torch.randint(-self.shift, self.shift + 1, (2, n, 1), generator=rng, device=batch.inputs.device)
        rows, columns = torch.arange(size, device=batch.inputs.device) - moved + self.shift  # (n, 8), in padded images
        padded = F.pad(batch.inputs[:, 0], [self.shift] * 4)
        images = padded[torch.arange(n, device=rows.device)[:, None, None], rows[:, :, None], columns[:, None]]
        return replace(batch, inputs=images[:, None])

    def chance(self) -> float:
        """Return the share of the most frequent digit in the training split."""
        targets = self.examples("train").targets
        return float(targets.bincount().max() / len(targets))

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        from sklearn.datasets import load_digits  # takes more than a second

        data = load_digits()
        images = torch.from_numpy(data.images).float()[:, None] / 16
        labels = torch.from_numpy(data.target)
        parts: dict[Split, list[torch.Tensor]] = {split: [] for split in SPLITS}
        for digit in self._digits:
            for split, rows in zip(SPLITS, self._divide(torch.nonzero(labels == digit).flatten(), digit), strict=True):
                parts[split].append(rows)
        return {split: self._batch(images, labels, torch.cat(rows).sort().values) for split, rows in parts.items()}

    def _divide(self, rows: torch.Tensor, digit: int) -> list[torch.Tensor]:
        """Split the rows of one digit, independently of the other digits."""
        held_out = max(1, round(self.held_out * len(rows)))
        order = torch.randperm(len(rows), generator=Streams(self.seed).torch("split", digit))
        return list(rows[order].split([len(rows) - 2 * held_out, held_out, held_out]))

    def _batch(self, images: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> Batch:
        targets = torch.tensor([self._digits.index(label) for label in labels[rows].tolist()])
        return Batch(images[rows], targets, None, torch.arange(len(rows)))
