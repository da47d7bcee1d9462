"""The pairs of group elements in the splits of a run, and its network on all pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mechlab.groups.network import PairNetwork

if TYPE_CHECKING:
    from torch import nn

    from mechlab.core.task import Split
    from mechlab.record.run import Run


def pair_network(run: Run, model: nn.Module) -> PairNetwork:
    """Return a model of a run on all pairs of the elements of its group, in float64."""
    return PairNetwork.of_model(model, run.task.ground_truth().group)


def split_pairs(run: Run, split: Split) -> np.ndarray:
    """Return the mask (n, n) bool of the pairs in a split of a run's task."""
    group = run.task.ground_truth().group
    mask = np.zeros((group.order, group.order), dtype=bool)
    a, b = run.task.examples(split).inputs.numpy().T
    mask[a, b] = True
    return mask
