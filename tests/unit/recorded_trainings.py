"""Short trainings that are recorded in plain lists, for tests of attribution."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from mechlab.core.recipe import Recipe
from mechlab.core.schedule import Schedule
from mechlab.core.state import optimizer_tensors
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.core.update_equations import equations_of
from mechlab.kernels.trajectory import Arrays, Trajectory
from mechlab.models.transformer1 import Transformer1
from mechlab.tasks.modular_addition import ModularAddition


def transformer(spec: TaskSpec) -> Transformer1:
    return Transformer1(spec, width=8, heads=2, hidden=12, positions=3)


class Permuted(FiniteTask):
    """Another task with its training examples in another order."""

    def __init__(self, task: FiniteTask, order: torch.Tensor):
        self.task, self.order, self.spec = task, order, task.spec

    def examples(self, split: Split) -> Batch:
        batch = self.task.examples(split)
        return replace(batch[self.order], index=batch.index) if split == "train" else batch


class Noisy(nn.Module):
    """A model with a layer that behaves otherwise while it trains."""

    def __init__(self, spec, layer):
        super().__init__()
        self.table, self.layer = nn.Embedding(spec.inputs, spec.outputs), layer

    def forward(self, inputs):
        return self.layer(self.table(inputs).sum(1))


def recipe_of(optimizer, steps=10, batch_size=None, task=None, model=transformer, p=5, **options) -> Recipe:
    defaults = {"schedule": Schedule("cosine", warmup=3, final=0.2), "steps_per_epoch": 5, "clip": None}
    return Recipe(
        task or ModularAddition(p, tokens="expression"),
        model,
        optimizer,
        seed=0,
        max_steps=steps,
        batch_size=batch_size,
        **({**defaults, "dtype": torch.float64} | options),
    )


def recorded(recipe: Recipe, batches=None, weights=None) -> Arrays:
    """Train by plain updates; `batches` are used in place of the recipe's, `weights` (N,) weigh the examples."""
    model = recipe.model()
    optimizer, source = recipe.optimizer(model), recipe.source()
    data = recipe.task.examples("train").to("cpu", recipe.dtype)
    if batches is not None:
        source.batch = lambda step: data[torch.as_tensor(batches[step])]
    copied = lambda tensors: {name: value.detach().clone() for name, value in tensors.items()}  # noqa: E731
    params, used, rates, decays, states = [copied(model.state_dict())], [], [], [], []
    for step in range(recipe.max_steps):
        states.append(copied(optimizer_tensors(model, optimizer)))
        rate, decay = recipe.rates(optimizer, step)
        recipe.update(model, optimizer, source, step, weights)
        used, rates, decays = [*used, source.batch(step).index], [*rates, rate], [*decays, decay]
        params.append(copied(model.state_dict()))
    return Arrays(params, used, rates, decays, states)


def trajectory_of(recipe: Recipe, arrays: Arrays, dtype=None) -> Trajectory:
    model = recipe.model()
    data = recipe.task.examples("train").to("cpu", recipe.dtype)
    rule = equations_of(recipe.optimizer(model))
    return Trajectory.of_arrays(model, recipe.task.spec, data, rule, arrays, recipe.clip, dtype)


def shuffled(n: int, steps: int, size: int | None = None, seed: int = 1) -> list[torch.Tensor]:
    """Return full batches in a new order at each step, or random ones of varying size up to `size`."""
    rng = torch.Generator().manual_seed(seed)
    lengths = [n if size is None else size - step % 3 for step in range(steps)]
    return [torch.randperm(n, generator=rng)[:length] for length in lengths]
