"""Retraining with weights, side by side: against plain updates, one network after another; with a planted truth."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded, trajectory_of
from small_tasks import LENGTHS, Points, Ragged
from torch import nn

from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.kernels import gradient_dot, metagradient, path_kernel
from mechlab.kernels import lds as L
from mechlab.kernels.explained import Explained
from mechlab.kernels.reweighted import ReweightedTrainings, ReweightedUpdates, portion_size, retrain, side_by_side
from mechlab.models.rnn import RNN
from mechlab.statistics.bootstrap import percentile_interval

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "nesterov": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "damped": partial(torch.optim.SGD, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
    "adam": partial(torch.optim.Adam, lr=0.02, weight_decay=0.01, fused=True),
    "adamw": partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5, fused=True),
}


def training_of(recipe, trajectory) -> ReweightedUpdates:
    functional, batch, rates = trajectory.functional, recipe.source().batch, trajectory.record.rates
    return ReweightedUpdates(functional, recipe.make_optimizer, batch, rates, trajectory.steps, recipe.clip)


@pytest.mark.parametrize("clip", [None, 0.05], ids=["", "clipped"])
@pytest.mark.parametrize("batch_size", [None, 3], ids=["full", "batches"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_side_by_side_is_one_after_another(optimizer, batch_size, clip):
    """Each row is a training by core/step.py with its weights, to 1e-12 in double precision, at the last partial batch
    too and where an example is removed."""
    recipe = recipe_of(OPTIMIZERS[optimizer], steps=7, batch_size=batch_size, clip=clip)
    trajectory = trajectory_of(recipe, recorded(recipe))
    N = trajectory.examples
    weights = torch.stack([torch.ones(N), (torch.arange(N) > 2).float(), torch.linspace(0, 2, N)]).double()
    training = training_of(recipe, trajectory)
    assert side_by_side(training, trajectory.state(0).theta)
    *_, found = retrain(training, trajectory.state(0).theta, weights)
    torch.testing.assert_close(found[0], trajectory.state(trajectory.steps).theta, rtol=0, atol=1e-12)
    for row, weight in zip(found, weights, strict=True):
        slow = trajectory_of(recipe, recorded(recipe, weights=weight))
        torch.testing.assert_close(row, slow.state(slow.steps).theta, rtol=0, atol=1e-12)


class Line(StaticModel):
    """One linear layer."""

    def __init__(self, spec):
        super().__init__(spec)
        self.line = nn.Linear(*spec.shape, spec.outputs)

    def forward(self, inputs):
        return self.line(inputs)


def test_where_the_metagradient_is_exact_it_predicts_every_removal():
    """After one step of least squares outputs are linear in the examples' weights: score 1, in ranks and in values.
    Shuffled scores predict nothing."""
    recipe = recipe_of(OPTIMIZERS["sgd"], steps=1, task=Points(40), model=Line)
    trajectory = trajectory_of(recipe, recorded(recipe))
    batch = recipe.task.examples("val")[:3].to("cpu", torch.float64)
    itself = lambda outputs: outputs  # noqa: E731
    scores = {
        "metagradient": metagradient(trajectory, batch, itself).derivative,
        "path_kernel": path_kernel(trajectory, batch, itself, nodes=1).influence,
        "gradient_dot": gradient_dot(trajectory, batch, itself),
    }
    rng = np.random.default_rng(0)
    removed = L.random_removals(40, 0.2, 60, rng)
    explained = Explained(trajectory.functional, batch, itself)
    *_, thetas = retrain(training_of(recipe, trajectory), trajectory.state(0).theta, torch.tensor(1.0 - removed))
    actual = torch.stack([explained.values(theta).flatten() for theta in thetas]).numpy()
    change = actual - explained.values(trajectory.state(1).theta).flatten().numpy()
    flat = {name: score.reshape(-1, 40) for name, score in scores.items()}
    for name in ("metagradient", "path_kernel"):  # one step: the same thing
        np.testing.assert_allclose(L.predicted_changes(flat[name], removed), change, atol=1e-12)
        assert L.lds(L.predicted_changes(flat[name], removed), actual) == pytest.approx(1)
    assert L.lds(L.predicted_changes(flat["gradient_dot"], removed), actual) > 0.8
    shuffled = L.predicted_changes(rng.permutation(flat["metagradient"], axis=1), removed)
    low, high = percentile_interval(L.lds(shuffled, actual, L.resampled(60, 300, rng)))
    assert low < 0 < high


class Counted:
    """Trains nothing: a network is its weights' sum, after two updates."""

    def __init__(self):
        self.portions = []

    def __call__(self, weights):
        self.portions.append(len(weights))
        yield None
        yield weights.sum(1)


def test_finished_portions_are_saved_and_skipped():
    weights = torch.arange(14.0).view(7, 2)
    make = lambda train: ReweightedTrainings(weights, 3, train, lambda sums: sums[:, None], 2, (1,))  # noqa: E731
    whole = make(Counted())
    assert list(whole) == [(3, 14), (6, 14), (9, 14), (12, 14), (13, 14), (14, 14)]
    first, again = make(Counted()), make(train := Counted())
    for done, _ in first:
        if done == 9:  # in the middle of the second portion
            break
    again.restore(first.state())
    assert list(again)[-1] == (14, 14) and train.portions == [3, 1]
    torch.testing.assert_close(again.measured, weights.sum(1, keepdim=True).double())
    torch.testing.assert_close(again.measured, whole.measured)
    with pytest.raises(ConfigError, match="same trainings"):
        ReweightedTrainings(weights + 1, 3, train, whole.measure, 2, (1,)).restore(first.state())


def test_workers_change_nothing():
    """Portions that are trained at the same time in threads end in the same bits."""
    recipe = recipe_of(OPTIMIZERS["adamw"], steps=3)
    trajectory = trajectory_of(recipe, recorded(recipe))
    training, initial = training_of(recipe, trajectory), trajectory.state(0).theta
    weights = torch.rand(5, trajectory.examples, generator=torch.Generator().manual_seed(0)).double()
    found, train = [], lambda part: retrain(copy.deepcopy(training), initial, part)
    for workers in (1, 3):
        work = ReweightedTrainings(weights, 2, train, lambda theta: theta, 3, initial.shape, workers)
        assert list(work)[-1] == (15, 15)
        found.append(work.measured)
    assert torch.equal(*found)
    *_, slow = retrain(training, initial, weights)
    torch.testing.assert_close(found[0], slow, rtol=0, atol=1e-12)


def test_portions_fit_the_memory():
    assert portion_size(100, parameters=1000, activations=2000, itemsize=8, limit=10**6) == 12
    assert portion_size(100, parameters=1000, activations=2 * 10**6, itemsize=8, limit=10**12) == 1
    assert portion_size(5, 1000, 0, 8, 10**9) == 5 and portion_size(5, 10**9, 0, 8, 1) == 1


class Branching(Line):
    """A layer that looks at its own outputs, which torch cannot do for several networks at once."""

    def forward(self, inputs):
        outputs = self.line(inputs)
        return outputs if outputs.sum().item() > 0 else 2 * outputs


def test_what_torch_cannot_train_side_by_side_is_recognised():
    recipe = recipe_of(OPTIMIZERS["sgd"], steps=2, task=Points(), model=Branching)
    trajectory = trajectory_of(recipe, recorded(recipe))
    assert not side_by_side(training_of(recipe, trajectory), trajectory.state(0).theta)


def test_recurrent_networks_are_trained_side_by_side():
    """Sequences of several lengths, of which only the last step counts."""
    recipe = recipe_of(OPTIMIZERS["adamw"], steps=4, batch_size=4, task=Ragged(), model=partial(RNN, hidden=4))
    weights = torch.linspace(0, 2, len(LENGTHS)).double()
    trajectory, slow = (trajectory_of(recipe, recorded(recipe, weights=w)) for w in (None, weights))
    *_, (found,) = retrain(training_of(recipe, trajectory), trajectory.state(0).theta, weights[None])
    torch.testing.assert_close(found, slow.state(4).theta, rtol=0, atol=1e-12)
