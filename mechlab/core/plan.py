"""The examples of each optimiser step, as a pure function of the step."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from mechlab.core.seeding import Streams


class BatchPlan:
    """The order in which training examples are visited.

    Every epoch is a fresh permutation, cut into batches; the last batch of a group may be smaller, or is left out. With
    a batch of None (or of at least n, without groups) every step sees all examples in the order of their ids. Data that
    is drawn without end (n None) is numbered in the order in which it is drawn.

    Args:
        n: number of training examples; None for endless data.
        batch_size: examples per step; None for all of them.
        seed: root seed of the run.
        groups: (n,) group of each example; a batch of a given size never mixes groups.
        overfit: every step sees the batch of step 0.
        drop_last: a last batch of a group that is smaller than the others is left out.
    """

    def __init__(
        self,
        n: int | None,
        batch_size: int | None,
        seed: int,
        groups: Tensor | None = None,
        overfit: bool = False,
        drop_last: bool = False,
    ):
        if n is None and batch_size is None:
            raise ValueError("endless data needs a batch size")
        self.n, self.batch_size, self.seed, self.overfit = n, batch_size, seed, overfit
        self.drop_last = drop_last
        self._groups = None
        if n is not None and groups is not None and batch_size is not None:
            self._groups = [torch.nonzero(groups == group).flatten() for group in groups.unique()]
        self._batches = functools.lru_cache(maxsize=2)(self._epoch)

    @functools.cached_property
    def steps_per_epoch(self) -> int | None:
        """Optimiser steps in one pass over the data; None for endless data."""
        if self.n is None:
            return None
        if self.batch_size is None or self.batch_size >= self.n:
            return 1 if self._groups is None else len(self._groups)
        members = [self.n] if self._groups is None else [len(group) for group in self._groups]
        return sum(map(self._batches_of, members))

    @property
    def whole(self) -> bool:
        """True if every batch holds all examples."""
        return self.n is not None and self._groups is None and (self.batch_size is None or self.batch_size >= self.n)

    def indices(self, step: int) -> Tensor:
        """Return the ids (B,) int64 of the examples in the batch of optimiser step `step`."""
        step = 0 if self.overfit else step
        if self.n is None:
            assert self.batch_size is not None, "endless data have no batch of everything"
            return torch.arange(step * self.batch_size, (step + 1) * self.batch_size)
        if self.whole:
            return torch.arange(self.n)
        assert self.steps_per_epoch is not None
        epoch, position = divmod(step, self.steps_per_epoch)
        return self._batches(epoch)[position]

    def _batches_of(self, size: int) -> int:
        """Return into how many batches a group of a size is cut."""
        assert self.batch_size is not None
        return max(size // self.batch_size, 1) if self.drop_last else -(-size // self.batch_size)

    def _epoch(self, epoch: int) -> list[Tensor]:
        rng = Streams(self.seed).torch("order", epoch)
        assert self.n is not None
        groups = [torch.arange(self.n)] if self._groups is None else self._groups
        batches = []
        for group in groups:
            shuffled = group[torch.randperm(len(group), generator=rng)].split(self.batch_size)
            batches += shuffled[: self._batches_of(len(group))]
        if len(groups) == 1:
            return batches
        return [batches[i] for i in torch.randperm(len(batches), generator=rng)]


class RecordedPlan(BatchPlan):
    """The batches of a training that was recorded elsewhere; after the last one it begins anew.

    Args:
        n: number of training examples.
        batches: (S, B) ids of the examples of each step, -1 past the end of a smaller batch.
    """

    whole = False  # a batch of everything may have any order

    def __init__(self, n: int, batches: Tensor):
        super().__init__(n, batches.shape[1], seed=0)
        self._recorded = batches

    def indices(self, step: int) -> Tensor:
        """Return the ids (B,) int64 of the examples in the batch of optimiser step `step`."""
        indices = self._recorded[step % len(self._recorded)].long()
        return indices[indices >= 0]
