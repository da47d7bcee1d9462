"""Outputs of networks that are retrained with other weights of the examples."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mechlab.core.recipe import Recipe
from mechlab.core.task import Batch
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from mechlab.analyses.attribution.methods import Checkpointed
    from mechlab.kernels.explained import Explained
    from mechlab.kernels.reweighted import ReweightedUpdates
    from mechlab.kernels.trajectory import Trajectory


@dataclass(frozen=True)
class Retrained:
    """A recorded training, to be repeated with weights of its examples.

    Args:
        recipe: what was trained.
        trajectory: the record of it, in the precision of the retraining.
        explained: the outputs that are measured at the end.
        limit: bytes that trainings side by side may take.
        workers: trainings, or portions of them, at the same time; None for as many as there are processors in use.
    """

    recipe: Recipe
    trajectory: Trajectory
    explained: Explained
    limit: int
    workers: int | None = None

    def outputs(self, removed: np.ndarray, parts: Checkpointed) -> np.ndarray:
        """Return the explained outputs (M, Q) at the end of training without the removed examples (M, N).

        Small networks are trained side by side, others one after another by core/step.py. Finished parts are saved.
        """
        from mechlab.kernels.reweighted import Retrainings

        portion, X, C = self._portion(len(removed)), *self.explained.shape
        workers = self.workers or len(os.sched_getaffinity(0))
        train = self._side_by_side if portion > 1 else self._one
        weights = 1.0 - torch.as_tensor(removed, dtype=torch.float64)
        work = Retrainings(weights, portion, train, self._measured, self.trajectory.steps, (X * C,), workers)

        def compute() -> dict[str, Tensor]:
            carry_out(work, "validation, retraining", parts.file("retrained-part"))
            return {"outputs": work.measured}

        return parts("retrained", compute)["outputs"].numpy()

    def recorded(self) -> np.ndarray:
        """Compute the explained outputs (Q,) with the final parameters of the recorded training."""
        return self.explained.values(self.trajectory.state(self.trajectory.steps).theta).flatten().double().numpy()

    def _portion(self, networks: int) -> int:
        """Return how many networks are trained side by side; 1 where they are trained one after another."""
        from mechlab.kernels.inner import InnerProducts
        from mechlab.kernels.reweighted import portion_size, side_by_side

        functional, theta, batch = self.trajectory.functional, self.trajectory.state(0).theta, self._batches()(0)
        itemsize = theta.element_size()
        saved = InnerProducts(functional).saved_bytes(theta, batch) * len(batch) // itemsize
        portion = portion_size(networks, functional.layout.size, saved, itemsize, self.limit)
        return portion if portion > 1 and side_by_side(self._training(), theta) else 1

    def _training(self) -> ReweightedUpdates:
        from mechlab.kernels.reweighted import ReweightedUpdates

        trajectory = self.trajectory
        functional = copy.deepcopy(trajectory.functional)  # functional calls change the module, and workers are threads
        rates, steps = trajectory.record.rates, trajectory.steps
        return ReweightedUpdates(functional, self.recipe.make_optimizer, self._batches(), rates, steps, trajectory.clip)

    def _batches(self) -> Callable[[int], Batch]:
        """Return the batch of a step; each worker has a source of its own."""
        source = self.recipe.source()
        return lambda step: self.trajectory.functional.placed(source.batch(step))

    def _side_by_side(self, weights: Tensor) -> Iterator[Tensor]:
        from mechlab.kernels.reweighted import retrain

        return retrain(self._training(), self.trajectory.state(0).theta, weights)

    def _one(self, weights: Tensor) -> Iterator[Tensor | None]:
        """Train one network by ordinary updates, with weights (1, N); yield its parameters (1, P) after the last."""
        functional, steps = self.trajectory.functional, self.trajectory.steps
        recipe, fresh = self._fresh
        model = copy.deepcopy(fresh)
        for step, *_ in recipe.steps(
            model, source=recipe.source(), weights=weights[0].to(functional.dtype), stop=steps
        ):
            yield functional.layout.join(dict(model.named_parameters())).detach()[None] if step == steps else None

    @cached_property
    def _fresh(self) -> tuple[Recipe, nn.Module]:
        """The recipe in the precision of the retraining, and the model before the first step."""
        recipe = replace(self.recipe, dtype=self.trajectory.functional.dtype, initial=None, member=None)
        return recipe, recipe.model(self.trajectory.record.params(0))

    def _measured(self, thetas: Tensor) -> Tensor:
        return torch.stack([self.explained.values(theta).flatten() for theta in thetas])
