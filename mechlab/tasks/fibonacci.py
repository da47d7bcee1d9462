"""The Fibonacci sequence of bit vectors: each is the exclusive or of the last ones."""

from __future__ import annotations

from torch import Tensor

from mechlab.core.constraints import Size
from mechlab.tasks.dynamical_system import DynamicalSystem


class Fibonacci(DynamicalSystem):
    """Read s random vectors of d bits, then output the exclusive or of the last s vectors, bits as signs: 1 as +1, 0 as
    -1 (Karuvally et al., arXiv 2310.02430).

    Args:
        d: number of components of a vector.
        s: number of vectors to read.
        horizon: steps after the inputs.
    """

    def __init__(self, d: Size = 8, s: Size = 8, horizon: Size = 20):
        super().__init__(_exclusive_or, d, s, horizon)


def _exclusive_or(window: Tensor, step: int) -> Tensor:
    return -(-window).prod(1)  # of signs (-1)^bit, the product is that of the sum modulo 2
