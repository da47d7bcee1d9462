"""Outputs of networks that are retrained with other weights of the examples."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.record_in_memory import record_bytes, record_in_memory
from mechlab.core.recipe import Recipe
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from mechlab.analyses.attribution.checkpointed import Checkpointed
    from mechlab.kernels.explained import Explained
    from mechlab.kernels.reweighted import RepeatedTraining
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

        portion, X, C = self._repeated.portion(len(removed)), *self.explained.shape
        weights = 1.0 - torch.as_tensor(removed, dtype=torch.float64)
        work = ReweightedTrainings(
            weights,
            portion,
            self._repeated.training(portion),
            self._measured,
            self.trajectory.steps,
            (X * C,),
            self._workers,
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
        _ = self._repeated.initial  # threads cannot build it at the same time

        def compute() -> dict[str, Tensor]:
            carry_out(work, "datamodel, metagradients", parts.file("metagradients-part"))
            return {"derivatives": work.measured}

        return parts("metagradients", compute)["derivatives"].numpy()

    def _derived(self, weights: Tensor) -> Iterator[Tensor | None]:
        """Record a training with weights (1, N) and differentiate it; yield the derivatives (Q, N) after the last of
        all steps."""
        from mechlab.kernels.metagradients import MetagradientBackward, blocks_of

        recipe, initial = self._repeated.initial
        steps, device = self.trajectory.steps, self.trajectory.functional.device
        weights = weights[0].to(device, recipe.dtype)
        model, source = copy.deepcopy(initial), self._repeated.source(recipe)
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

    @cached_property
    def _repeated(self) -> RepeatedTraining:
        from mechlab.kernels.reweighted import RepeatedTraining

        return RepeatedTraining(self.recipe, self.trajectory, self.limit)

    def _measured(self, thetas: Tensor) -> Tensor:
        return torch.stack([self.explained.values(theta).flatten() for theta in thetas])
