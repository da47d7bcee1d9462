"""First-order baselines of attribution: inner products of gradients along training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.path_kernels import Progress, explained_batch, trajectory_of

if TYPE_CHECKING:
    from mechlab.kernels.recorded import RecordedTraining
    from mechlab.kernels.trajectory import Trajectory


def tracin(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    checkpoints: Sequence[int] | None = None,
    data: Batch | None = None,
    targets: Tensor | None = None,
    memory: int = 2**30,
    device: str = "cpu",
    progress: Progress | None = None,
) -> np.ndarray:
    """Return TracIn scores (X, C, N): the first-order change of each scalar by gradient descent on each example.

    Every step adds -rate / B <gradient of k's loss, gradient of q> to the scores of the examples k of its batch. A
    checkpoint adds -rate / N times that inner product to the score of every training example.

    Args:
        checkpoints: steps at which gradients are taken; every step of the history by default.
        data: training examples for checkpoints; all by default.
        (others): see `path_kernel`.

    Raises:
        ConfigError: checkpoints are not steps of the history, or an argument is wrong for `path_kernel`.

    Source: Pruthi et al., arXiv 2002.08484.
    """
    trajectory = trajectory_of(run_or_history, dtype, device)
    explained = Explained(trajectory.functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    device = trajectory.functional.device
    scores = torch.zeros(*explained.shape, trajectory.examples, dtype=torch.float64, device=device)
    every = list(range(trajectory.steps))[::-1]
    steps = every if checkpoints is None else sorted(checked_steps(trajectory, checkpoints), reverse=True)
    for done, index in enumerate(steps):
        if checkpoints is None:
            step = trajectory.step(index)
            theta, rate, batch = step.before.theta, step.rate, step.batch
        else:
            theta, batch = trajectory.state(index).theta, all_examples(trajectory, data)
            rate = trajectory.record.rates(min(index, trajectory.steps - 1))[0]
        products = _products(trajectory, explained, theta, batch, memory)
        scores.index_add_(-1, batch.index, -rate / len(batch) * products)
        if progress is not None:
            progress(done + 1, len(steps))
    return scores.cpu().numpy()


def gradient_dot(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    data: Batch | None = None,
    targets: Tensor | None = None,
    memory: int = 2**30,
    device: str = "cpu",
) -> np.ndarray:
    """Return minus the inner products (X, C, N) of gradients at the end of training, of scalars and training losses.

    Args:
        data: training examples; all by default.
        (others): see `path_kernel`.

    Raises:
        ConfigError: an argument is wrong for `path_kernel`.
    """
    trajectory = trajectory_of(run_or_history, dtype, device)
    explained = Explained(trajectory.functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    theta = trajectory.state(trajectory.steps).theta
    return -_products(trajectory, explained, theta, all_examples(trajectory, data), memory).cpu().numpy()


def checked_steps(trajectory: Trajectory, checkpoints: Sequence[int] | None) -> list[int]:
    """Return the checkpoints, by default the end of training.

    Raises:
        ConfigError: there are none, or not all are steps of the history.
    """
    last = trajectory.steps
    if checkpoints is None:
        return [last]
    if not (len(checkpoints) and 0 <= min(checkpoints) <= max(checkpoints) <= last):
        must, fix = f"checkpoints must be steps from 0 to {last}, one or more", "checkpoints=None for the default"
        raise ConfigError(must, got=list(checkpoints), key="checkpoints", fix=fix)
    return list(checkpoints)


def all_examples(trajectory: Trajectory, data: Batch | None = None) -> Batch:
    """Return all training examples on the model's device, by default those of the trajectory's task.

    Raises:
        ConfigError: there are none.
    """
    data = trajectory.data() if data is None else data
    if not len(data):
        must, fix = "there must be at least one training example", "data=None for all of them"
        raise ConfigError(must, got="an empty batch", key="data", fix=fix)
    return trajectory.functional.placed(data)


def _products(trajectory: Trajectory, explained: Explained, theta: Tensor, batch: Batch, memory: int) -> Tensor:
    """Return the inner products (X, C, B) of the scalars' and the losses' gradients at parameters theta (P,)."""
    inner = InnerProducts(trajectory.functional, limit=memory)
    directions = explained.gradients(theta)
    products, _ = inner(inner.choose(theta, batch, len(directions)), theta, batch, directions)
    return products.double().unflatten(0, explained.shape)
