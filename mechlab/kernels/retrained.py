"""Outputs of a network that is trained again with other weights of its examples: what attribution predicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.path_kernels import explained_batch
from mechlab.kernels.reweighted import MOST, ReweightedUpdates, retrain, side_by_side
from mechlab.kernels.trajectory import Trajectory

if TYPE_CHECKING:
    from mechlab.core.recipe import Recipe
    from mechlab.kernels.recorded import RecordedTraining


def retrained_outputs(
    run: RecordedTraining,
    inputs: Batch | Tensor,
    weights: np.ndarray | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    targets: Tensor | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """Return the explained scalars (M, X, C), float64, at the end of M trainings with other weights of the examples.

    Each training begins at the recorded initial parameters and takes the recorded batches. The weight of an example
    multiplies its loss, and batches keep their denominators: 0 removes an example, and a row of ones repeats the
    recorded training up to rounding.

    Args:
        run: a run with a record of every step and a fixed set of N training examples.
        inputs, outputs, targets: the explained scalars, as in `path_kernel`.
        weights: (M, N) or (N,), by the ids of the training examples.
        dtype, device: of the arithmetic; by default those of training.

    Raises:
        NotRecorded: a step is missing.
        ConfigError: the weights do not fit the training examples, or the model, optimizer or precision is not
            supported.
    """
    trajectory = Trajectory.of_run(run, dtype, device)
    explained = Explained(trajectory.functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    weights = torch.atleast_2d(torch.as_tensor(weights, dtype=torch.float64))
    if weights.ndim != 2 or weights.shape[1] != trajectory.examples or not weights.isfinite().all():
        must, got = f"weights must be finite numbers (M, {trajectory.examples})", f"shape {tuple(weights.shape)}"
        raise ConfigError(must, got=got, key="weights", fix="a weight for each training example, by its id")
    ends = [explained.values(theta) for theta in _ends(run.recipe, trajectory, weights)]
    return torch.stack(ends).double().cpu().numpy()


def _ends(recipe: Recipe, trajectory: Trajectory, weights: Tensor) -> Iterator[Tensor]:
    """Yield the parameters (P,) at the end of the training with each row of weights (M, N).

    Networks are trained side by side where torch can batch their operations, else one after another.
    """
    functional, steps = trajectory.functional, trajectory.steps
    recipe = replace(recipe, dtype=functional.dtype, initial=None, member=None)
    initial, source = trajectory.state(0).theta, recipe.source(functional.device, drawn_on=trajectory.drawn_on)

    def batch(step: int) -> Batch:
        return functional.placed(source.batch(step))

    rates, clip = trajectory.record.rates, trajectory.clip
    updates = ReweightedUpdates(functional, recipe.make_optimizer, batch, rates, steps, clip)
    if side_by_side(updates, initial):
        for part in weights.split(MOST):
            *_, thetas = retrain(updates, initial, part)
            yield from thetas
        return
    for row in weights.to(functional.device, functional.dtype):
        model = recipe.model(trajectory.record.params(0)).to(functional.device)
        for _ in recipe.steps(model, source=source, weights=row, stop=steps):
            pass
        yield functional.layout.join(dict(model.named_parameters())).detach()
