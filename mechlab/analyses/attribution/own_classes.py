"""Examples with one class each: their classes, scalars with and without the class, and how close their inputs are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mechlab.core.task import Batch


def own_class_and_confidence(outputs: Tensor, batch: Batch) -> Tensor:
    """Return the log-probability of each example's own class, and minus the mean over all classes (X, 2)."""
    logs = outputs.log_softmax(-1)
    if logs.ndim == 3:  # (X, T, C), of whose steps one counts
        steps = _counted_steps(batch)
        logs = logs.gather(1, steps[..., None].expand(-1, -1, logs.shape[2]))[:, 0]
    return torch.stack([logs.gather(1, _classes(batch)[:, None])[:, 0], -logs.mean(1)], 1)


def targets_that_count(batch: Batch) -> np.ndarray:
    """Return the number (X,) of targets of each example that count."""
    counted = torch.ones_like(batch.targets, dtype=torch.bool) if batch.mask is None else batch.mask
    return counted.reshape(len(batch), -1).sum(1).numpy()


def _counted_steps(batch: Batch) -> Tensor:
    """Return the step (X, 1) of each example whose target counts."""
    counted = torch.ones_like(batch.targets) if batch.mask is None else batch.mask.to(batch.targets.dtype)
    return counted.argmax(1, keepdim=True)


def _classes(batch: Batch) -> Tensor:
    """Return the class (X,) of each example."""
    return batch.targets if batch.targets.ndim == 1 else batch.targets.gather(1, _counted_steps(batch))[:, 0]


def labels_of(batch: Batch) -> np.ndarray:
    """Return the class (X,) int64 of each example."""
    return _classes(batch).numpy()


def negative_sum_distances(batch: Batch, data: Batch) -> np.ndarray:
    """Return minus the distances (X, N) of the sums of the inputs' numbers."""
    sums = [each.inputs.flatten(1).double().sum(1).numpy() for each in (batch, data)]
    return -np.abs(sums[0][:, None] - sums[1])


def closeness(batch: Batch, data: Batch) -> np.ndarray:
    """Return the number of equal tokens in equal places, or minus the distances (X, N) of real inputs."""
    one, two = (each.inputs.flatten(1) for each in (batch, data))
    if not one.is_floating_point():
        return (one[:, None] == two).sum(-1).numpy()
    return -torch.cdist(one.double(), two.double()).numpy()
