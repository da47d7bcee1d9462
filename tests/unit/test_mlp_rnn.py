"""The recurrent network of two multi-layer perceptrons, against its equations in plain numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mechlab.core.constraints import ConstraintError, check, hints_of
from mechlab.core.ensemble import Ensemble, Member
from mechlab.core.task import TaskSpec
from mechlab.models.mlp_rnn import MLPRNN
from mechlab.tasks.mips import Mips

SPEC = TaskSpec(inputs=2, outputs=3, kind="sequence", loss="mse", length=7)


def perceptron(layers, values):
    for i, layer in enumerate(layers):
        weight, bias = (parameter.detach().numpy() for parameter in (layer.weight, layer.bias))
        values = (np.maximum(values, 0) if i else values) @ weight.T + bias
    return values


@pytest.mark.parametrize(("transition", "readout"), list(itertools.product((1, 2, 3), repeat=2)))
def test_the_network_follows_its_equations(transition, readout):
    torch.manual_seed(0)
    network = MLPRNN(SPEC, 4, transition, readout, 6, 5).double()
    x = np.random.default_rng(1).standard_normal((3, 7, 2))
    h, states, outputs = np.zeros((3, 4)), [], []
    for t in range(7):
        h = perceptron(network.transition, np.concatenate([h, x[:, t]], 1))
        states.append(h)
        outputs.append(perceptron(network.readout, h))
    trace = network(torch.from_numpy(x))
    np.testing.assert_allclose(trace.states.detach().numpy()[:, 1:], np.stack(states, 1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(trace.outputs.detach().numpy(), np.stack(outputs, 1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(network.read_out(trace.states[:, -1]).detach().numpy(), outputs[-1], rtol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_sizes_are_those_of_the_maps(depth):
    network = MLPRNN(SPEC, 4, depth, depth, 6, 5)
    assert [tuple(layer.weight.shape) for layer in network.transition] == {
        1: [(4, 6)],
        2: [(6, 6), (4, 6)],
        3: [(6, 6), (6, 6), (4, 6)],
    }[depth]
    assert [tuple(layer.weight.shape) for layer in network.readout] == {
        1: [(3, 4)],
        2: [(5, 4), (3, 5)],
        3: [(5, 4), (5, 5), (3, 5)],
    }[depth]
    assert len(list(network.parameters())) == 4 * depth


def test_depths_are_from_one_to_three():
    hint = hints_of(MLPRNN.__init__)["transition_depth"]
    for depth in (0, 4):
        with pytest.raises(ConstraintError):
            check(depth, hint)


def test_affine_maps_add_exactly():
    """A network of depth 1 with whole weights is the running sum, to the last bit."""
    task = Mips("sum")
    network = MLPRNN(task.spec, 1, 1, 1)
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), ([[1.0, 1.0]], [0.0], [[1.0]], [0.0]), strict=True):
            parameter.copy_(torch.tensor(value))
    batch = task.generate(50, "test", torch.Generator().manual_seed(0))
    assert torch.equal(network(batch.inputs).outputs, batch.targets)
    assert network(batch.inputs, last=2).outputs.shape == (50, 2, 1)


@pytest.mark.ci
def test_networks_side_by_side_learn_as_each_alone_does():
    task = Mips("parity_last2")
    batches = [task.generate(64, "train", torch.Generator().manual_seed(step)) for step in range(5)]

    def member(seed):
        torch.manual_seed(seed)
        network = MLPRNN(task.spec, 3)
        return Member(network, make(network.parameters()))

    def make(parameters):
        return torch.optim.Adam(parameters, lr=1e-2)

    together = Ensemble(2, {0: member(0), 1: member(1)}, make, batches[0], task.spec)
    for batch in batches:
        together.update({0: batch, 1: batch}, learning_rate=1e-2)
    for seed in (0, 1):
        alone = member(seed)
        for batch in batches:
            alone.optimizer.zero_grad()
            task.spec.loss.mean(alone.model(batch.inputs).outputs, batch.targets).backward()
            alone.optimizer.step()
        for one, other in zip(alone.model.parameters(), together.members[seed].model.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
