"""The one DataModule: hands out ranges of optimiser steps to train on, and held-out examples in portions."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from mechlab.core.data import Source
from mechlab.core.evaluation import portions
from mechlab.core.recipe import Recipe


class RunData(pl.LightningDataModule):
    """Serves every task.

    Args:
        recipe: what is trained.
        source: its examples.
        intervals: Lightning gets control at every multiple of each (logging, checkpoints, callbacks).
        boundaries: further steps, in order, at which it gets control.
    """

    def __init__(self, recipe: Recipe, source: Source, intervals: set[int], boundaries: Sequence[int] = ()):
        super().__init__()
        self.recipe, self.source, self.intervals, self.boundaries = recipe, source, intervals, boundaries

    def train_dataloader(self) -> DataLoader:
        """Return the ranges of steps of an epoch; the training step fetches the batches itself."""
        return DataLoader(Ticks(self), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Return the validation split."""
        return DataLoader(portions(self.source.evaluation("val")), batch_size=None)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave batches where the source made them: on the device already."""
        return batch


class Ticks(IterableDataset):
    """The ranges (start, stop) of optimiser steps that make up one epoch, from the present step of training.

    A range ends at every multiple of an interval, counted from step 0 so that a resumed run has the same ranges, at
    every boundary, and at the end of the epoch and of training.
    """

    def __init__(self, data: RunData):
        self.data = data

    def __iter__(self) -> Iterator[tuple[int, int]]:
        recipe, start = self.data.recipe, self.data.trainer.global_step
        end = min((start // recipe.steps_per_epoch + 1) * recipe.steps_per_epoch, recipe.max_steps)
        while start < end:
            stop = min(end, *((start // interval + 1) * interval for interval in self.data.intervals))
            following = bisect.bisect(self.data.boundaries, start)
            if following < len(self.data.boundaries):
                stop = min(stop, self.data.boundaries[following])
            yield start, stop
            start = stop
