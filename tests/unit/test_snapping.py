"""Weights that were rounded in storage."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.distill.snapping import snap_outputs


@pytest.mark.parametrize("ratio", [3, 7, 27, 100])
def test_ratios_of_float32_weights_are_whole(ratio):
    rng = np.random.default_rng(ratio)
    for _ in range(20):
        column = rng.random() * np.repeat([1.0, ratio], [6, 2])
        weights = column.astype(np.float32).astype(float)[:, None]
        snapped = snap_outputs(weights, np.zeros(1), np.abs(weights), 1e-2, 1e-9)
        assert snapped.weights[:, 0].tolist() == [1] * 6 + [ratio] * 2


def test_a_bias_that_is_rounding_is_zero():
    weights = np.array([[0.5], [0.25]])
    snapped = snap_outputs(weights, np.array([3e-17]), np.abs(weights), 1e-2, 1e-9)
    assert snapped.weights[:, 0].tolist() == [2, 1] and snapped.bias == [0]
    assert snap_outputs(weights, np.array([0.75]), np.abs(weights), 1e-2, 1e-9).bias == [3]
