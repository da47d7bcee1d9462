"""Batched recurrent networks and their derivatives, against single networks and automatic differentiation."""

from __future__ import annotations

import itertools

import pytest
import torch

from mechlab.core.task import TaskSpec
from mechlab.distill.recurrent.batched_networks import BatchedNetworks, Sizes
from mechlab.distill.recurrent.levenberg_marquardt import cauchy, levenberg_marquardt
from mechlab.models.mlp_rnn import MLPRNN

DEPTHS = list(itertools.product((1, 2, 3), repeat=2))


def drawn(sizes, networks=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    batched = BatchedNetworks(sizes, 2, 3)
    weights = batched.draw(networks, rng).double()
    return batched, weights + 0.1 * torch.randn(weights.shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize(("transition", "readout"), DEPTHS)
def test_each_network_is_the_one_of_its_row(transition, readout):
    batched, weights = drawn(Sizes(4, transition, readout, 6, 5))
    x = torch.randn(7, 8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    outputs = batched.forward(weights, x)
    single = MLPRNN(TaskSpec(2, 3, "sequence", "mse", length=7), 4, transition, readout, 6, 5).double()
    for row in range(len(weights)):
        f, g = batched.layers(weights)
        with torch.no_grad():
            for layer, matrix in zip([*single.transition, *single.readout], [*f, *g], strict=True):
                layer.weight.copy_(matrix[row, :-1].T)
                layer.bias.copy_(matrix[row, -1])
            expected = single(x.transpose(0, 1)).outputs.transpose(0, 1)
        torch.testing.assert_close(outputs[row], expected, rtol=1e-9, atol=1e-9)
    assert batched.count == sum(parameter.numel() for parameter in single.parameters())


@pytest.mark.parametrize(("transition", "readout"), DEPTHS)
def test_derivatives_are_those_of_automatic_differentiation(transition, readout):
    batched, weights = drawn(Sizes(3, transition, readout, 4, 5), networks=2)
    x = torch.randn(5, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    outputs, jacobian = batched.jacobian(weights, x)
    torch.testing.assert_close(outputs, batched.forward(weights, x), rtol=1e-9, atol=1e-9)
    for row in range(2):
        expected = torch.autograd.functional.jacobian(lambda one: batched.forward(one[None], x)[0], weights[row])
        torch.testing.assert_close(jacobian[row], expected, rtol=1e-8, atol=1e-8)


def test_levenberg_marquardt_returns_to_a_disturbed_network():
    """Outputs of a planted network are met to rounding from weights near its own, at any unit of the outputs."""
    batched, planted = drawn(Sizes(2, 2, 1, 3), networks=1)
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(10, 60, 2, dtype=torch.float64, generator=rng)
    targets, scale = batched.forward(planted, x)[0], torch.tensor([100.0, 1.0, 7.0], dtype=torch.float64)
    start = planted + 0.01 * torch.randn(planted.shape, generator=rng, dtype=torch.float64)
    before = cauchy(scale * (batched.forward(start, x) - targets))
    damping = torch.full((1,), 1e-2, dtype=torch.float64)
    weights, _ = levenberg_marquardt(batched, start, damping, x, targets, scale, 30)
    assert before > 1e-4
    assert cauchy(scale * (batched.forward(weights, x) - targets)) < 1e-15


def test_no_step_raises_the_loss():
    batched, weights = drawn(Sizes(2, 2, 1, 3), networks=4)
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(5, 20, 2, dtype=torch.float64, generator=rng)
    targets, scale = torch.randn(5, 20, 3, dtype=torch.float64, generator=rng), torch.ones(3, dtype=torch.float64)
    losses = [cauchy(batched.forward(weights, x) - targets)]
    damping = torch.full((4,), 1e-2, dtype=torch.float64)
    for _ in range(5):
        weights, damping = levenberg_marquardt(batched, weights, damping, x, targets, scale, 1)
        losses.append(cauchy(batched.forward(weights, x) - targets))
    assert all((after <= before).all() for before, after in itertools.pairwise(losses))


def test_a_loss_that_is_no_number_counts_as_infinite():
    assert cauchy(torch.tensor([[float("nan"), 1.0], [1.0, 1.0]])).isinf().tolist() == [True, False]
