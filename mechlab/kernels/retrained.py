"""Outputs of a network that is trained again with other weights of its examples: what attribution predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.path_kernels import explained_batch
from mechlab.kernels.reweighted import RepeatedTraining
from mechlab.kernels.trajectory import Trajectory

if TYPE_CHECKING:
    from mechlab.kernels.recorded import RecordedTraining


def retrained_outputs(
    run: RecordedTraining,
    inputs: Batch | Tensor,
    weights: np.ndarray | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    targets: Tensor | None = None,
    memory: int = 2**30,
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
        memory: bytes that networks which are trained side by side may take. They are where this is faster and torch can
            batch their operations, else they are trained one after another, which differs by rounding.

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
    repeated = RepeatedTraining(run.recipe, trajectory, memory)
    portion = repeated.portion(len(weights))
    train, values = repeated.training(portion), []
    for part in weights.split(portion):
        *_, thetas = train(part)
        values += [explained.values(theta) for theta in thetas]
    return torch.stack(values).double().cpu().numpy()
