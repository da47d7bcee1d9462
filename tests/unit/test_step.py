"""The optimiser update against a slow twin: one example at a time, in float64, with the optimizers of the textbooks."""

import itertools
import math

import pytest
import torch
from small_tasks import Echo, Points, Ragged

from mechlab.core.loss import MeanSquaredError
from mechlab.core.seeding import Streams
from mechlab.core.step import aligned_outputs, batch_loss, example_losses, update
from mechlab.core.task import Batch, TaskSpec
from mechlab.models.mlp import MLP
from mechlab.models.rnn import RNN


def ragged_targets(loss: str) -> tuple[TaskSpec, Batch]:
    """Sequences in which every example has other, and another number of, counted steps."""
    rng = torch.Generator().manual_seed(0)
    spec = TaskSpec(inputs=2, outputs=3, kind="sequence", loss=loss, length=5)
    mask = torch.tensor([[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 0], [0, 1, 1, 1, 0]], dtype=torch.bool)
    inputs = torch.randn(4, 5, 2, generator=rng, dtype=torch.float64)
    if loss == "mse":
        targets = torch.randn(4, 5, 3, generator=rng, dtype=torch.float64)
    else:
        targets = torch.randint(3, (4, 5), generator=rng)
    return spec, Batch(inputs, targets, mask, torch.arange(4))


def make(name: str):
    """Return (spec, batch, a function that builds the same float64 model each time)."""
    if name == "static":
        task = Points()
        spec, batch = task.spec, task.examples("train").to("cpu", torch.float64)
        build = lambda: MLP(spec, hidden=4, activation="tanh").double()  # noqa: E731
    elif name == "classes":
        spec = TaskSpec(inputs=3, outputs=2, kind="static", loss="cross_entropy", shape=(3,))
        values = Points().examples("train").to("cpu", torch.float64)
        batch = Batch(values.inputs, (values.targets[:, 0] > 0).long(), None, values.index)
        build = lambda: MLP(spec, hidden=4, activation="tanh").double()  # noqa: E731
    else:
        spec, batch = ragged_targets(name)
        build = lambda: RNN(spec, hidden=3, bias=True).double()  # noqa: E731

    def built():
        with Streams(1).globally("init"):
            return build()

    return spec, batch, built


CASES = ["static", "classes", "mse", "cross_entropy"]


def loss_of_one(model, spec: TaskSpec, batch: Batch, i: int):
    """The loss of one example, element by element from its definition."""
    x = batch.inputs[i]
    if spec.kind == "sequence":
        state, outputs = model.initial_state(1), []
        for t in range(len(x)):
            output, state = model.step(x[None, t], state)
            outputs.append(output[0])
        pairs = [(outputs[t], batch.targets[i, t]) for t in range(len(x)) if batch.mask is None or batch.mask[i, t]]
    else:
        pairs = [(model(x[None])[0], batch.targets[i])]
    total = 0.0
    for output, target in pairs:
        if spec.loss == MeanSquaredError():
            total = total + sum((output[k] - target[k]) ** 2 for k in range(len(target))) / len(target)
        else:
            total = total + torch.log(sum(torch.exp(value) for value in output)) - output[int(target)]
    return total / len(pairs)


def gradient_of(model, spec, batch, weights):
    """The gradient by parameter name, and the loss: a sum over examples, divided by their number."""
    gradient = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    loss = 0.0
    for i in range(len(batch)):
        one = loss_of_one(model, spec, batch, i)
        loss += float(weights[i]) * one.item() / len(batch)
        for name, part in zip(gradient, torch.autograd.grad(one, list(model.parameters())), strict=True):
            gradient[name] += float(weights[i]) * part / len(batch)
    return gradient, loss


def clipped(gradient, clip):
    norm = math.sqrt(sum(float((part**2).sum()) for part in gradient.values()))
    return {name: part * min(1.0, clip / (norm + 1e-6)) for name, part in gradient.items()}  # torch's own definition


def sgd(p, g, state, t, lr, momentum=0.0, dampening=0.0, decay=0.0):
    g = g + decay * p
    if momentum:
        state["b"] = g.clone() if t == 1 else momentum * state["b"] + (1 - dampening) * g
        g = state["b"]
    return p - lr * g


def adam(p, g, state, t, lr, decay=0.0, decoupled=False, betas=(0.9, 0.98), eps=1e-8):
    if decoupled:
        p = p * (1 - lr * decay)
    else:
        g = g + decay * p
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
    state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g**2
    m, v = state["m"] / (1 - betas[0] ** t), state["v"] / (1 - betas[1] ** t)
    return p - lr * m / (v.sqrt() + eps)


B = {"betas": (0.9, 0.98), "eps": 1e-8}
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {}, sgd, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}, sgd, {"momentum": 0.9}),
    "damped, decaying": (
        torch.optim.SGD,
        {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1},
        sgd,
        {"momentum": 0.8, "dampening": 0.3, "decay": 0.1},
    ),
    "adam": (torch.optim.Adam, {**B, "fused": True}, adam, {}),
    "adam, coupled decay": (torch.optim.Adam, {**B, "weight_decay": 0.2}, adam, {"decay": 0.2}),
    "adamw": (torch.optim.AdamW, {**B, "weight_decay": 0.5, "fused": True}, adam, {"decay": 0.5, "decoupled": True}),
}


def train_slowly(model, spec, batch, rule, options, rates, clip, weights):
    states = {name: {} for name, _ in model.named_parameters()}
    losses = []
    for t, lr in enumerate(rates, 1):
        gradient, loss = gradient_of(model, spec, batch, weights)
        losses.append(loss)
        gradient = gradient if clip is None else clipped(gradient, clip)
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(rule(p.clone(), gradient[name], states[name], t, lr, **options))
    return losses


@pytest.mark.parametrize(("case", "optimizer"), list(itertools.product(CASES, OPTIMIZERS)))
def test_updates_are_those_of_the_slow_twin(case, optimizer):
    """Six steps with changing rates, weights of every kind and a bound on the gradient that is sometimes in force."""
    spec, batch, built = make(case)
    make_optimizer, settings, rule, options = OPTIMIZERS[optimizer]
    rates = [0.1, 0.05, 0.2, 0.1, 0.01, 0.1]
    weights = torch.linspace(-0.5, 2.0, len(batch), dtype=torch.float64)
    weights[1] = 0
    for clip, given in ((None, None), (0.3, weights)):
        fast, slow = built(), built()
        optimizer = make_optimizer(fast.parameters(), lr=123.0, **settings)
        found = [update(fast, optimizer, batch, spec, learning_rate=lr, clip=clip, weights=given)[0] for lr in rates]
        ones = torch.ones(len(batch)) if given is None else given
        wanted = train_slowly(slow, spec, batch, rule, options, rates, clip, ones)
        assert torch.stack(found).tolist() == pytest.approx(wanted, rel=1e-9)
        for name, value in slow.state_dict().items():
            torch.testing.assert_close(fast.state_dict()[name], value, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_losses_by_example(case):
    spec, batch, built = make(case)
    model = built()
    losses = example_losses(aligned_outputs(model, batch, spec), batch, spec)
    wanted = [loss_of_one(model, spec, batch, i).item() for i in range(len(batch))]
    assert losses.tolist() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_weight_0_removes_an_example_and_keeps_the_denominator(case):
    spec, batch, built = make(case)
    keep = torch.arange(len(batch)) != 2
    batch.inputs[2] *= 100  # what a removed example looks like has no say
    model, other = built(), built()
    loss, _ = update(model, torch.optim.SGD(model.parameters(), lr=1.0), batch, spec, weights=keep.double())
    rate = keep.sum().item() / len(batch)  # the mean over those that are left has another denominator
    rest, _ = update(other, torch.optim.SGD(other.parameters(), lr=rate), batch[keep], spec)
    assert loss.item() == pytest.approx(rest.item() * rate, rel=1e-12)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_weights_of_one_change_nothing(case):
    spec, batch, built = make(case)
    outputs = aligned_outputs(built(), batch, spec)
    weighted = batch_loss(outputs, batch, spec, torch.ones(len(batch), dtype=torch.float64))
    assert weighted.item() == pytest.approx(batch_loss(outputs, batch, spec).item(), rel=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", ["mse", "cross_entropy", "groups", "endless"])
def test_a_cropped_batch_has_the_same_loss_and_gradients(case, weighted):
    if case == "groups":  # cropped to the steps of one length, as training does
        task = Ragged()
        spec, batch = task.spec, task.examples("train").to("cpu", torch.float64)
        rows = torch.nonzero(task.groups() == 3).flatten()
        batch, cropped = batch[rows], batch.cropped(rows)[rows]
        assert cropped.inputs.shape[1] == 3 and cropped.targets.shape[1] == 1 and cropped.mask is None
    elif case == "endless":
        spec = Echo().spec
        batch = Echo().generate(4, "train", torch.Generator().manual_seed(0)).to("cpu", torch.float64)
        cropped = batch.cropped()
        assert cropped.inputs.shape[1] == 5 and cropped.targets.shape[1] == 3 and cropped.mask is None
    else:
        spec, batch = ragged_targets(case)
        cropped = batch.cropped()
        assert cropped.inputs.shape[1] == 4 and cropped.targets.shape[1] == 3 and cropped.mask is not None
    weights = torch.tensor([0.5, 0.0, 2.0, 1.0, 1.0][: len(batch)]).double() if weighted else None
    found = []
    for form in (batch, cropped, cropped.cropped()):
        with Streams(1).globally("init"):
            model = RNN(spec, hidden=3, bias=True).double()
        loss = batch_loss(aligned_outputs(model, form, spec), form, spec, weights)
        found.append([loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))])
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_the_whole_gradient_is_bounded_not_each_part():
    spec, batch, built = make("mse")
    model = built()
    before = [p.detach().clone() for p in model.parameters()]
    update(model, torch.optim.SGD(model.parameters(), lr=1.0), batch, spec, clip=1e-3)
    moved = torch.cat([(b - p).detach().flatten() for b, p in zip(before, model.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_without_a_rate_the_optimizers_own_is_in_force():
    spec, batch, built = make("static")
    first, second = built(), built()
    update(first, torch.optim.SGD(first.parameters(), lr=0.3), batch, spec)
    update(second, torch.optim.SGD(second.parameters(), lr=9.0), batch, spec, learning_rate=0.3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_returned_loss_is_that_before_the_update_and_carries_no_graph():
    spec, batch, built = make("classes")
    model = built()
    before = batch_loss(aligned_outputs(model, batch, spec), batch, spec).item()
    loss, outputs = update(model, torch.optim.SGD(model.parameters(), lr=1.0), batch, spec)
    assert loss.item() == before
    assert not loss.requires_grad and not outputs.requires_grad and outputs.shape == (10, 2)


def test_outputs_of_another_shape_are_refused():
    spec, batch, built = make("static")
    wrong = Batch(batch.inputs, batch.targets[:, :1], None, batch.index)
    with pytest.raises(ValueError, match=r"must have shape \(10, 1\). Got \(10, 2\)"):
        aligned_outputs(built(), wrong, spec)
