"""Metrics in portions against those of all examples at once, and the memory that they take."""

import functools
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import Echo, Points, Ragged, small_recipe

from mechlab.core.evaluation import ClassShares, Means, evaluate, portions
from mechlab.core.step import aligned_outputs, example_losses
from mechlab.core.task import Batch
from mechlab.tasks.context_free import ContextFree
from mechlab.tasks.words import balanced_accuracy

WORDS = {"words": 40, "val_words": 31, "test_words": 20}


@functools.cache
def case(name):
    walks = functools.partial(ContextFree, "L7", sampler="walk", **WORDS)
    task = {"echo": Echo, "points": Points, "ragged": Ragged, "walks": walks}[name]()
    recipe = small_recipe(task)
    return recipe.model().eval(), task, recipe.source().evaluation("val")


@pytest.mark.parametrize("name", ["echo", "points", "ragged", "walks"])
@pytest.mark.parametrize("portion", [1, 4, 1000])
def test_portions_give_the_means_over_all_examples(name, portion):
    model, task, batch = case(name)
    with torch.no_grad():
        outputs = aligned_outputs(model, batch, task.spec)
        whole = {"loss": example_losses(outputs, batch, task.spec), **task.score(outputs, batch)}
    wanted = {name: float(value.mean()) for name, value in whole.items()}
    assert evaluate(model, task, batch, portion) == pytest.approx(wanted, rel=1e-6)


def test_a_mean_of_means_would_be_another_number():
    """What portions of different sizes, or without some of the classes, would give if each were averaged by itself."""
    right = torch.tensor([1.0, 1.0, 0.0])
    means, wrong = Means(), []
    for part in (right[:2], right[2:]):
        means.add({"loss": part})
        wrong.append(float(part.mean()))
    assert means.means()["loss"] == pytest.approx(2 / 3) and sum(wrong) / 2 == 0.5


@given(seed=st.integers(0, 10**6), n=st.integers(1, 30), portion=st.integers(1, 30), classes=st.integers(1, 4))
def test_balanced_accuracy_in_portions(seed, n, portion, classes):
    rng = torch.Generator().manual_seed(seed)
    targets, mask = torch.randint(classes, (n, 3), generator=rng), torch.rand(n, 3, generator=rng) < 0.5
    mask[0, 0] = True
    outputs, batch = torch.randn(n, 3, 4, generator=rng), Batch(torch.zeros(n, 3), targets, mask, torch.arange(n))
    means = Means()
    for part, rows in zip(portions(batch, portion), outputs.split(portion), strict=True):
        means.add({"loss": torch.zeros(len(part)), "balanced": balanced_accuracy(rows, part)})
    right = outputs.argmax(-1) == targets
    shares = [right[mask & (targets == label)].double().mean() for label in targets[mask].unique()]
    assert means.means()["balanced"] == pytest.approx(float(sum(shares)) / len(shares), abs=1e-6)


def test_class_shares_by_hand():
    """Class 0: 1 of 4 right; class 1: 1 of 1; class 2 does not occur."""
    shares = ClassShares(torch.tensor([[1.0, 0, 0], [0, 1, 0]]), torch.tensor([[2.0, 0, 0], [2, 1, 0]]))
    assert float(shares.mean()) == pytest.approx((1 / 4 + 1) / 2)


class Watched(torch.nn.Module):
    """Counts how many of its outputs are alive when it is called."""

    def __init__(self, model):
        super().__init__()
        self.model, self.outputs, self.most = model, [], 0

    def forward(self, inputs):
        self.most = max(self.most, sum(output() is not None for output in self.outputs))
        outputs = self.model(inputs)
        self.outputs.append(weakref.ref(outputs))
        return outputs


@pytest.mark.parametrize("kept", [False, True])
def test_no_output_outlives_its_portion_but_the_last(kept):
    task = Points(n=120)
    watched = Watched(small_recipe(task).model().eval())
    if kept:  # what concatenation at the end would need
        outputs = [aligned_outputs(watched, part, task.spec) for part in portions(task.examples("val"), 10)]
        assert len(outputs) == 12 and watched.most == 11
    else:
        evaluate(watched, task, task.examples("val"), 10)
        assert len(watched.outputs) == 12 and watched.most <= 1
