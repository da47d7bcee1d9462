"""Losses, against their definitions in a loop over float64 numbers."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from recorded_trainings import recipe_of, recorded, trajectory_of
from torch import Tensor
from torch.func import grad, vmap

from mechlab.core.errors import ConfigError
from mechlab.core.loss import (
    BernoulliLoss,
    CrossEntropy,
    LogSquaredError,
    Loss,
    MeanSquaredError,
    SigmoidSquaredError,
    SoftCrossEntropy,
    loss_of,
)
from mechlab.core.schedule import Schedule
from mechlab.core.step import aligned_outputs, batch_loss, example_losses, update
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.kernels.path_kernels import path_kernel
from mechlab.models.mlp import MLP
from mechlab.tasks.modular_addition import ModularAddition

B, T, C = 4, 5, 3
LOSSES = {
    "mse": MeanSquaredError(),
    "cross entropy": CrossEntropy(),
    "soft": SoftCrossEntropy(),
    "bernoulli": BernoulliLoss(),
    "sigmoid sum": SigmoidSquaredError(),
    "sigmoid mean": SigmoidSquaredError(reduction="mean"),
    "log": LogSquaredError(),
}


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def numbers(name: str, outputs: list[float], target: list[float] | int) -> list[float]:
    """Return the losses of one target: one of a class or distribution, one for each number otherwise."""
    if name in ("cross entropy", "soft"):
        total = sum(math.exp(value) for value in outputs)
        logs = [math.log(math.exp(value) / total) for value in outputs]
        weights = [float(c == target) for c in range(C)] if name == "cross entropy" else target
        return [-sum(weight * value for weight, value in zip(weights, logs, strict=True))]
    formula = {
        "mse": lambda y, t: (y - t) ** 2,
        "bernoulli": lambda y, t: -t * math.log(sigmoid(y)) - (1 - t) * math.log(1 - sigmoid(y)),
        "sigmoid sum": lambda y, t: (sigmoid(y) - t) ** 2,
        "sigmoid mean": lambda y, t: (sigmoid(y) - t) ** 2,
        "log": lambda y, t: 0.5 * math.log(1 + (y - t) ** 2),
    }[name]
    return [formula(y, t) for y, t in zip(outputs, target, strict=True)]


def examples(name: str, static: bool = False) -> tuple[TaskSpec, Tensor, Batch]:
    """Return a spec, float64 outputs, and a batch: sequences with a mask, or static examples without."""
    rng = torch.Generator().manual_seed(0)
    shape = (B,) if static else (B, T)
    outputs = 2 * torch.randn(*shape, C, generator=rng, dtype=torch.float64)
    drawn = torch.rand(*shape, C, generator=rng, dtype=torch.float64)
    targets = {
        "mse": lambda: 4 * drawn - 2,
        "cross entropy": lambda: drawn.argmax(-1),
        "soft": lambda: drawn / drawn.sum(-1, keepdim=True),
        "log": lambda: (4 * drawn - 2).round(),
    }.get(name, lambda: drawn)()
    mask = None if static else torch.rand(B, T, generator=rng) < 0.5
    if mask is not None:
        mask[:, 2] = True
    spec = TaskSpec(2, C, "static" if static else "sequence", LOSSES[name], shape=(2,) if static else ())
    return spec, outputs, Batch(torch.zeros(*shape, 2), targets, mask, torch.arange(B))


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_an_example_has_the_loss_of_the_definition(name: str, static: bool) -> None:
    spec, outputs, batch = examples(name, static)
    expected = []
    for row in range(B):
        pairs = [(outputs[row], batch.targets[row])]
        if not static:
            pairs = [(outputs[row, t], batch.targets[row, t]) for t in range(T) if batch.mask[row, t]]
        losses = [loss for output, target in pairs for loss in numbers(name, output.tolist(), target.tolist())]
        expected.append(sum(losses) / (1 if name == "sigmoid sum" else len(losses)))
    torch.testing.assert_close(example_losses(outputs, batch, spec), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(batch_loss(outputs, batch, spec).item(), sum(expected) / B)
    weights = torch.tensor([0.0, 1.0, 2.0, 0.5], dtype=torch.float64)
    weighted = sum(float(weight) * loss for weight, loss in zip(weights, expected, strict=True)) / B
    torch.testing.assert_close(batch_loss(outputs, batch, spec, weights).item(), weighted)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str, static: bool) -> None:
    spec, outputs, batch = examples(name, static)
    outputs.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: example_losses(x, batch, spec), outputs)
    assert torch.autograd.gradcheck(lambda x: batch_loss(x, batch, spec), outputs)


@pytest.mark.parametrize("name", LOSSES)
def test_torch_differentiates_examples_side_by_side(name: str) -> None:
    spec, outputs, batch = examples(name)

    def loss(output: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        return spec.loss.examples(output[None], target[None], counted[None])[0]

    rows = vmap(grad(loss))(outputs, batch.targets, batch.mask)
    outputs.requires_grad_()
    whole = torch.autograd.grad(example_losses(outputs, batch, spec).sum(), outputs)[0]
    torch.testing.assert_close(rows, whole)


@pytest.mark.parametrize("name", LOSSES)
def test_large_outputs_have_finite_losses_and_gradients(name: str) -> None:
    """In float32, where exp(100) overflows."""
    spec, outputs, batch = examples(name)
    batch, outputs = batch.to("cpu", torch.float32), (200 * outputs.float()).requires_grad_()
    losses = example_losses(outputs, batch, spec)
    assert losses.isfinite().all() and torch.autograd.grad(losses.sum(), outputs)[0].isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_shapes_follow_from_the_targets(name: str) -> None:
    spec, outputs, batch = examples(name)
    loss = spec.loss
    assert loss.output_shape(batch.targets, C) == outputs.shape
    assert loss.right(outputs, batch.targets).shape == loss.elements(outputs, batch.targets).shape
    blank = loss.no_targets((B, T), C, torch.float64)
    assert blank.shape == batch.targets.shape and blank.dtype == batch.targets.dtype


def test_what_counts_as_right() -> None:
    scores = torch.tensor([[0.2, -1.0, 0.1], [-3.0, 0.0, 2.0]])
    assert CrossEntropy().right(scores, torch.tensor([0, 1])).tolist() == [True, False]
    soft = torch.tensor([[0.5, 0.2, 0.3], [0.4, 0.3, 0.3]])
    assert SoftCrossEntropy().right(scores, soft).tolist() == [True, False]
    signs = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]])
    assert MeanSquaredError().right(scores, signs).tolist() == [[True, True, False], [True] * 3]
    bits = (signs + 1) / 2
    for loss in (BernoulliLoss(), SigmoidSquaredError()):
        assert loss.right(scores, bits).tolist() == [[True, True, False], [True] * 3]
    whole = torch.tensor([[0.0, -1.0, 1.0], [-3.0, 0.0, 1.0]])
    assert LogSquaredError().right(scores, whole).tolist() == [[True, True, False], [True, True, False]]


def test_attribution_explains_log_probabilities_where_there_are_some() -> None:
    outputs = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    for loss in (CrossEntropy(), SoftCrossEntropy()):
        torch.testing.assert_close(loss.scalars(outputs).exp().sum(-1), torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(BernoulliLoss().scalars(outputs).exp(), outputs.sigmoid())
    for loss in (MeanSquaredError(), SigmoidSquaredError(), LogSquaredError()):
        assert torch.equal(loss.scalars(outputs), outputs)


def test_a_loss_in_float64_resolves_what_float32_rounds_to_zero() -> None:
    """A network in float32 whose log-probability of the target is -1e-11."""
    spec = TaskSpec(inputs=2, outputs=2, kind="static", loss=CrossEntropy("float64"), shape=(2,))
    plain = TaskSpec(inputs=2, outputs=2, kind="static", loss="cross_entropy", shape=(2,))
    outputs = torch.tensor([[25.0, 0.0]], requires_grad=True)
    batch = Batch(torch.zeros(1, 2), torch.tensor([0]), None, torch.arange(1))
    losses = example_losses(outputs, batch, spec)
    assert losses.dtype == batch_loss(outputs, batch, spec).dtype == torch.float64
    assert losses.item() == pytest.approx(math.log1p(math.exp(-25.0)), rel=1e-3)
    assert example_losses(outputs, batch, plain).item() == 0
    gradient = torch.autograd.grad(losses.sum(), outputs)[0]
    assert gradient.dtype == torch.float32 and gradient[0, 1].item() == pytest.approx(math.exp(-25.0), rel=1e-5)
    model = MLP(spec, hidden=3)
    loss, _ = update(model, torch.optim.SGD(model.parameters(), lr=0.1), batch, spec)
    assert loss.dtype == torch.float64 and all(p.dtype == torch.float32 for p in model.parameters())


def test_two_short_names_stand_for_losses() -> None:
    assert (loss_of("mse"), loss_of("cross_entropy")) == (MeanSquaredError(), CrossEntropy())
    spec = TaskSpec(inputs=1, outputs=1, kind="static", loss="mse", shape=(1,))
    assert spec == TaskSpec(inputs=1, outputs=1, kind="static", loss=MeanSquaredError(), shape=(1,))
    assert CrossEntropy("float64") != CrossEntropy()
    for wrong in ("cross_entropie", None, CrossEntropy):
        with pytest.raises(ConfigError, match="must name a Loss"):
            TaskSpec(inputs=1, outputs=1, kind="static", loss=wrong, shape=(1,))


def test_a_loss_of_two_numbers_for_each_target() -> None:
    """A subclass may ask for other outputs than there are targets, here a mean and a logarithm of a deviation."""

    class Gaussian(Loss):
        def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
            mean, log = outputs.chunk(2, -1)
            return ((targets - mean) / log.exp()).square() / 2 + log

        def output_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
            return (*targets.shape[:-1], outputs)

    spec = TaskSpec(inputs=2, outputs=4, kind="static", loss=Gaussian(), shape=(2,))
    batch = Batch(torch.zeros(3, 2), torch.ones(3, 2), None, torch.arange(3))
    assert aligned_outputs(MLP(spec, hidden=3), batch, spec).shape == (3, 4)
    exact = torch.cat([batch.targets, torch.zeros(3, 2)], -1)
    assert example_losses(exact, batch, spec).tolist() == [0, 0, 0]
    mse = TaskSpec(inputs=2, outputs=4, kind="static", loss="mse", shape=(2,))
    with pytest.raises(ValueError, match="must have shape"):
        aligned_outputs(MLP(mse, hidden=3), batch, mse)


class Regression(FiniteTask):
    """Random targets, such as a loss takes them, of ten random points."""

    def __init__(self, name: str):
        self.name = name
        self.spec = TaskSpec(inputs=2, outputs=C, kind="static", loss=LOSSES[name], shape=(2,))

    def examples(self, split: Split) -> Batch:
        rng = torch.Generator().manual_seed(0)
        numbers = torch.rand(10, C, generator=rng)
        targets = {"cross entropy": numbers.argmax(-1), "soft": numbers / numbers.sum(-1, keepdim=True)}
        return Batch(torch.randn(10, 2, generator=rng), targets.get(self.name, numbers), None, torch.arange(10))


@pytest.mark.parametrize("name", LOSSES)
def test_attribution_decomposes_training_with_any_loss(name: str) -> None:
    """Gradients of the training examples, as attribution takes them, make up the recorded updates."""
    descent = partial(torch.optim.SGD, lr=0.1)
    recipe = recipe_of(descent, steps=4, task=Regression(name), model=partial(MLP, hidden=4), schedule=Schedule())
    trajectory = trajectory_of(recipe, recorded(recipe))
    inputs = recipe.task.examples("test")[:2].to("cpu", recipe.dtype)
    for outputs in ("all", "target"):
        found = path_kernel(trajectory, inputs, outputs, nodes=4)
        change = found.final - found.initial
        assert abs(found.arithmetic).max() < 1e-9 * abs(change).max()
        assert abs(found.data - change).max() < 1e-3 * abs(change).max()
    if name != "cross entropy":
        with pytest.raises(ConfigError, match="needs targets that are classes"):
            path_kernel(trajectory, inputs, "margin")


def test_attribution_of_a_loss_in_float64_stays_in_the_precision_of_the_network() -> None:
    task = ModularAddition(5, loss_dtype="float64")
    descent = partial(torch.optim.SGD, lr=0.5)
    recipe = recipe_of(descent, steps=4, task=task, model=partial(MLP, hidden=6), dtype=torch.float32)
    for form in ("jvp", "gemm", "ghost"):
        found = path_kernel(trajectory_of(recipe, recorded(recipe)), task.examples("val"), "target", nodes=4, form=form)
        change = found.final - found.initial
        assert abs(found.data + found.residual - change).max() < 1e-3 * abs(change).max()
