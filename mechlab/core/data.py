"""Batches by optimiser step, for fixed and for endless data."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from mechlab.core.plan import BatchPlan
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask, Split, Task

BLOCK = 64  # steps of endless data that are drawn at once; part of what decides the data, so never a setting


class Source:
    """The examples of a task on one device, as the batch plan orders them.

    Args:
        plan: which examples each step sees.
        streams: the run's randomness.
        device: where batches live; endless data is drawn there.
        dtype: of floating inputs and targets.
        evaluation_size: examples drawn for an evaluation split of endless data.
    """

    def __init__(
        self,
        task: Task,
        plan: BatchPlan,
        streams: Streams,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        evaluation_size: int = 1000,
    ):
        self.task, self.plan, self.streams = task, plan, streams
        self.device, self.dtype, self.evaluation_size = torch.device(device), dtype, evaluation_size
        self._block: tuple[int, Batch] | None = None

    def batch(self, step: int) -> Batch:
        """Return the batch of optimiser step `step` (0-based), cropped to the steps that count."""
        if isinstance(self.task, FiniteTask):
            return self._fixed(self.plan.indices(step))
        return self._endless(step)

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

    @cached_property
    def _examples(self) -> Batch:
        return self.task.examples("train").to(self.device, self.dtype)

    @cached_property
    def _groups(self) -> Tensor | None:
        return None if self.plan.batch_size is None else self.task.groups()  # a batch of everything mixes them

    @functools.cache  # noqa: B019 (a source lives as long as its run)
    def _cropped(self, group: int | None) -> Batch:
        """Return all training examples, cropped to what a group of them needs."""
        rows = slice(None) if group is None else torch.nonzero(self._groups == group).flatten().to(self.device)
        return self._examples.cropped(rows)

    def _fixed(self, indices: Tensor) -> Batch:
        examples = self._cropped(None if self._groups is None else int(self._groups[indices[0]]))
        if self._groups is None and len(indices) == len(examples):
            return examples  # a full batch is in the order of the ids: nothing to gather
        rows = indices.to(self.device)
        mask = None if examples.mask is None else examples.mask.index_select(0, rows)
        return Batch(examples.inputs.index_select(0, rows), examples.targets.index_select(0, rows), mask, rows)

    def _endless(self, step: int) -> Batch:
        size = self.plan.batch_size
        block, position = divmod(0 if self.plan.overfit else step, BLOCK)
        if self._block is None or self._block[0] != block:
            rng = self.streams.torch("data", block, device=self.device)
            batch = self.task.generate(BLOCK * size, "train", rng).to(self.device, self.dtype).cropped()
            first = block * BLOCK * size
            index = torch.arange(first, first + BLOCK * size, device=self.device)
            self._block = (block, replace(batch, index=index))
        return self._block[1][position * size : (position + 1) * size]
