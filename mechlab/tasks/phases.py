"""A diagonal composition whose output is complemented in half of the steps."""

from __future__ import annotations

import torch
from torch import Tensor

from mechlab.core.constraints import Size
from mechlab.tasks.dynamical_system import DynamicalSystem

PERIOD = 6  # steps of a cycle; complemented in the first half


class Phases(DynamicalSystem):
    """Read d random vectors in {-1, +1}^d, then output v_t[j] = z_{t-d+j}[j], with the sign -1 where (t - d) mod 6 <= 2
    (Karuvally et al., arXiv 2310.02430).

    Args:
        d: number of components of a vector, and of vectors to read.
        horizon: steps after the inputs.
    """

    def __init__(self, d: Size = 8, horizon: Size = 20):
        super().__init__(_complemented_diagonal, d, d, horizon)


def _complemented_diagonal(window: Tensor, step: int) -> Tensor:
    sign = -1 if step % PERIOD < PERIOD // 2 else 1
    return sign * torch.diagonal(window, dim1=1, dim2=2)
