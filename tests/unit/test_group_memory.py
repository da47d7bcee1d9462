"""Metrics never make a tensor or an array with as many numbers as there are triples of group elements."""

import tracemalloc

import numpy as np
import pytest
import torch
from planted_groups import random_weights
from torch.utils._python_dispatch import TorchDispatchMode

from mechlab.groups import group, irreps, metrics


class Largest(TorchDispatchMode):
    """Records the largest number of elements of any tensor that an operation returns."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.numbers = max(self.numbers, part.untyped_storage().nbytes() // part.element_size())
        return result


@pytest.mark.parametrize("name", ["S4", "C113", pytest.param("S6", marks=pytest.mark.ci)])
def test_no_tensor_or_array_has_as_many_numbers_as_triples(name):
    of, rng = group(name), np.random.default_rng(0)
    n = of.order
    a, b, u = random_weights(of, 20 if n < 720 else 128, rng)
    train = rng.random((n, n)) < 0.3
    irreps(of)  # are computed once
    with Largest():
        metrics(random_weights(group("C3"), 5, rng)[:2], np.ones((5, 3)), "C3", train=[0])  # imports what it needs
    tracemalloc.start()  # of numpy's arrays, and not of tensors
    try:
        with Largest() as largest:
            measured = metrics((a, b), u, of, train=train)
        arrays = tracemalloc.get_traced_memory()[1] / 8
    finally:
        tracemalloc.stop()
    assert np.isfinite(measured.excluded_loss)
    assert 0 < largest.numbers < n**3 * (0.1 if n == 720 else 1)
    assert 0 < arrays < n**3 * (0.1 if n == 720 else 2)  # together
