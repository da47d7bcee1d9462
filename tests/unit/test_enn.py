"""Essence networks as models: which targets they take, what they refuse, and training through the signs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_tasks import Points, small_recipe, train
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.loss import BernoulliLoss, SoftCrossEntropy
from mechlab.core.task import Batch, FiniteTask, TaskSpec
from mechlab.distill.layers import activations, as_layers
from mechlab.models.enn import ENN
from mechlab.tasks.digits import Digits


class Rings(FiniteTask):
    """Rule 110 on random rings of nine cells."""

    def __init__(self, targets: str = "bits", size: int = 9):
        self.size, self.signs = size, targets == "signs"
        loss = "mse" if self.signs else BernoulliLoss()
        self.spec = TaskSpec(inputs=size, outputs=size, kind="static", loss=loss, shape=(size,))

    def examples(self, split):
        cells = torch.randint(2, (100, self.size), generator=torch.Generator().manual_seed(len(split))).float()
        numbers = 4 * cells.roll(1, 1) + 2 * cells + cells.roll(-1, 1)
        targets = (110 >> numbers.long() & 1).float()
        return Batch(cells, 2 * targets - 1 if self.signs else targets, None, torch.arange(100))


class Corners(FiniteTask):
    """Opposite corners of a square are of one class, or have one pair of probabilities."""

    def __init__(self, soft: bool = False, given: Tensor | None = None):
        loss = SoftCrossEntropy() if soft else "cross_entropy"
        self.soft = soft
        self.spec = TaskSpec(inputs=2, outputs=2, kind="static", loss=loss, shape=(2,))
        if given is not None:
            self.subconcepts = lambda batch: given[batch.index]

    def examples(self, split):
        inputs = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)))
        targets = (inputs[:, 0] != inputs[:, 1]).long()
        if self.soft:
            targets = torch.tensor([[0.9, 0.1], [0.2, 0.8]])[targets]
        return Batch(inputs, targets, None, torch.arange(4))


def solved(task: FiniteTask, **options) -> ENN:
    return replace(small_recipe(task), make_model=partial(ENN, **options)).model()


def right(model: ENN, task: FiniteTask, split: str = "test") -> float:
    examples = task.examples(split)
    with torch.no_grad():
        return task.score(model(examples.inputs), examples)["accuracy"].mean().item()


@pytest.mark.parametrize("targets", ["bits", "signs"])
def test_binary_outputs_are_learned_as_bits_or_signs(targets):
    task = Rings(targets)
    model = solved(task)
    assert right(model, task) == 1
    assert right(replace(small_recipe(task), make_model=ENN).architecture(), task) < 0.9  # not solved


def test_layers_are_those_of_the_forward_pass():
    task = Rings()
    model = solved(task)
    inputs = task.examples("test").inputs
    expected = activations(as_layers(model.layers(), 9), inputs.numpy())
    torch.testing.assert_close(model(inputs).double(), torch.as_tensor(expected[-1]))
    assert torch.equal(model.hidden(inputs).double(), torch.as_tensor(expected[-2]))


@pytest.mark.parametrize("options", [{"window": 3}, {"shared": True, "inputs_per_output": 3}])
def test_cells_of_a_ring_share_examples(options):
    """Two rings of 64 cells are too few for each cell on its own, and enough for all together."""

    class TwoRings(Rings):
        def examples(self, split):
            return super().examples(split)[:2] if split == "train" else super().examples(split)

    task = TwoRings(size=64)
    assert right(solved(task, **options), task) == 1
    assert right(solved(task), task) < 0.9


@pytest.mark.parametrize("subconcepts", ["each", "merge", "k_means", "agglomerative"])
@pytest.mark.parametrize("separator", ["margin", "mean_difference", "lda"])
def test_exclusive_or_is_learned_in_every_way(subconcepts, separator):
    task = Corners()
    assert right(solved(task, subconcepts=subconcepts, separator=separator), task) == 1


def test_given_subconcepts_are_those_of_the_task():
    assert right(solved(Corners(given=torch.tensor([0, 1, 2, 3])), subconcepts="given"), Corners()) == 1
    whole = solved(Corners(given=torch.tensor([0, 1, 1, 0])), subconcepts="given")
    assert whole.D.shape == (3, 1) and right(whole, Corners()) < 1  # a single line cannot
    with pytest.raises(ConfigError, match="must have equal targets"):
        solved(Corners(given=torch.tensor([0, 0, 1, 1])), subconcepts="given")
    with pytest.raises(ConfigError, match="must give subconcepts"):
        solved(Corners(), subconcepts="given")


def test_groups_of_given_subconcepts_are_compared_among_themselves_alone():
    groups = torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3]])
    assert solved(Corners(given=groups), subconcepts="given").D.shape == (3, 2)
    assert solved(Corners(given=groups[:, 1]), subconcepts="given").D.shape == (3, 4)


def test_other_targets_are_approximated_up_to_what_the_loss_ignores():
    task = Corners(soft=True)
    model, examples = solved(task), task.examples("train")
    expected = examples.targets - examples.targets.mean(1, keepdim=True)
    torch.testing.assert_close(model(examples.inputs), expected, atol=1e-6, rtol=0)


def test_digits_are_learned_through_signs():
    task = Digits(classes=(0, 1, 2))
    model = solved(task)
    assert right(model, task, "train") == 1 and right(model, task) > 0.9


def test_training_through_the_signs_reduces_the_loss(tmp_path):
    """From random weights, on all 512 rings, and from the solution, where what is right remains so."""

    def trained(solve: bool) -> tuple[float, float]:
        rng = torch.Generator().manual_seed(0)
        model = ENN(Rings().spec)
        examples = Rings().examples("train")
        if solve:
            model.solve(examples, rng)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        losses = []
        for _ in range(60):
            loss = model.spec.loss.mean(model(examples.inputs), examples.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses[0], losses[-1]

    for solve in (False, True):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            first, last = trained(solve)
        assert last < 0.8 * first


def test_a_recorded_training_goes_on_from_the_solution(tmp_path):
    recipe = replace(small_recipe(Rings(), steps=30), make_model=partial(ENN, levels=4))
    run = train(tmp_path, recipe, "replay")
    assert torch.equal(run.history.params(0)["S"], recipe.model().S)
    assert not torch.equal(run.model().S, recipe.model().S)


def test_rounded_weights_are_few_and_their_gradients_are_those_of_the_weights():
    task = Rings()
    model = ENN(task.spec, levels=2)
    batch = task.examples("train")
    for layer, parameter in zip(model.layers(), (model.D, model.S, model.C), strict=True):
        steps = layer[:-1] / abs(parameter.detach().numpy()[:-1]).max(0) * 2
        assert abs(steps - steps.round()).max() < 1e-5 and abs(steps).max() <= 2 + 1e-5
    task.spec.loss.mean(model(batch.inputs), batch.targets).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def ratios(model: ENN) -> list[np.ndarray]:
    """The layers, each unit relative to its largest weight."""
    return [layer / abs(layer[:-1]).max(0) for layer in model.layers()]


def test_ratios_of_rounded_weights_stay_what_they_are_until_training_moves_them_by_half_a_step():
    task = Rings()
    batch = task.examples("train")
    for levels, same in ((2, True), (None, False)):
        model = ENN(task.spec, levels=levels)
        model.solve(batch, torch.Generator().manual_seed(0))
        before = ratios(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        task.spec.loss.mean(model(batch.inputs), batch.targets).backward()
        optimizer.step()
        assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(before, ratios(model), strict=True)) == same


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        (Rings(), {"window": 2}, "must be odd"),
        (Rings(), {"window": 3, "subconcepts": "given"}, "must give subconcepts"),
        (Corners(), {"window": 1}, "must map cells"),
        (Corners(), {"shared": True}, "must map cells of a ring to cells"),
        (Rings(size=5), {"window": 7}, "at least window"),
        (Points(5000), {"subconcepts": "each"}, "pairs of subconcepts"),
    ],
)
def test_options_that_do_not_fit_are_refused(task, options, words):
    with pytest.raises(ConfigError, match=words):
        model = ENN(task.blueprint(), **options)
        model.solve(task.examples("train"), torch.Generator().manual_seed(0))
