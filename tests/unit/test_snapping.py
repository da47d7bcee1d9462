"""Weights that were rounded in storage."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.distill.distilling import distill


def coefficients(weights: np.ndarray, bias: float) -> list[int]:
    """Return the integer weights of a linear unit of bits, and its bias, that it is distilled to."""
    program = distill([np.append(weights, bias)[:, None]], (len(weights),), returns="scores")
    base = program(np.zeros(len(weights)))
    return (np.append([program(row) - base for row in np.eye(len(weights))], base) / program.scale).round(6).tolist()


@pytest.mark.parametrize("ratio", [3, 7, 27, 100])
def test_ratios_of_float32_weights_are_whole(ratio):
    rng = np.random.default_rng(ratio)
    for _ in range(5):
        weights = (rng.random() * np.repeat([1.0, ratio], [6, 2])).astype(np.float32).astype(float)
        assert coefficients(weights, 0.0) == [1] * 6 + [ratio] * 2 + [0]


def test_a_bias_that_is_rounding_is_zero():
    weights = np.array([0.5, 0.25])
    assert coefficients(weights, 3e-17) == [2, 1, 0]
    assert coefficients(weights, 0.75) == [2, 1, 3]
