"""Outputs after retraining with other weights of the examples: against the recorded training and its derivative."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of
from small_tasks import Ragged, small_recipe, train

from mechlab.core.errors import ConfigError
from mechlab.core.step import aligned_outputs, example_losses
from mechlab.kernels import metagradient
from mechlab.kernels.explained import Explained
from mechlab.kernels.retrained import retrained_outputs
from mechlab.kernels.reweighted import RepeatedTraining
from mechlab.kernels.trajectory import Trajectory
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
        monkeypatch.setattr("mechlab.kernels.reweighted.side_by_side", lambda *_: False)
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


def trained_without(recipe, removed: int) -> dict[str, torch.Tensor]:
    """Train on the sum of the losses of each batch's other examples, divided by the size of the whole batch."""
    source, model, spec = recipe.source(), recipe.model(), recipe.task.spec
    optimizer = recipe.optimizer(model)
    for step in range(recipe.max_steps):
        batch = source.batch(step)
        optimizer.param_groups[0]["lr"], _ = recipe.rates(optimizer, step)
        optimizer.zero_grad()
        losses = example_losses(aligned_outputs(model, batch, spec), batch, spec)
        (losses[batch.index != removed].sum() / len(batch)).backward()
        if recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
    return dict(model.named_parameters())


def test_an_example_of_weight_zero_is_removed_and_a_single_row_is_one_training(run):
    """Its training is that whose loss omits the example, in the precision of training."""
    batch = run.evaluation("val", 1)
    batch = batch.cropped() if run.spec.kind == "sequence" else batch
    N = len(run.task.examples("train"))
    weights = np.ones(N)
    weights[0] = 0
    outputs = retrained_outputs(run, batch, weights)
    assert outputs.shape == (1, 1, 1)
    functional = Trajectory.of_run(run).functional
    theta = functional.layout.join(trained_without(run.recipe, 0)).detach()
    expected = Explained(functional, functional.placed(batch), "target").values(theta).double().numpy()
    np.testing.assert_allclose(outputs[0], expected, atol=1e-5)
    assert np.abs(outputs - retrained_outputs(run, batch, np.ones(N))).max() > 1e-3


def test_networks_side_by_side_fit_the_memory(run, monkeypatch):
    weights = np.stack([np.ones(len(run.task.examples("train")))] * 3)
    weights[1:, :2] = 0
    batch, portions = run.evaluation("val", 2), []
    batch = batch.cropped() if run.spec.kind == "sequence" else batch
    train = RepeatedTraining.together
    monkeypatch.setattr(
        RepeatedTraining, "together", lambda self, part: portions.append(len(part)) or train(self, part)
    )
    whole = retrained_outputs(run, batch, weights, dtype=torch.float64)
    assert portions == [3]
    alone = retrained_outputs(run, batch, weights, dtype=torch.float64, memory=1)
    assert portions == [3]
    np.testing.assert_allclose(alone, whole, atol=1e-10)


def test_weights_of_another_shape_are_refused(run):
    with pytest.raises(ConfigError, match="weights must be finite numbers"):
        retrained_outputs(run, run.evaluation("val", 1), np.ones(3))
