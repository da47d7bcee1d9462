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
    from mechlab.analyses.attribution.checkpointed import Checkpointed
    from mechlab.kernels.explained import Explained
    from mechlab.kernels.reweighted import ReweightedUpdates
    from mechlab.kernels.trajectory import Trajectory


@dataclass(frozen=True)
class ReweightedTraining:
    """A recorded training that is repeated with other weights of its examples.

    Args:
        recipe: of the training.
        trajectory: its record, in the precision of the repetitions.
        explained: the outputs that are measured at the end.
        limit: bytes that networks side by side may take.
        workers: concurrent trainings, or portions of them; None for one per available processor.
    """

    recipe: Recipe
    trajectory: Trajectory
    explained: Explained
    limit: int
    workers: int | None = None

    def outputs(self, removed: np.ndarray, parts: Checkpointed) -> np.ndarray:
        """Return the explained outputs (M, Q) at the end of training without the removed examples (M, N).

        Small networks are trained side by side, others one after another. Finished portions are saved in `parts`.
        """
        from mechlab.kernels.reweighted import ReweightedTrainings

        portion, X, C = self._portion(len(removed)), *self.explained.shape
        workers = self.workers or len(os.sched_getaffinity(0))
        train = self._side_by_side if portion > 1 else self._alone
        weights = 1.0 - torch.as_tensor(removed, dtype=torch.float64)
        work = ReweightedTrainings(weights, portion, train, self._measured, self.trajectory.steps, (X * C,), workers)

        def compute() -> dict[str, Tensor]:
            carry_out(work, "datamodeling, retraining", parts.file("retrained-part"))
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
        activations = InnerProducts(functional).activation_bytes(theta, batch) * len(batch) // itemsize
        portion = portion_size(networks, functional.layout.size, activations, itemsize, self.limit)
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

    def _alone(self, weights: Tensor) -> Iterator[Tensor | None]:
        """Train one network by ordinary updates, with weights (1, N); yield its parameters (1, P) after the last."""
        functional, steps = self.trajectory.functional, self.trajectory.steps
        recipe, initial = self._initial
        model = copy.deepcopy(initial)
        for step, *_ in recipe.steps(
            model, source=recipe.source(), weights=weights[0].to(functional.dtype), stop=steps
        ):
            yield functional.layout.join(dict(model.named_parameters())).detach()[None] if step == steps else None

    @cached_property
    def _initial(self) -> tuple[Recipe, nn.Module]:
        """The recipe in the precision of the repetitions, and the model before the first step."""
        recipe = replace(self.recipe, dtype=self.trajectory.functional.dtype, initial=None, member=None)
        return recipe, recipe.model(self.trajectory.record.params(0))

    def _measured(self, thetas: Tensor) -> Tensor:
        return torch.stack([self.explained.values(theta).flatten() for theta in thetas])
