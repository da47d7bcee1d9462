"""A run without a folder: a task, a model, and the same model untrained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


@dataclass
class FakeTraining(FakeRun):
    """A run that was recorded at some steps, with a planted model at each."""

    models: dict[int, nn.Module] = field(default_factory=dict)
    moment: Any = "last"
    folder: Path = Path("nowhere")
    recipe: Any = None

    @property
    def history(self) -> SimpleNamespace:
        return SimpleNamespace(steps=sorted(self.models))

    def at(self, moment: int) -> FakeTraining:
        return replace(self, trained=self.models[moment], moment=moment)
