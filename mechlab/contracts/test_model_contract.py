"""What every model promises, on a task of each kind of input and loss that it can read."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mechlab.contracts.devices import DEVICE, on_another_device
from mechlab.contracts.gradients import no_graph_left
from mechlab.core.model import outputs_of
from mechlab.core.seeding import Streams
from mechlab.core.state import load_weights
from mechlab.core.step import batch_loss
from mechlab.core.task import Batch
from mechlab.record.tensors import load_tensors, save_tensors

B = 5


def build(registry, model: str, task: str, seed: int = 0) -> nn.Module:
    with Streams(seed).globally("init"):
        return registry.prepared("model", model)(registry.shared_task(task).blueprint())


def draw(registry, task: str) -> Batch:
    return registry.shared_task(task).generate(B, "train", torch.Generator().manual_seed(0))


def named_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def test_outputs_fit_the_task(registry, model, task):
    """The loss is defined, and outputs end in the axis that the spec names."""
    spec, batch = registry.shared_task(task).spec, draw(registry, task)
    outputs = outputs_of(build(registry, model, task), batch.inputs)
    assert outputs.shape[-1] == spec.outputs
    assert batch_loss(outputs, batch, spec).isfinite()


def test_tensors_are_made_on_the_device_of_the_inputs(registry, model, task):
    """Forward and backward pass, and single steps, work on another device than the CPU."""
    with on_another_device(f"model={model} must compute on the device of its inputs and parameters") as check:
        network, inputs = build(registry, model, task).to(DEVICE), draw(registry, task).inputs.to(DEVICE)
        outputs = outputs_of(network, inputs)
        check(outputs)
        outputs.square().sum().backward()
        if network.kind == "sequence":
            state = network.initial_state(B)
            check([state, *network.step(inputs[:, 0], state), network(inputs).states])


def test_forward_is_repeated_step(registry, model, task):
    """Outputs and states of the fast forward pass are those of step after step, in double precision."""
    network = build(registry, model, task).to(torch.float64)
    if network.kind != "sequence":
        return
    inputs = draw(registry, task).inputs.double()
    with torch.no_grad():
        trace, state = network(inputs), network.initial_state(B)
        assert trace.states.shape == (B, inputs.shape[1] + 1, state.shape[1])
        assert torch.equal(trace.states[:, 0], state)
        for t in range(inputs.shape[1]):
            output, state = network.step(inputs[:, t], state)
            torch.testing.assert_close(trace.outputs[:, t], output, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(trace.states[:, t + 1], state, rtol=1e-9, atol=1e-12)


def test_a_resumed_pass_is_the_rest_of_forward(registry, model, task):
    """From the state after some steps, a model goes on as it does in one pass, in double precision."""
    network = build(registry, model, task).to(torch.float64)
    inputs = draw(registry, task).inputs
    if network.kind != "sequence" or inputs.shape[1] < 2:
        return
    inputs, t = inputs.double(), inputs.shape[1] // 2
    with torch.no_grad():
        whole = network(inputs)
        rest, end = (network.resume(inputs[:, t:], whole.states[:, t], last) for last in (None, 1))
    torch.testing.assert_close(rest.outputs, whole.outputs[:, t:], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(rest.states, whole.states[:, t:], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(end.outputs, whole.outputs[:, -1:], rtol=1e-9, atol=1e-12)


def test_jacobians_of_many_states_are_those_of_one_step(registry, model, task):
    """Jacobians and their products with tangents agree with a backward pass for each component of one next state."""
    network = build(registry, model, task).to(torch.float64)
    if network.kind != "sequence" or not hasattr(network, "jacobian"):  # a cache of inputs has none
        return
    rng = torch.Generator().manual_seed(1)
    x = draw(registry, task).inputs[:, 0].double()
    state, tangent = torch.randn(2, B, network.initial_state(1).shape[1], dtype=torch.float64, generator=rng)
    jacobians, products = network.jacobian(x, state), network.jvp(x, state, tangent)
    assert not jacobians.requires_grad and not products.requires_grad
    for i in range(B):
        expected = torch.autograd.functional.jacobian(
            lambda one, i=i: network.step(x[i : i + 1], one[None])[1][0], state[i]
        )
        torch.testing.assert_close(jacobians[i], expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(products[i], expected @ tangent[i], rtol=1e-9, atol=1e-12)
    assert torch.equal(network.jacobian(x[0], state[0]), network.jacobian(x[:1], state[:1])[0])
    assert torch.equal(network.jvp(x[0], state[0], tangent[0]), network.jvp(x[:1], state[:1], tangent[:1])[0])


def test_a_solution_follows_from_examples_and_generator_and_can_be_loaded(registry, model, task):
    """A model that is solved runs before and after, has finite outputs, and loads into a fresh one, whose shapes may
    differ."""
    solved, same, other = (build(registry, model, task, seed) for seed in (0, 0, 1))
    if solved.solve is None:
        return
    source = registry.shared_task(task)
    examples = source.generate(200, "train", torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    for network in (solved, same):
        with no_graph_left(f"solve of model={model}"):
            network.solve(examples, torch.Generator().manual_seed(3))
    left = [name for name, tensor in named_tensors(solved) if not tensor.is_leaf]
    assert not left, f"model={model} must not keep the graph of solve in {', '.join(left)}; use .detach()"
    assert torch.equal(torch.get_rng_state(), before)
    inputs = draw(registry, task).inputs
    load_weights(other, solved.state_dict())
    with torch.no_grad():
        outputs = [outputs_of(network, inputs) for network in (solved, same, other)]
        assert outputs[0].isfinite().all() and not torch.equal(
            outputs[0], outputs_of(build(registry, model, task), inputs)
        )
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


def test_saved_weights_give_bit_equal_outputs(registry, model, task, tmp_path):
    """Weights that went through a file make another network the same one."""
    one, other = build(registry, model, task), build(registry, model, task, seed=1)
    inputs = draw(registry, task).inputs
    with torch.no_grad():
        expected = outputs_of(one, inputs)
        assert not torch.equal(outputs_of(other, inputs), expected)
        save_tensors(tmp_path / "weights.safetensors", one.state_dict())
        other.load_state_dict(load_tensors(tmp_path / "weights.safetensors"))
        assert torch.equal(outputs_of(other, inputs), expected)


def test_every_parameter_has_a_finite_gradient(registry, model, task):
    network, batch = build(registry, model, task), draw(registry, task)
    batch_loss(outputs_of(network, batch.inputs), batch, registry.shared_task(task).spec).backward()
    for name, parameter in network.named_parameters():
        if name in getattr(network, "unused", ()):
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_same_stream_gives_the_same_weights_and_another_stream_others(registry, model, task):
    one, same, other = (build(registry, model, task, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_building_leaves_the_global_generator_alone(registry, model, task):
    before = torch.get_rng_state()
    build(registry, model, task)
    assert torch.equal(torch.get_rng_state(), before)
