"""Updates of M networks side by side against torch's own optimizers, one network and one step after another."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch
from recorded_trainings import recipe_of
from small_tasks import Echo, Points
from torch import nn

from mechlab.core.ensemble import Ensemble, Member, Membership
from mechlab.core.errors import ConfigError
from mechlab.core.layout import Layout
from mechlab.core.model import StaticModel
from mechlab.core.state import optimizer_tensors
from mechlab.core.step import CACHED, batch_loss, update_many
from mechlab.core.update_equations import entering_gradient, equations_of
from mechlab.models.group_mlp import GroupMLP
from mechlab.models.mlp import MLP
from mechlab.models.rnn import RNN
from mechlab.tasks.group import GroupProduct

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True),
    "damped": partial(torch.optim.SGD, lr=0.1, momentum=0.8, dampening=0.3, weight_decay=0.1),
    "adam": partial(torch.optim.Adam, lr=0.02, betas=(0.8, 0.95), eps=1e-6),
    "coupled": partial(torch.optim.Adam, lr=0.02, weight_decay=0.1, fused=True),
    "adamw": partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5, fused=True),
}
STEPS = 40
M = 3


def small_mlp(spec):
    return MLP(spec, hidden=5, activation="tanh")


def recipe_with(optimizer, clip=None, **options):
    """Forty steps in batches of four of ten points, with a learning rate that rises and falls."""
    options = {"task": Points(), "model": small_mlp, "batch_size": 4, "clip": clip, "steps": STEPS} | options
    return recipe_of(OPTIMIZERS[optimizer], **options)


def torch_update(model, optimizer, batch, spec, rate, clip, weights):
    """Make an update with torch's own functions alone."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    batch_loss(model(batch.inputs), batch, spec, weights).backward()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


@pytest.mark.parametrize(("optimizer", "clip"), list(itertools.product(OPTIMIZERS, [None, 0.3])))
def test_all_forms_of_an_update_are_torchs(optimizer, clip):
    """M networks side by side, each single training by the recipe's steps, and the recursion of attribution follow
    torch to rounding over many steps: with a bound on the gradient that is in force at some steps and not at others,
    momenta, decay, a schedule and weights."""
    recipes = [replace(recipe_with(optimizer, clip), seed=seed) for seed in range(M)]
    recipe, spec, source = recipes[0], recipes[0].task.spec, recipes[0].source()
    weights = torch.linspace(0, 2, M * 10, dtype=torch.float64).view(M, 10)
    layout = Layout({name: value.shape for name, value in recipe.model().named_parameters()})
    models = [recipe.model() for recipe in recipes]
    optimizers = [recipe.optimizer(model) for model in models]
    flat = lambda tensors: layout.join(dict(tensors)).detach()  # noqa: E731
    theta = nn.Parameter(torch.stack([flat(model.named_parameters()) for model in models]))
    of_all, rule = recipe.make_optimizer([theta]), equations_of(optimizers[0])
    linear = theta.detach().clone()
    momentum = torch.zeros_like(linear)
    second = torch.zeros_like(linear) if rule.second_moment else None
    clipped = []
    for step in range(STEPS):
        batch, (rate, decay) = source.batch(step), recipe.rates(optimizers[0], step)
        some = weights[:, batch.index]
        given = {"learning_rate": rate, "clip": clip, "weights": some}
        losses, outputs = update_many(models[0], layout, theta, of_all, batch, spec, **given)
        gradients = []
        for row, (model, own) in enumerate(zip(models, optimizers, strict=True)):
            loss = batch_loss(model(batch.inputs), batch, spec, some[row])
            assert losses[row].item() == pytest.approx(loss.item(), rel=1e-9)
            torch.testing.assert_close(outputs[row], model(batch.inputs), rtol=1e-9, atol=1e-11)
            parts = torch.autograd.grad(loss, list(model.parameters()))
            gradients.append(flat(zip(layout.names, parts, strict=True)))
            torch_update(model, own, batch, spec, rate, clip, some[row])
            norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
            clipped.append(clip is not None and norm.item() > 0.999 * clip)
        _, entering = entering_gradient(rule, torch.stack(gradients), linear, decay, clip)
        second = None if second is None else rule.second(second, entering)
        momentum, change = rule.recursion(step, rate, decay, second).step(momentum, entering, linear)
        linear = linear + change
    assert clip is None or (any(clipped) and not all(clipped))
    for row, (recipe, model) in enumerate(zip(recipes, models, strict=True)):
        expected, single = flat(model.named_parameters()), recipe.model()
        list(recipe.steps(single, source=source, weights=weights[row]))
        for found in (theta[row].detach(), linear[row], flat(single.named_parameters())):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def members_of(recipes):
    models = [recipe.model() for recipe in recipes]
    return {row: Member(model, recipes[0].optimizer(model)) for row, model in enumerate(models)}


def train(recipes, members, start=0, stop=STEPS):
    """Train members of an ensemble, each on the data of its own seed."""
    sources = {row: recipes[row].source() for row in members}
    ensemble = ensemble_of(recipes, members)
    for step in range(start, stop):
        batches = {row: source.batch(step) for row, source in sources.items()}
        rate = recipes[0].learning_rate(next(iter(members.values())).optimizer, step)
        ensemble.update(batches, rate, recipes[0].clip)
    ensemble.release()
    return members


def ensemble_of(recipes, members):
    recipe = recipes[0]
    return Ensemble(len(recipes), members, recipe.make_optimizer, recipe.source().batch(0), recipe.task.spec)


@pytest.mark.parametrize("optimizer", ["nesterov", "adamw", "sgd"])
@pytest.mark.parametrize("task", ["points", "tokens", "sequences"])
def test_members_of_an_ensemble_are_their_single_twins(optimizer, task):
    """Parameters and optimizer states are those of single trainings, each with its own data, order and initial weights,
    to rounding and under the names that torch gives them."""
    options = {"points": {}, "tokens": {"task": None, "model": partial(MLP, hidden=6, embedding=4)}}
    options["tokens"]["task"] = recipe_of(None).task.__class__(5)
    options["sequences"] = {"task": Echo(), "model": partial(RNN, hidden=4)}
    recipes = [replace(recipe_with(optimizer, 0.3, **options[task]), seed=seed) for seed in range(M)]
    members = train(recipes, members_of(recipes))
    for recipe, member in zip(recipes, members.values(), strict=True):
        model = recipe.model()
        own = recipe.optimizer(model)
        list(recipe.steps(model, own))
        torch.testing.assert_close(member.model.state_dict(), model.state_dict(), rtol=0, atol=1e-9)
        expected, found = optimizer_tensors(model, own), optimizer_tensors(*member)
        assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
            name: (value.shape, value.dtype) for name, value in expected.items()
        }
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("cached", [1, 2 * 21 * 6, CACHED])
def test_group_networks_with_splits_of_their_own_are_their_single_twins(cached, monkeypatch):
    """Each with its own training pairs and its own published initial weights, computed one, two or all at a time."""
    monkeypatch.setattr("mechlab.core.step.CACHED", cached)
    recipes = [
        recipe_with(
            "adamw", task=GroupProduct("S3", 0.6, seed=s), model=partial(GroupMLP, hidden=5, seed=s), batch_size=None
        )
        for s in range(M)
    ]
    members = train(recipes, members_of(recipes))
    for recipe, member in zip(recipes, members.values(), strict=True):
        model = recipe.model()
        list(recipe.steps(model, recipe.optimizer(model)))
        torch.testing.assert_close(member.model.state_dict(), model.state_dict(), rtol=0, atol=1e-9)


def test_a_member_is_trained_again_alone_with_the_bits_of_the_ensemble():
    """Its row and their number decide, not what the other rows hold; in the middle of training as well."""
    recipes = [replace(recipe_with("adamw", 0.3, dtype=torch.float32), seed=seed) for seed in range(M)]
    members = members_of(recipes)
    train(recipes, members, stop=17)
    middle = {row: member.model.state_dict() for row, member in members.items()}
    for row, recipe in enumerate(recipes):
        recipe = replace(recipe, member=Membership(row, M))
        model = recipe.model()
        optimizer = recipe.optimizer(model)
        list(recipe.steps(model, optimizer, stop=17))
        assert all(torch.equal(value, middle[row][name]) for name, value in model.state_dict().items())
        list(recipe.steps(model, optimizer, start=17))
        middle[row] = model.state_dict()
    train(recipes, members, start=17)
    for row, member in members.items():
        assert all(torch.equal(value, middle[row][name]) for name, value in member.model.state_dict().items())
    storages = {value.untyped_storage().data_ptr() for m in members.values() for value in m.model.parameters()}
    assert len(storages) == M * 4  # released: no tensor is a view of another network's


class Half(StaticModel):
    """A fixed random layer, another one in each network, and a trained one."""

    def __init__(self, spec):
        super().__init__(spec)
        self.register_buffer("features", torch.randn(*spec.shape, 6))
        self.line, self.idle = nn.Linear(6, spec.outputs), nn.Parameter(torch.ones(2))

    def forward(self, inputs):
        return self.line(torch.tanh(inputs @ self.features))


def test_buffers_and_unused_parameters_are_each_networks_own():
    recipes = [replace(recipe_with("adamw", model=Half), seed=seed) for seed in range(M)]
    for recipe, member in zip(recipes, train(recipes, members_of(recipes)).values(), strict=True):
        model = recipe.model()
        list(recipe.steps(model))
        torch.testing.assert_close(member.model.state_dict(), model.state_dict(), rtol=0, atol=1e-9)
        assert torch.equal(member.model.idle, torch.ones(2))


@pytest.mark.parametrize("member", [None, Membership(1, 2)])
def test_only_the_masked_in_parameters_are_updated(member):
    recipe = replace(recipe_with("adamw"), member=member)
    model, before = recipe.model(), recipe.model().state_dict()
    list(recipe.steps(model, mask=["readout.weight"], stop=3))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"readout.weight"} and all(parameter.requires_grad for parameter in model.parameters())


def test_networks_of_other_shapes_and_batches_of_other_shapes_are_refused():
    recipes = [recipe_with("sgd"), recipe_with("sgd", model=partial(MLP, hidden=7))]
    with pytest.raises(ConfigError, match="parameters of one shape"):
        ensemble_of(recipes, members_of(recipes))
    ensemble = ensemble_of(recipes[:1] * 2, members_of(recipes[:1] * 2))
    batch = recipes[0].source().batch(0)
    with pytest.raises(ConfigError, match="must have one shape"):
        ensemble.update({0: batch, 1: batch[:2]}, 0.1)
