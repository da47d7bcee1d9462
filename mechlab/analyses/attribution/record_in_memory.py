"""Trainings whose history is recorded in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.core.state import optimizer_tensors
from mechlab.core.task import Batch, FiniteTask, Split

if TYPE_CHECKING:
    from mechlab.core.data import Source
    from mechlab.kernels.trajectory import Trajectory


def record_in_memory(
    recipe: Recipe,
    steps: int,
    limit: int,
    device: str | torch.device = "cpu",
    weights: Tensor | None = None,
    model: nn.Module | None = None,
    source: Source | None = None,
) -> Trajectory:
    """Train a recipe, outside of an ensemble, and return its trajectory, recorded in memory.

    Args:
        recipe: of the training.
        steps: optimiser steps.
        limit: bytes that the record may take.
        device: of the training, of the record and of the trajectory's arithmetic.
        weights: (N,) weight of each training example, by id; 1 by default.
        model: before the first step; it is trained. That of the recipe by default, which several threads cannot build
            at the same time.
        source: of the batches; that of the recipe on the device by default.

    Raises:
        ConfigError: the record would take more.
    """
    from mechlab.core.update_equations import equations_of
    from mechlab.kernels.trajectory import Arrays, Trajectory

    recipe = replace(recipe, member=None)
    model = (recipe.model() if model is None else model).to(device)
    size = record_bytes(steps, model.parameters())
    if size > limit:
        must, got = "a record of every step in memory must fit memory_gb", f"{size / 1e9:.2g} GB"
        fix = "memory_gb=..., or leave out what trains other networks (other_seeds, mislabelled, weightings)"
        raise ConfigError(must, got=got, key="memory_gb", fix=fix)
    optimizer, source = recipe.optimizer(model), recipe.source(device) if source is None else source
    params, states = [_copied(model.state_dict())], [_copied(optimizer_tensors(model, optimizer))]
    for _ in recipe.steps(model, optimizer, source, weights=weights, stop=steps):
        params.append(_copied(model.state_dict()))
        states.append(_copied(optimizer_tensors(model, optimizer)))
    learning_rates, decays = zip(*(recipe.rates(optimizer, step) for step in range(steps)), strict=True)
    batches = [source.batch(step).index for step in range(steps)]
    arrays = Arrays(params, batches, learning_rates, decays, states)
    fixed = isinstance(recipe.task, FiniteTask)
    data = recipe.task.examples("train").to(device, recipe.dtype) if fixed else None
    rule = equations_of(recipe.optimizer(model))
    batch = None if fixed and not recipe.task.augments else source.batch
    return Trajectory.of_arrays(model, recipe.task.spec, data, rule, arrays, recipe.clip, device=device, batch=batch)


def record_bytes(steps: int, parameters: Iterable[Tensor]) -> int:
    """Return about how many bytes the record of a training of parameters takes."""
    return (steps + 1) * 3 * sum(value.numel() * value.element_size() for value in parameters)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


class RelabelledTask(FiniteTask):
    """A task with other targets of its training examples.

    Args:
        task: the task.
        targets: in place of those of its training examples.
    """

    def __init__(self, task: FiniteTask, targets: Tensor):
        self.task, self.targets, self.spec = task, targets, task.spec

    def examples(self, split: Split) -> Batch:
        """Return all examples of a split, in the order of their ids."""
        batch = self.task.examples(split)
        return replace(batch, targets=self.targets) if split == "train" else batch

    @property
    def augments(self) -> bool:
        """True if the wrapped task augments its batches."""
        return self.task.augments

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Return the batch as the wrapped task augments it."""
        return self.task.augment(batch, rng)

    def groups(self) -> Tensor | None:
        """Return the groups of the wrapped task."""
        return self.task.groups()

    def recorded_batches(self) -> Tensor | None:
        """Return the recorded batches of the wrapped task."""
        return self.task.recorded_batches()

    def ground_truth(self) -> object:
        """Return the ground truth of the wrapped task, from which constructed models are built."""
        return self.task.ground_truth()
