"""Adaptive parts of a line: kinks are met where they are, and few nodes do the work of many equal ones."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from recorded_trainings import recipe_of, recorded, shuffled, trajectory_of
from torch import nn
from torch.func import jvp, vmap

from mechlab.core.forward_mode import load_forward_mode
from mechlab.core.model import StaticModel
from mechlab.core.schedule import Schedule
from mechlab.core.task import Batch, TaskSpec
from mechlab.kernels.explained import Explained
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.line import Line
from mechlab.kernels.quadrature import Quadrature, average
from mechlab.models.transformer1 import Transformer1


class Rectified(StaticModel):
    """relu(bias + input): along a line of biases it has a kink for each input."""

    def __init__(self, spec):
        super().__init__(spec)
        self.bias = nn.Parameter(torch.zeros(spec.outputs, dtype=torch.float64))

    def forward(self, inputs):
        return torch.relu(self.bias + inputs)


def rectified(inputs):
    spec = TaskSpec(inputs=1, outputs=1, kind="static", loss="mse", shape=(1,))
    given = torch.tensor(inputs, dtype=torch.float64)[:, None]
    batch = Batch(given, torch.zeros_like(given), None, torch.arange(len(inputs)))
    return Explained(FunctionalModel(Rectified(spec), spec, batch, torch.float64), batch, "all")


def test_a_kink_is_met_without_another_gradient():
    """From bias -1 to 1, inputs -.4, 0 and 5 have kinks at shares .7 and .5, and none."""
    explained = rectified([-0.4, 0.0, 5.0])
    start, step = torch.tensor([-1.0], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    change = (explained.values(start + step) - explained.values(start)).flatten()
    line = Line(explained, start, step, chunk=8, capacity=8)
    gradients = line.refined(change, nodes=2, tolerance=1e-12, most=9)
    torch.testing.assert_close(gradients[:, 0], torch.tensor([0.3, 0.5, 1.0], dtype=torch.float64), rtol=0, atol=1e-12)
    assert [len(parts) for parts in line.parts] == [2, 2, 2] and line.evaluations == 2
    assert line.parts[0][0].stop == pytest.approx(0.7)


def test_forgotten_gradients_change_nothing_but_the_work():
    recipe = recipe_of(partial(torch.optim.AdamW, lr=0.02), steps=3)
    trajectory = trajectory_of(recipe, recorded(recipe))
    explained = Explained(trajectory.functional, recipe.task.examples("val").to("cpu", recipe.dtype)[:3], "all")
    step = trajectory.step(1)
    change = (explained.values(step.end) - explained.values(step.before.theta)).flatten()
    how = Quadrature(nodes=1, tolerance=1e-4, most=30)
    free, tight = (average(explained, step.before.theta, step.end, change, how, 8, capacity) for capacity in (100, 0))
    torch.testing.assert_close(tight.gradients, free.gradients, rtol=1e-12, atol=1e-14)
    assert tight.nodes == free.nodes == free.evaluations < tight.evaluations


@pytest.mark.ci
def test_under_six_nodes_reach_the_error_of_a_hundred():
    """On 60 steps of AdamW with all pairs (p = 13, the network of epk_quick): the sum of the residuals over the steps,
    at worst and on average over all outputs, against that of 100 equal parts."""
    optimizer = partial(torch.optim.AdamW, lr=1e-3, betas=(0.9, 0.98), weight_decay=4.0)
    network = partial(Transformer1, width=32, hidden=64)
    recipe = recipe_of(optimizer, steps=60, p=13, model=network, schedule=Schedule("constant"))
    batches = shuffled(len(recipe.task.examples("train")), 60)
    trajectory = trajectory_of(recipe, recorded(recipe, batches))
    functional, batch = trajectory.functional, recipe.task.examples("val").to("cpu", torch.float64)[:3]
    explained = Explained(functional, batch, "all")
    shares = (torch.arange(100, dtype=torch.float64) + 0.5) / 100

    def slope(theta, step):
        values = lambda at: functional.outputs(functional.layout.split(at), batch).log_softmax(-1)  # noqa: E731
        return jvp(values, (theta,), (step,))[1]

    load_forward_mode()
    few, hundred, nodes = 0.0, 0.0, []
    for index in reversed(range(60)):
        step = trajectory.step(index)
        start, move = step.before.theta, step.end - step.before.theta
        change = (explained.values(step.end) - explained.values(start)).flatten()
        how = Quadrature(nodes=1, tolerance=4e-5 / float(change.abs().mean()))  # the same residual at every step
        found = average(explained, start, step.end, change, how, 100, 100)
        few, nodes = few + found.residual, [*nodes, found.evaluations]
        slopes = vmap(slope, (0, None))(start + shares[:, None] * move, move)
        hundred = hundred + change - slopes.mean(0).flatten()
    assert sum(nodes) / 60 < 6
    assert few.abs().max() < hundred.abs().max() and few.abs().mean() < hundred.abs().mean()
