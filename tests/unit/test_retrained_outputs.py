"""Outputs after retraining with other weights of the examples: against the recorded training and its derivative."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of
from small_tasks import Ragged, small_recipe, train

from mechlab.core.errors import ConfigError
from mechlab.kernels import metagradient, retrained
from mechlab.kernels.retrained import retrained_outputs
from mechlab.record.run import Run

ADAMW = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5)


@pytest.fixture(params=["static", "sequence"])
def run(request, tmp_path) -> Run:
    recipe = recipe_of(ADAMW, steps=6, batch_size=6) if request.param == "static" else small_recipe(Ragged(), steps=6)
    return train(tmp_path, recipe)


@pytest.mark.parametrize("together", [True, False])
def test_weights_of_one_repeat_the_training_and_others_follow_its_derivative(run, together, monkeypatch):
    """In float64 to rounding; the derivative along a random direction by central differences."""
    if not together:
        monkeypatch.setattr(retrained, "side_by_side", lambda *_: False)
    batch = run.evaluation("val", 2)
    batch = batch.cropped() if run.spec.kind == "sequence" else batch
    derivatives = metagradient(run, batch, "target", dtype=torch.float64)
    N = derivatives.derivative.shape[-1]
    direction, h = np.random.default_rng(0).standard_normal(N), 1e-4
    weights = np.stack([np.ones(N), 1 + h * direction, 1 - h * direction])
    outputs = retrained_outputs(run, batch, weights, dtype=torch.float64)
    assert outputs.shape == (3, 2, 1)
    np.testing.assert_allclose(outputs[0], derivatives.final, atol=1e-4)  # the record is in 32 bits
    slopes = (outputs[1] - outputs[2]) / (2 * h)
    np.testing.assert_allclose(slopes, derivatives.derivative @ direction, rtol=0.02, atol=1e-4)


def test_an_example_of_weight_zero_is_removed_and_a_single_row_is_one_training(run):
    batch = run.evaluation("val", 1)
    N = len(run.task.examples("train"))
    weights = np.ones(N)
    weights[0] = 0
    outputs = retrained_outputs(run, batch, weights)
    assert outputs.shape == (1, 1, 1)
    assert outputs != retrained_outputs(run, batch, np.ones(N))


def test_weights_of_another_shape_are_refused(run):
    with pytest.raises(ConfigError, match="weights must be finite numbers"):
        retrained_outputs(run, run.evaluation("val", 1), np.ones(3))
