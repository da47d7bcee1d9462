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

from mechlab.analyses.attribution.record_in_memory import record_bytes, record_in_memory
from mechlab.core.data import Source
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
        train = self._side_by_side if portion > 1 else self._alone
        weights = 1.0 - torch.as_tensor(removed, dtype=torch.float64)
        work = ReweightedTrainings(
            weights, portion, train, self._measured, self.trajectory.steps, (X * C,), self._workers
        )

        def compute() -> dict[str, Tensor]:
            carry_out(work, "datamodeling, retraining", parts.file("retrained-part"))
            return {"outputs": work.measured}

        return parts("retrained", compute)["outputs"].numpy()

    def metagradients(self, removed: np.ndarray, parts: Checkpointed) -> np.ndarray:
        """Return the derivatives (W, Q, N) of the explained outputs in the weights of the examples, each at the weights
        at which some examples are removed (W, N).

        Trainings are recorded in memory, several at a time if the limit allows. Finished ones are saved in `parts`.
        """
        from mechlab.kernels.metagradients import blocks_of
        from mechlab.kernels.reweighted import ReweightedTrainings

        (X, C), N, steps = self.explained.shape, removed.shape[1], self.trajectory.steps
        record = record_bytes(steps, [self.trajectory.state(0).theta])
        workers = max(1, min(self._workers, self.limit // record))
        weights = 1.0 - torch.as_tensor(removed, dtype=torch.float64)
        yields = 1 + steps * len(blocks_of(self.explained, self.limit))
        measured = lambda derivative: derivative[None]  # noqa: E731
        work = ReweightedTrainings(weights, 1, self._derived, measured, yields, (X * C, N), workers)
        _ = self._initial  # threads cannot build it at the same time

        def compute() -> dict[str, Tensor]:
            carry_out(work, "datamodel, metagradients", parts.file("metagradients-part"))
            return {"derivatives": work.measured}

        return parts("metagradients", compute)["derivatives"].numpy()

    def _derived(self, weights: Tensor) -> Iterator[Tensor | None]:
        """Record a training with weights (1, N) and differentiate it; yield the derivatives (Q, N) after the last of
        all steps."""
        from mechlab.kernels.metagradients import MetagradientBackward, blocks_of

        recipe, initial = self._initial
        steps, device = self.trajectory.steps, self.trajectory.functional.device
        weights = weights[0].to(device, recipe.dtype)
        model, source = copy.deepcopy(initial), replace(self, recipe=recipe)._source()
        trajectory = record_in_memory(recipe, steps, self.limit, device, weights, model, source)
        yield None
        derivatives = []
        blocks = blocks_of(replace(self.explained, functional=trajectory.functional), self.limit)
        for block in blocks:
            backward = MetagradientBackward(trajectory, block, self.limit, weights)
            trajectory.forget()
            for done, total in backward:
                if done == total:
                    derivatives.append(torch.as_tensor(backward.result().derivative).flatten(0, 1))
                yield torch.cat(derivatives) if len(derivatives) == len(blocks) else None

    def recorded(self) -> np.ndarray:
        """Compute the explained outputs (Q,) with the final parameters of the recorded training."""
        return (
            self.explained.values(self.trajectory.state(self.trajectory.steps).theta).flatten().double().cpu().numpy()
        )

    @property
    def _workers(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))

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
        source = self._source()
        return lambda step: self.trajectory.functional.placed(source.batch(step))

    def _source(self) -> Source:
        """Return the examples of the recorded training, on the device of the repetitions."""
        return self.recipe.source(self.trajectory.functional.device, drawn_on=self.trajectory.drawn_on)

    def _side_by_side(self, weights: Tensor) -> Iterator[Tensor]:
        from mechlab.kernels.reweighted import retrain

        return retrain(self._training(), self.trajectory.state(0).theta, weights)

    def _alone(self, weights: Tensor) -> Iterator[Tensor | None]:
        """Train one network by ordinary updates, with weights (1, N); yield its parameters (1, P) after the last."""
        functional, steps = self.trajectory.functional, self.trajectory.steps
        recipe, initial = self._initial
        model = copy.deepcopy(initial)
        weights = weights[0].to(functional.device, functional.dtype)
        for step, *_ in recipe.steps(model, source=replace(self, recipe=recipe)._source(), weights=weights, stop=steps):
            yield functional.layout.join(dict(model.named_parameters())).detach()[None] if step == steps else None

    @cached_property
    def _initial(self) -> tuple[Recipe, nn.Module]:
        """The recipe in the precision of the repetitions, and the model before the first step."""
        recipe = replace(self.recipe, dtype=self.trajectory.functional.dtype, initial=None, member=None)
        return recipe, recipe.model(self.trajectory.record.params(0)).to(self.trajectory.functional.device)

    def _measured(self, thetas: Tensor) -> Tensor:
        return torch.stack([self.explained.values(theta).flatten() for theta in thetas])
