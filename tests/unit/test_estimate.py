"""The time of a run, announced from a timed update and counted gradients."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from recorded_trainings import recipe_of
from small_tasks import Echo, Points, small_recipe

from mechlab.analyses.attribution.agreement import Agreement
from mechlab.analyses.path_kernel import PathKernel
from mechlab.config.build import Prepared
from mechlab.jobs.estimate import announced_time, seconds_of_update
from mechlab.models.mlp import MLP

PAUSE = 0.03  # seconds of each forward pass


class Slow(MLP):
    """A network whose forward pass takes a known time."""

    def forward(self, inputs):
        time.sleep(PAUSE)
        return super().forward(inputs)


def setup_of(steps: int, model=Slow, may_stop_early=False, **analyses) -> SimpleNamespace:
    recipe = replace(small_recipe(Points(), steps=steps), make_model=Prepared(model, {"hidden": 4}, "model"))
    attached = {name: (None, analysis) for name, analysis in analyses.items()}
    return SimpleNamespace(recipe=recipe, device="cpu", analyses=attached, may_stop_early=may_stop_early)


def test_the_time_of_an_update_is_that_of_its_network_and_leaves_the_generator_alone():
    recipe = setup_of(10).recipe
    before = torch.get_rng_state()
    assert seconds_of_update(recipe, "cpu", short=1e-3) >= PAUSE
    assert torch.equal(torch.get_rng_state(), before)


def test_a_long_training_is_announced_with_its_analyses():
    words = announced_time(setup_of(10_000, path_kernel=PathKernel(examples=6)))
    assert re.match(
        r"training takes about \d+ min .*, path_kernel \d+ min .*, at the initial nodes of the quadrature$", words
    )


def test_the_time_of_a_training_that_may_stop_early_is_the_most_it_takes():
    words = announced_time(setup_of(10_000, may_stop_early=True, path_kernel=PathKernel(examples=6)))
    assert words.startswith("training takes at most about ") and ", path_kernel at most " in words


def test_a_short_training_is_not_announced():
    assert announced_time(setup_of(10)) is None and announced_time(setup_of(1000, MLP)) is None
    assert announced_time(setup_of(0)) is None


@pytest.mark.parametrize("size", [None, 4, 100])
def test_gradients_are_counted_by_steps_examples_and_outputs(size):
    """A step is computed again, its examples are multiplied with a direction, and each output is differentiated."""
    recipe = recipe_of(torch.optim.SGD, steps=7, batch_size=size)
    n, outputs = len(recipe.task.examples("train")), recipe.task.spec.outputs
    batch = n if size is None else min(size, n)
    assert recipe.examples_per_step == batch
    assert PathKernel(examples=2, outputs="target").gradient_evaluations(recipe) == 7 * (3.5 * batch + 2)
    assert PathKernel(examples=[0, 1], outputs="all", nodes=3).gradient_evaluations(recipe) == pytest.approx(
        7 * (3.5 * batch + 2 * outputs * 3)
    )
    part = PathKernel(examples=2, outputs="target", steps=((0, 1), (4, 5)))  # other steps are replayed only
    assert part.gradient_evaluations(recipe) == pytest.approx(7 * batch + 2 * (2.5 * batch + 2))
    assert Agreement(examples=10**6).gradient_evaluations(recipe) == pytest.approx(
        7 * (batch + len(recipe.task.examples("val")))
    )
    assert small_recipe(Echo(), batch_size=5).examples_per_step == 5
