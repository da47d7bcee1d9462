"""Periodic orbits of a recurrent network, and the distinct cycles on which they are."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor


def returns(orbits: Tensor) -> np.ndarray:
    """Return the distance (N,) between the first and the last state of orbits (N, p + 1, S), relative to the root mean
    square of their norms.

    Args:
        orbits: (N, p + 1, S) the states of N orbits over a period of p steps, both ends included.
    """
    size = orbits.square().sum(2).mean(1).sqrt().clamp(min=torch.finfo(orbits.dtype).tiny)
    return ((orbits[:, -1] - orbits[:, 0]).norm(dim=1) / size).double().cpu().numpy()


def cycles_of(orbits: Tensor, distance: float = 0.01) -> np.ndarray:
    """Return the number of the cycle (N,) int, from 0, on which each of N periodic orbits is.

    Orbits are on one cycle if the first state of one is near a state of the other, at any phase, or if a chain of such
    pairs joins them.

    Args:
        orbits: (N, p, S) the states over one period.
        distance: the largest distance between states that are near each other, relative to the root mean square of the
            states' norms.

    >>> turn = torch.tensor([[1.0], [-1.0]])
    >>> cycles_of(torch.stack([turn, -turn, 2 * turn])).tolist()
    [0, 0, 1]
    """
    if not len(orbits):
        return np.empty(0, int)
    orbits = orbits.double()
    scale = float(orbits.square().sum(2).mean().sqrt())
    near = torch.stack([torch.cdist(orbits[:, 0], orbit).amin(1) for orbit in orbits], 1) <= distance * scale
    return connected_components((near | near.T).cpu().numpy(), directed=False)[1].astype(int)
