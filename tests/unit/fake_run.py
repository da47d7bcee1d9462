"""A run without a folder: a task, a model, and the same model untrained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from mechlab.core.task import Batch, FiniteTask, Split, Task, TaskSpec


@dataclass
class FakeRun:
    task: Task
    trained: nn.Module
    fresh: nn.Module
    seed: int = 0

    @property
    def spec(self) -> TaskSpec:
        return self.task.spec

    def model(self) -> nn.Module:
        return self.trained

    def untrained(self) -> nn.Module:
        return self.fresh

    def evaluation(self, split: Split, n: int | None = None) -> Batch:
        if isinstance(self.task, FiniteTask):
            batch = self.task.examples(split)
            return batch if n is None else batch[:n]
        return self.task.generate(n or 100, split, torch.Generator().manual_seed(0))
