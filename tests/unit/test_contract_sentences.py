"""Common mistakes of a user's own task, model, loss or analysis get one sentence that names the line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from mechlab.contracts import test_model_contract, test_task_contract
from mechlab.contracts.devices import DEVICE, Generator, PretendedDevice, WrongDevice
from mechlab.contracts.gradients import no_graph_left
from mechlab.contracts.sentences import check_sentence
from mechlab.core.loss import Loss
from mechlab.core.model import SequenceModel
from mechlab.core.task import Batch, Split, Task, TaskSpec


@dataclass(frozen=True)
class Squares(Loss):
    """A user's loss."""

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square()


class Sums(Task):
    """A user's regression: running sums of real numbers."""

    def __init__(self):
        self.spec = TaskSpec(inputs=2, outputs=2, kind="sequence", loss=Squares(), length=4)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        inputs = torch.randn(n, 4, 2, generator=rng, device=rng.device)
        return Batch(inputs, inputs.cumsum(1), None, torch.arange(n, device=rng.device))


class Leaky(SequenceModel):
    """A user's network, with a branch that depends on its input."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.layer, self.readout = nn.Linear(spec.inputs + 3, 3), nn.Linear(3, spec.outputs)

    def initial_state(self, batch: int) -> Tensor:
        return self.readout.weight.new_zeros(batch, 3)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.tanh(self.layer(torch.cat([x, state], 1)))
        if state.abs().max() > 0.9:
            state = state / 2
        return self.readout(state), state


class CpuState(Leaky):
    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 3)


class CpuNoise(Leaky):
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, state = super().step(x, state)
        return output, state + torch.ones(3) / 10


class NoBuffer(Leaky):
    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.scale = torch.arange(1.0, 4.0)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return super().step(x, state * self.scale)


class NumpyOutput(Leaky):
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state.detach().numpy()
        return super().step(x, state)


class CpuInputs(Sums):
    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        inputs = torch.randn(n, 4, 2, generator=rng)
        return Batch(inputs, inputs.cumsum(1), None, torch.arange(n))


class CpuIndex(Sums):
    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        return replace(super().generate(n, split, rng), index=torch.arange(n))


class CpuShift(Sums):
    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        return replace(batch, inputs=batch.inputs + torch.ones(2))


@dataclass(frozen=True)
class CpuWeights(Squares):
    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().elements(outputs, targets) * torch.tensor([1.0, 2.0])


class CpuLoss(Sums):
    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, loss=CpuWeights())


class CpuScore(Sums):
    def score(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"near": torch.zeros(len(batch))}


def contract_of_model(model: type[SequenceModel]) -> None:
    registry = SimpleNamespace(prepared=lambda *_: model, shared_task=lambda _: Sums())
    test_model_contract.test_tensors_are_made_on_the_device_of_the_inputs(registry, "own", "sums")


def contract_of_task(task: type[Task]) -> None:
    registry = SimpleNamespace(task=lambda _: task())
    test_task_contract.test_tensors_are_made_on_the_device_that_is_asked_for(registry, "sums")


MODELS = {
    CpuState: "made in `return torch.zeros(batch, 3)` (test_contract_sentences.py, line ",
    CpuNoise: "made in `return output, state + torch.ones(3) / 10` (test_contract_sentences.py, line ",
    NoBuffer: "made in `self.scale = torch.arange(1.0, 4.0)` (test_contract_sentences.py, line ",
    NumpyOutput: "has no array in `state.detach().numpy()` (test_contract_sentences.py, line ",
}
TASKS = {
    CpuInputs: "must draw examples on the device of the generator; random numbers are on another device than their",
    CpuIndex: "must draw examples on the device of the generator; a tensor made in `return replace(super()",
    CpuShift: "must augment a batch on its device; a tensor made in `return replace(batch, inputs=",
    CpuLoss: "must be computed on the device of the outputs; a tensor made in `return super().elements(",
    CpuScore: 'must compute scores on the device of the outputs; a tensor made in `return {"near": torch.zeros(',
}


def test_code_that_follows_the_device_keeps_the_contracts():
    contract_of_model(Leaky)
    contract_of_task(Sums)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_on_the_wrong_device_gets_one_sentence(model):
    with pytest.raises(pytest.fail.Exception) as caught:
        contract_of_model(model)
    message = str(caught.value)
    assert message.startswith("model=own must compute on the device of its inputs and parameters; a tensor ")
    assert MODELS[model] in message and "use " in message and "\n" not in message


@pytest.mark.parametrize("task", TASKS)
def test_a_task_on_the_wrong_device_gets_one_sentence(task):
    with pytest.raises(pytest.fail.Exception) as caught:
        contract_of_task(task)
    assert TASKS[task] in str(caught.value) and "task=sums" in str(caught.value) and "\n" not in str(caught.value)


def test_the_pretended_device_computes_what_the_cpu_does():
    """Random numbers, indexing, changes in place and gradients; a number, but no tensor of the CPU, may be mixed in."""
    expected = torch.rand(4, 3, generator=torch.Generator().manual_seed(3))
    with PretendedDevice():
        x = torch.rand(4, 3, generator=Generator(3), device=DEVICE)
        assert x.device == DEVICE and torch.equal(x.cpu(), expected) and x.tolist() == expected.tolist()
        rows = torch.tensor([2, 0])
        assert torch.equal(x[rows].cpu(), expected[rows]) and torch.equal(x[rows.to(DEVICE)].cpu(), expected[rows])
        y = x.clone().transpose_(0, 1).requires_grad_()
        (y * torch.tensor(2.0)).square().sum().backward()
        torch.testing.assert_close(y.grad.cpu(), 8 * expected.T)
        for mix in (lambda: x + expected, lambda: expected[x > 0.5], lambda: torch.stack([x, expected])):
            with pytest.raises(WrongDevice):
                mix()


def analyse(weight: Tensor) -> float:
    """Stand for an analysis that computes with the parameters of a model."""
    return (weight * 2).sum().item()


def test_a_missing_no_grad_gets_one_sentence():
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(pytest.fail.Exception) as caught, no_graph_left("run of analysis=own"):
        analyse(weight)
    assert str(caught.value) == (
        "run of analysis=own must not record operations for a backward pass that it never runs, as in "
        f"`return (weight * 2).sum().item()` ({__name__}.py, line {analyse.__code__.co_firstlineno + 2}); "
        "put @torch.no_grad() above it"
    )
    for refused in (lambda: weight.numpy(), lambda: weight.add_(1)):
        with pytest.raises(pytest.fail.Exception, match=r"put @torch\.no_grad\(\) above it"), no_graph_left("solve"):
            refused()


def test_gradients_that_are_used_and_none_at_all_are_in_order():
    weight = nn.Parameter(torch.ones(3))
    with no_graph_left("run"):
        torch.autograd.grad((weight * 2).sum(), weight)
    with no_graph_left("run"):
        (weight * 2).sum().backward()
    with no_graph_left("run"):
        torch.func.jacrev(lambda x: x * 2)(torch.ones(3))
    with no_graph_left("run"), torch.no_grad():
        analyse(weight)
    with pytest.raises(RuntimeError, match="another"), no_graph_left("run"):
        raise RuntimeError("another mistake")


def test_a_statement_without_full_stop_gets_one_sentence():
    check_sentence("the statement of claim learned", "It learned.")
    with pytest.raises(pytest.fail.Exception) as caught:
        check_sentence("the statement of claim learned of analysis=own", "It learned")
    assert str(caught.value) == (
        "the statement of claim learned of analysis=own must be a sentence that ends in a full stop. "
        "Got 'It learned' instead."
    )


def test_a_regression_has_no_accuracy_and_signs_have_one():
    """Real targets are neither met nor missed; the contracts do not ask for an accuracy."""
    task = Sums()
    batch = task.generate(300, "val", torch.Generator().manual_seed(0))
    assert not task.has_accuracy and task.score(batch.targets, batch) == {}
    registry = SimpleNamespace(shared_task=lambda _: task)
    test_task_contract.test_chance_is_the_accuracy_of_the_best_constant_guess(registry, "sums")
    test_task_contract.test_perfect_outputs_have_accuracy_one_and_wrong_ones_are_no_better_than_chance(registry, "sums")

    class Signs(Sums):
        def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
            batch = super().generate(n, split, rng)
            return replace(batch, targets=torch.where(batch.targets > 0, 1.0, -1.0))

    batch = Signs().generate(300, "val", torch.Generator().manual_seed(0))
    assert Signs().has_accuracy and (Signs().score(batch.targets, batch)["accuracy"] == 1).all()
