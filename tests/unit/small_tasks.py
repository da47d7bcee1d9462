"""Tasks of a few examples, and short runs of them, for tests of how things happen rather than of what is learned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from mechlab.core.recipe import Recipe
from mechlab.core.schedule import Schedule
from mechlab.core.task import Batch, FiniteTask, Split, Task, TaskSpec
from mechlab.models.mlp import MLP
from mechlab.models.rnn import RNN
from mechlab.record.recorder import Recorder
from mechlab.record.run import Run
from mechlab.training.fit import FitSettings, fit

LENGTHS = (5, 2, 3, 2, 5, 3, 3, 2, 5, 5, 2)  # of the training sequences, in the order of their ids


class Ragged(FiniteTask):
    """Sequences of several lengths, classified at their last step; each length is a group."""

    def __init__(self):
        self.spec = TaskSpec(inputs=2, outputs=3, kind="sequence", loss="cross_entropy", length=6)

    def examples(self, split: Split) -> Batch:
        rng = torch.Generator().manual_seed(["train", "val", "test"].index(split))
        n, T = len(LENGTHS), self.spec.length
        lengths = torch.tensor(LENGTHS)[:, None]
        inputs = torch.randn(n, T, 2, generator=rng) * (torch.arange(T) < lengths)[..., None]
        targets = torch.randint(3, (n, T), generator=rng)
        return Batch(inputs, targets, torch.arange(T) == lengths - 1, torch.arange(n))

    def groups(self) -> Tensor:
        return torch.tensor(LENGTHS)


class Points(FiniteTask):
    """Regress two numbers from three, without a mask."""

    def __init__(self, n: int = 10):
        self.n = n
        self.spec = TaskSpec(inputs=3, outputs=2, kind="static", loss="mse", shape=(3,))

    def examples(self, split: Split) -> Batch:
        rng = torch.Generator().manual_seed(["train", "val", "test"].index(split))
        x, y = torch.randn(self.n, 3, generator=rng), torch.randn(self.n, 2, generator=rng)
        return Batch(x, y, None, torch.arange(self.n))


class Echo(Task):
    """Endless sequences of six steps, of which steps 2 to 4 have targets."""

    def __init__(self):
        self.spec = TaskSpec(inputs=2, outputs=2, kind="sequence", loss="mse", length=6)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        inputs = torch.randn(n, 6, 2, generator=rng, device=rng.device)
        mask = torch.zeros(n, 6, dtype=torch.bool)
        mask[:, 2:5] = True
        return Batch(inputs, inputs.roll(1, 1), mask, torch.arange(n))


OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "adam": partial(torch.optim.Adam, lr=0.02, weight_decay=0.01, fused=True),
    "adamw": partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5, fused=True),
}


def small_recipe(task: Task, optimizer: str = "adamw", steps: int = 30, seed: int = 0, **options: Any) -> Recipe:
    """A recipe with a schedule, clipping, and batches that do not divide the data."""
    architecture = partial(RNN, hidden=4, bias=True) if task.spec.kind == "sequence" else partial(MLP, hidden=5)
    defaults = {
        "schedule": Schedule("cosine", warmup=4, final=0.1),
        "steps_per_epoch": 11,
        "batch_size": 3,
        "clip": 0.5,
        "evaluation_size": 20,
    }
    return Recipe(task, architecture, OPTIMIZERS[optimizer], seed=seed, max_steps=steps, **(defaults | options))


def train(
    folder: Path,
    recipe: Recipe,
    kind: str = "full",
    points: int = 6,
    callbacks: Mapping[str, Any] = MappingProxyType({}),
    **recording: Any,
) -> Run:
    """Train in a folder as the commands do, with ticks that do not divide each other, and return the run."""
    recorder = Recorder(folder / "history", kind, recipe, points, **recording)
    fit(folder, recipe, recorder, FitSettings(chunk=4, log_every=6, checkpoint_every=9), callbacks)
    return Run(folder, lambda: recipe)
