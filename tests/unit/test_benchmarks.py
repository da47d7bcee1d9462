"""The references that benchmarks compare with compute what mechlab computes."""

from __future__ import annotations

import pytest
import torch

from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.repeat_copy import RepeatCopy


@pytest.mark.parametrize("rule", ["T1", "T4"])
def test_the_loop_with_dense_matrices_follows_the_rule(rule):
    from benchmarks.binding import looped

    task = LinearBinding(id=rule, horizon=50)
    phi = torch.from_numpy(task.ground_truth().matrix).float()
    inputs, targets = looped(phi, 8, 5, 50, torch.Generator().manual_seed(0))
    assert (task.targets(inputs)[0] == targets).all()


@pytest.mark.parametrize(
    ("arguments", "task"), [((), RepeatCopy()), ((8, 8, 100), LinearBinding(id="T1", horizon=100))]
)
def test_the_plain_loop_trains_on_the_compared_task(arguments, task, monkeypatch):
    from benchmarks import train

    batches = []
    monkeypatch.setattr(train, "_plain_loop", lambda parameters, batch, *_, **__: batches.append(batch(0)))
    train.plain_repeat_copy(*arguments)
    ((inputs, targets),) = batches
    expected, mask = task.targets(inputs)
    assert inputs.shape[1:] == (task.spec.length, task.d)
    assert (expected[mask].view(targets.shape) == targets).all()


def test_autograd_through_the_training_gives_the_metagradients():
    from benchmarks import datamodel

    _, trajectory, explained = datamodel._quick(3)
    pair = datamodel._metagradient(trajectory, explained), datamodel._through_training(trajectory, explained)
    torch.testing.assert_close(*pair, rtol=1e-8, atol=1e-12)
