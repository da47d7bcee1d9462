"""What the analyses of variables share: true variables, states and continuations in the same places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mechlab.analyses.binding.linear_network import LinearNetwork, held_out_inputs, right
from mechlab.models.lru import LRU
from mechlab.models.lstm import LSTM
from mechlab.models.rnn import RNN
from mechlab.tasks.compose_copy import ComposeCopy
from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.repeat_copy import RepeatCopy

TASKS = [RepeatCopy(d=3, s=4), LinearBinding(id="T3"), ComposeCopy("one", d=4, s=3)]


@pytest.mark.parametrize("task", TASKS, ids=["repeat_copy", "T3", "compose_copy"])
def test_variables_follow_the_companion_matrix_and_hold_the_targets(task):
    torch.manual_seed(0)
    network = LinearNetwork(RNN(task.spec, hidden=10), task.ground_truth())
    s, d, phi = network.truth.s, network.truth.d, network.truth.matrix
    inputs = held_out_inputs(task, 5, 30, np.random.default_rng(0))
    assert inputs.shape == (5, s + 30, d) and not inputs[:, s:].any()
    seen = network.observe(inputs)
    variables = seen.variables.numpy()
    assert seen.states.shape == (5, 31, 10) and variables.shape == (5, 31, s * d)
    np.testing.assert_array_equal(variables[:, 0], inputs[:, :s].flatten(1))
    np.testing.assert_array_equal(variables[:, 1:], variables[:, :-1] @ phi.T)
    np.testing.assert_array_equal(variables[:, 1:, -d:], task.targets(inputs)[0][:, s:])
    np.testing.assert_array_equal(network.future(seen.variables[:, 3], 9), seen.targets[:, s + 3 : s + 12])


@pytest.mark.parametrize("architecture", [RNN, LSTM, LRU])
def test_a_continuation_is_what_the_network_does_anyway(architecture):
    torch.manual_seed(0)
    task = TASKS[0]
    network = LinearNetwork(architecture(task.spec, hidden=6), task.ground_truth())
    seen = network.observe(held_out_inputs(task, 3, 20, np.random.default_rng(1)))
    torch.testing.assert_close(network.continued(seen.states[:, 5], 15), seen.outputs[:, 4 + 5 :])
    assert network.linear.recurrent.shape[0] == seen.states.shape[2]


def test_held_out_inputs_are_new_and_reproducible():
    first, again, other = (held_out_inputs(TASKS[0], 50, 7, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_signs_are_compared_as_in_training():
    outputs, targets = torch.tensor([0.0, 0.0, -2.0, 3.0]), torch.tensor([1.0, -1.0, -1.0, -1.0])
    assert right(outputs, targets).tolist() == [True, False, True, False]


def test_the_secant_is_the_slope_of_the_transition_between_the_origin_and_a_state():
    torch.manual_seed(0)
    task, rng = TASKS[0], torch.Generator().manual_seed(0)
    states = torch.randn(40, 10, generator=rng, dtype=torch.float64)
    network = LinearNetwork(RNN(task.spec, hidden=10).double(), task.ground_truth())
    driven = states @ network.model.layers[0].weight_hh_l0.T
    gains = (torch.tanh(driven) / driven).mean(0).detach().numpy()
    np.testing.assert_allclose(network.secant(states), gains[:, None] * network.linear.recurrent, rtol=0.05)
    linear = LinearNetwork(LRU(task.spec, hidden=5).double(), task.ground_truth())
    np.testing.assert_allclose(linear.secant(states), linear.linear.recurrent, atol=1e-12)
    np.testing.assert_allclose(linear.decoder_at(states).decode, linear.decoder.decode, atol=1e-6)
