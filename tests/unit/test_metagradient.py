"""Metagradients against finite differences of training again, and against the path kernel where the two agree."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded, shuffled, trajectory_of
from small_tasks import Ragged

from mechlab.core.model import StaticModel, outputs_of
from mechlab.kernels import gradient_dot, metagradient, path_kernel, tracin
from mechlab.kernels.attention import twice_differentiable_attention
from mechlab.kernels.explained import Explained
from mechlab.kernels.metagradients import MetagradientBackward, second_order
from mechlab.models.causal_transformer import CausalTransformer
from mechlab.tasks.modular_addition import ModularAddition

ADAM = partial(torch.optim.Adam, lr=0.02, betas=(0.9, 0.98), weight_decay=0.1)
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.02)
CASES = {
    "adamw, full batch": (partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5), None, {}),
    "adamw, clipped batches": (partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5), 6, {"clip": 0.4}),
    "adam": (ADAM, 6, {}),
    "sgd": (partial(torch.optim.SGD, lr=0.3, weight_decay=0.01), 6, {}),
    "dampening": (partial(SGD, dampening=0.3), 6, {"clip": 0.3}),
    "nesterov": (partial(SGD, nesterov=True), 6, {}),
}
N = len(ModularAddition(5, tokens="expression").examples("train"))


def log_probabilities(recipe, arrays, batch):
    model = recipe.model()
    model.load_state_dict(arrays.params(recipe.max_steps))
    return outputs_of(model, batch.inputs).log_softmax(-1).detach().numpy()


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_derivative_of_training_again(name):
    optimizer, size, options = CASES[name]
    recipe = recipe_of(optimizer, **options)
    batches = shuffled(N, recipe.max_steps, size)
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:2]
    found = metagradient(trajectory_of(recipe, recorded(recipe, batches)), batch, "all")
    k, h, ends = int(batches[0][0]), 1e-6, []  # less than the way to the next kink
    for sign in (1, -1):
        weights = torch.ones(N, dtype=recipe.dtype)
        weights[k] += sign * h
        ends.append(log_probabilities(recipe, recorded(recipe, batches, weights), batch))
    expected = (ends[0] - ends[1]) / (2 * h)
    assert np.abs(found.derivative[..., k] - expected).max() <= 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(found.derivative.sum(-1), found.by_step.sum(0), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["adamw, clipped batches", "nesterov"])
def test_at_other_weights_it_is_the_derivative_there(name):
    """Some examples are removed, the first with weight 0 among them; others weigh more."""
    optimizer, size, options = CASES[name]
    recipe = recipe_of(optimizer, **options)
    batches = shuffled(N, recipe.max_steps, size)
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:2]
    weights = (torch.arange(N) % 4 / 2).to(recipe.dtype)
    trajectory = trajectory_of(recipe, recorded(recipe, batches, weights))
    backward = MetagradientBackward(trajectory, Explained(trajectory.functional, batch, "all"), weights=weights)
    assert list(backward)[-1] == (recipe.max_steps, recipe.max_steps)
    for k in (0, 3):
        h, ends = 1e-6, []
        for sign in (1, -1):
            moved = weights.clone()
            moved[k] += sign * h
            ends.append(log_probabilities(recipe, recorded(recipe, batches, moved), batch))
        expected = (ends[0] - ends[1]) / (2 * h)
        assert np.abs(backward.result().derivative[..., k] - expected).max() <= 1e-6 * np.abs(expected).max()


class Linear(StaticModel):
    """Outputs that are linear in the parameters: one of the two accounts needs no Hessian then."""

    def __init__(self, spec):
        super().__init__(spec)
        self.table = torch.nn.Embedding(spec.inputs, spec.outputs)

    def forward(self, inputs):
        return self.table(inputs).sum(1)


def test_one_step_of_descent_moves_linear_outputs_by_their_derivative():
    """After a single step of plain descent on a linear model, influence, metagradient and TracIn are the same."""
    recipe = recipe_of(partial(torch.optim.SGD, lr=0.3), steps=1, model=Linear)
    trajectory = trajectory_of(recipe, recorded(recipe))
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:2]
    ask = {"outputs": lambda outputs: outputs}
    kernel = path_kernel(trajectory, batch, nodes=1, **ask).influence
    assert np.abs(kernel).max() > 1e-3
    for other in (metagradient(trajectory, batch, **ask).derivative, tracin(trajectory, batch, **ask)):
        np.testing.assert_allclose(other, kernel, rtol=1e-9, atol=1e-12)
    dots = gradient_dot(trajectory, batch, **ask)  # the rate of 0.3 is warmed up by a third
    np.testing.assert_allclose(tracin(trajectory, batch, checkpoints=[1], **ask) * N / 0.1, dots, rtol=1e-9, atol=1e-12)


def test_second_order_products_are_those_of_the_hessian():
    recipe = recipe_of(ADAM)
    functional = trajectory_of(recipe, recorded(recipe)).functional
    batch = recipe.task.examples("train")
    theta = functional.layout.join(dict(recipe.model().named_parameters())).detach()
    directions = torch.randn(3, functional.layout.size, dtype=theta.dtype, generator=torch.Generator().manual_seed(0))
    products, curved = second_order(functional, theta, batch, directions, limit=10**6)
    loss = lambda flat: functional.losses(functional.layout.split(flat), batch)  # noqa: E731
    weights = torch.arange(len(batch)) % 3 / 2  # also 0
    weighted = second_order(functional, theta, batch, directions, limit=10**6, weights=weights.to(theta))
    for found, weight in (((products, curved), torch.ones_like(weights)), (weighted, weights)):
        hessian = torch.func.jacrev(torch.func.jacrev(lambda flat, w=weight: (w * loss(flat)).sum()))(theta)
        torch.testing.assert_close(found[1], directions @ hessian)
        torch.testing.assert_close(found[0], directions @ torch.func.jacrev(loss)(theta).T)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_it_is_the_derivative_of_training_again_through_attention():
    """Of torch, whose fused attention has no second derivative."""
    recipe = recipe_of(ADAM, steps=4, task=Ragged(), model=partial(CausalTransformer, width=4, heads=2, layers=1))
    batch = recipe.task.examples("val").cropped().to("cpu", recipe.dtype)[:2]
    found = metagradient(trajectory_of(recipe, recorded(recipe)), batch, "target")
    n, h, ends = len(recipe.task.examples("train")), 1e-5, []
    direction = torch.randn(n, dtype=recipe.dtype, generator=torch.Generator().manual_seed(0))
    for sign in (1, -1):
        moved = trajectory_of(recipe, recorded(recipe, weights=1 + sign * h * direction))
        theta = moved.state(moved.steps).theta
        ends.append(Explained(moved.functional, batch, "target").values(theta).numpy())
    expected = (ends[0] - ends[1]) / (2 * h)
    assert np.abs(expected).max() > 1e-4
    assert np.abs(found.derivative @ direction.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def test_threads_take_turns_at_the_switch_of_attention():
    """The first to enter leaves first, after the second has come: torch's switch is then as it was."""
    switch = lambda: (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled())  # noqa: E731
    before, coming, entered, left, during = switch(), threading.Event(), threading.Event(), threading.Event(), []

    def second():
        coming.set()
        with twice_differentiable_attention():
            entered.set()
            left.wait(10)
            during.append(switch())

    thread = threading.Thread(target=second)
    with twice_differentiable_attention(), twice_differentiable_attention():
        thread.start()
        assert coming.wait(10) and not entered.wait(0.2)
    left.set()
    thread.join(10)
    assert any(before) and during == [(False, False)] and switch() == before
