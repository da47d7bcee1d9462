"""Batches by optimiser step, for fixed and for endless data."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mechlab.core.curriculum import BLOCK, Stage, length_at
from mechlab.core.device import check_generator
from mechlab.core.plan import BatchPlan
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask, Split, Task


class Source:
    """The examples of a task on one device, as the batch plan orders them.

    Args:
        plan: which examples each step sees.
        streams: the run's randomness.
        device: where batches live; endless data is drawn there.
        dtype: of floating inputs and targets.
        evaluation_size: examples drawn for an evaluation split of endless data.
        stages: of a curriculum, in order, to which training adds; empty where all data have the task's own length.
        drawn_on: the device whose generator draws endless data and augmentations; other devices draw others. That of
            the batches by default.

    Raises:
        ConfigError: examples are drawn on a GPU, and there is none.
    """

    def __init__(
        self,
        task: Task,
        plan: BatchPlan,
        streams: Streams,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        evaluation_size: int = 1000,
        stages: Iterable[Stage] = (),
        drawn_on: str | torch.device | None = None,
    ):
        self.task, self.plan, self.streams = task, plan, streams
        self.device, self.dtype, self.evaluation_size = torch.device(device), dtype, evaluation_size
        self.drawn_on = self.device if drawn_on is None else torch.device(drawn_on)
        if task.augments or not isinstance(task, FiniteTask):
            check_generator(self.drawn_on)
        self.stages = list(stages)
        self._block: tuple[int, list[Batch]] | None = None  # the batches of one block of steps

    def batch(self, step: int) -> Batch:
        """Return the batch of optimiser step `step` (0-based), cropped to the steps that count, and augmented."""
        step = 0 if self.plan.overfit else step
        batch = self._fixed(step) if isinstance(self.task, FiniteTask) else self._endless(step)
        if self.task.augments:
            rng = self.streams.torch("augment", step, device=self.drawn_on)
            batch = self.task.augment(batch.to(self.drawn_on), rng).to(self.device)
        return batch

    def task_at(self, step: int) -> Task:
        """Return the task at the length that its data have at optimiser step `step`."""
        return self._at_length(length_at(self.stages, step)) if self.stages else self.task

    def held_out(self, length: int, n: int) -> Batch:
        """Return n held-out examples of a length, the same each time."""
        rng = self.streams.torch("curriculum", length)  # on the CPU, so that every device sees the same
        return self._at_length(length).generate(n, "val", rng).to(self.device, self.dtype)

    @functools.cache  # noqa: B019 (a source lives as long as its run)
    def _at_length(self, length: int) -> Task:
        return self.task.at_length(length)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start, ..., stop - 1."""
        return map(self.batch, range(start, stop))

    def evaluation(self, split: Split, n: int | None = None) -> Batch:
        """Return held-out examples: all of a fixed split, or `evaluation_size` seeded draws; the first n if given."""
        if isinstance(self.task, FiniteTask):
            batch = self.task.examples(split)
        else:
            rng = self.streams.torch("evaluation", split)  # on the CPU, so that every device sees the same
            batch = self.task.generate(self.evaluation_size, split, rng)
        return (batch if n is None else batch[:n]).to(self.device, self.dtype)

    def solved_on(self) -> Batch:
        """Return the training examples that a model is solved on: all of a fixed set, or `evaluation_size` draws."""
        return self.evaluation("train").cropped()

    @cached_property
    def _examples(self) -> Batch:
        assert isinstance(self.task, FiniteTask)
        return self.task.examples("train").to(self.device, self.dtype)

    @cached_property
    def _groups(self) -> Tensor | None:
        if self.plan.batch_size is None or not isinstance(self.task, FiniteTask):  # a batch of everything mixes them
            return None
        return self.task.groups()

    @functools.cache  # noqa: B019 (a source lives as long as its run)
    def _cropped(self, group: int | None) -> Batch:
        """Return all training examples, cropped to what a group of them needs."""
        if group is None or self._groups is None:
            return self._examples.cropped()
        return self._examples.cropped(torch.nonzero(self._groups.eq(group)).flatten().to(self.device))

    def _gathered(self, block: int) -> list[Batch]:
        """Return the batches of a block of steps, the examples of each group gathered at once and then cut up."""
        indices = [self.plan.indices(step) for step in range(block * BLOCK, (block + 1) * BLOCK)]
        groups = [None if self._groups is None else int(self._groups[ids[0]]) for ids in indices]
        batches: list[Any] = [None] * BLOCK
        for group in dict.fromkeys(groups):
            steps = [step for step in range(BLOCK) if groups[step] == group]
            examples, ids = self._cropped(group), torch.cat([indices[step] for step in steps]).to(self.device)
            fields = (examples.inputs, examples.targets, examples.mask)
            sizes = [len(indices[step]) for step in steps]
            parts = [[None] * len(steps) if x is None else x.index_select(0, ids).split(sizes) for x in fields]
            for step, *values in zip(steps, *parts, ids.split(sizes), strict=True):
                batches[step] = Batch(*values)
        return batches

    def _fixed(self, step: int) -> Batch:
        if self.plan.whole:
            return self._cropped(None)
        block, position = divmod(step, BLOCK)
        if self._block is None or self._block[0] != block:
            self._block = (block, self._gathered(block))
        return self._block[1][position]

    def _endless(self, step: int) -> Batch:
        size = self.plan.batch_size
        assert size is not None, "endless data have no batch of everything"
        block, position = divmod(step, BLOCK)
        if self._block is None or self._block[0] != block:
            rng = self.streams.torch("data", block, device=self.drawn_on)
            batch = self.task_at(step).generate(BLOCK * size, "train", rng).to(self.device, self.dtype).cropped()
            first = block * BLOCK * size
            index = torch.arange(first, first + BLOCK * size, device=self.device)
            batch = replace(batch, index=index)
            self._block = (block, [batch[first : first + size] for first in range(0, len(batch), size)])
        return self._block[1][position]
