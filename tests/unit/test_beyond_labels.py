"""Influence beyond label identity: planted matrices, and trainings with and without a rule."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of
from small_tasks import Echo, Points, Ragged, train
from torch import nn

from mechlab.analyses.attribution.beyond_labels import BeyondLabels
from mechlab.analyses.attribution.own_classes import labels_of, own_class_and_confidence
from mechlab.core.errors import ConfigError
from mechlab.core.schedule import Schedule
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.kernels.class_structure import SplitHalves, label_auc, repeated_classes, within_labels
from mechlab.models.rnn import RNN
from mechlab.record.artifacts import Artifacts

CLASSES, ROWS, COLUMNS = 8, 32, 80


def planted(kind: str, seed: int = 0):
    """Return influences (X, N) and both labels: noise, effects of either example alone, a diagonal, and structure."""
    rng = np.random.default_rng(seed)
    explained, train = (np.arange(n) % CLASSES for n in (ROWS, COLUMNS))
    influence = 0.3 * rng.standard_normal((ROWS, COLUMNS))
    if kind == "additive":
        influence += rng.standard_normal(CLASSES)[explained, None] + rng.standard_normal(CLASSES)[train]
    if kind in ("diagonal", "structure"):
        influence += 3.0 * (explained[:, None] == train)
    if kind == "structure":
        influence += np.cos(2 * np.pi * (explained[:, None] - train) / CLASSES)
    if kind == "rows":  # of each explained example by itself, whatever its class
        influence += rng.standard_normal((ROWS, CLASSES))[:, train]
    return influence, explained, train


@pytest.mark.parametrize(
    ("kind", "auc", "correlation"),
    [("noise", 0.5, 0), ("additive", 0.5, 0), ("diagonal", 1, 0), ("rows", 0.5, 0), ("structure", 1, 1)],
)
def test_planted_matrices_show_what_was_planted(kind, auc, correlation):
    influence, explained, train = planted(kind)
    assert np.mean(label_auc(influence, explained, train)) == pytest.approx(auc, abs=0.1)
    found = SplitHalves.of(influence[None], explained, train, 20, np.random.default_rng(0)).correlation()[0, 0]
    assert found == pytest.approx(correlation, abs=0.25 if correlation == 0 else 0.1)


def test_pairs_of_equal_classes_and_additive_effects_are_left_out():
    influence, explained, train = planted("noise")
    moved = influence + 50.0 * (explained[:, None] == train)
    halves = SplitHalves.of(influence[None], explained, train, 1, np.random.default_rng(0))
    assert not np.diagonal(halves.first, axis1=-2, axis2=-1).any()
    for axis in (-1, -2):
        np.testing.assert_allclose(halves.first.sum(axis), 0, atol=1e-9)
    one = np.ones((4, 8)) * np.arange(8)  # the same row for every explained example
    nothing = SplitHalves.of(one[None], np.arange(4) % 2, np.arange(8) % 2, 3, np.random.default_rng(0))
    assert nothing.correlation().tolist() == [[0.0]]
    assert np.allclose(label_auc(moved, explained, train), 1)


def test_classes_need_two_examples_of_either_kind():
    assert repeated_classes(np.array([0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 2])).tolist() == [0]
    none = SplitHalves.of(np.ones((1, 2, 2)), np.arange(2), np.arange(2), 2, np.random.default_rng(0))
    assert none.correlation().tolist() == [[0.0]]


def test_areas_and_rank_correlations_are_those_of_slow_loops():
    influence, explained, train = planted("noise")
    row, label = influence[3], explained[3]
    pairs = [(a > b) + 0.5 * (a == b) for a in row[train == label] for b in row[train != label]]
    assert label_auc(influence, explained, train)[3] == pytest.approx(np.mean(pairs))
    from scipy.stats import spearmanr

    key = np.random.default_rng(1).integers(4, size=influence.shape)
    own = train == label
    expected = spearmanr(row[own], key[3, own]).statistic
    assert within_labels(influence, explained, train, key)[3] == pytest.approx(expected)
    assert np.isnan(within_labels(influence, explained, train, key, fewest=11)).all()
    assert np.isnan(within_labels(influence, explained, train, np.ones_like(key))).all()


def test_pairs_that_do_not_count_are_as_if_there_were_none():
    influence, explained, train = planted("structure")
    key = np.random.default_rng(1).integers(4, size=influence.shape)
    masked = influence.copy()
    masked[np.arange(ROWS), np.arange(ROWS)] = np.nan  # examples 0, ..., ROWS - 1 are training examples too
    for row in range(0, ROWS, 5):
        rest = np.arange(COLUMNS) != row
        one = (influence[row : row + 1, rest], explained[row : row + 1], train[rest])
        assert label_auc(masked, explained, train)[row] == pytest.approx(label_auc(*one)[0])
        found = within_labels(masked, explained, train, key)[row]
        assert found == pytest.approx(within_labels(*one, key[row : row + 1, rest])[0])
    of = lambda matrix: SplitHalves.of(matrix[None], explained, train, 5, np.random.default_rng(0)).correlation()  # noqa: E731
    assert np.isfinite(of(masked)).all() and of(masked) == pytest.approx(of(influence), abs=0.05)


def test_influences_of_examples_on_themselves_show_no_equal_labels(tmp_path):
    """Words of one training example each: an area needs another example of the label."""
    run = train(tmp_path / "run", recipe_of(partial(torch.optim.Adam, lr=0.02), 3, task=Singles(), model=Embedded))
    out, analysis = Artifacts(tmp_path / "out"), BeyondLabels(split="train", examples=6, divisions=2)
    found = analysis.run(run, out, np.random.default_rng(0))
    assert out.table("components")["named_end"].isna().all() and not found.claims
    assert np.isfinite(out.arrays("influence")["own"]).all()


class Spelled(FiniteTask):
    """Name the class of a word, whatever follows it: 24 words in 6 classes, followed by one of 10 other tokens.

    Training on shuffled labels leaves no rule to learn.
    """

    def __init__(self, shuffled: bool = False):
        self.shuffled = shuffled
        self.spec = TaskSpec(inputs=34, outputs=6, kind="static", loss="cross_entropy", shape=(2,), tokens=True)

    def examples(self, split: Split) -> Batch:
        rng = torch.Generator().manual_seed(0)
        pairs = torch.cartesian_prod(torch.arange(24), torch.arange(24, 34))[torch.randperm(240, generator=rng)]
        start = {"train": 0, "val": 120, "test": 180}[split]
        inputs = pairs[start : start + (120 if split == "train" else 60)]
        targets = inputs[:, 0] % 6
        if self.shuffled and split == "train":
            targets = targets[torch.randperm(120, generator=rng)]
        return Batch(inputs, targets, None, torch.arange(len(inputs)))


class Singles(Spelled):
    """One training example of each class."""

    def examples(self, split: Split) -> Batch:
        inputs = torch.stack([torch.arange(6), torch.full((6,), 24)], 1)
        return Batch(inputs, torch.arange(6), None, torch.arange(6))


class Embedded(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.table, self.hidden, self.last = nn.Embedding(34, 12), nn.Linear(12, 24), nn.Linear(24, spec.outputs)

    def forward(self, tokens):
        return self.last(self.hidden(self.table(tokens).sum(1)).relu())


def found_on(folder, shuffled):
    optimizer = partial(torch.optim.Adam, lr=0.02)
    options = {"task": Spelled(shuffled), "model": Embedded, "schedule": Schedule("constant")}
    run = train(folder / "run", recipe_of(optimizer, 50, **options))
    analysis, out = BeyondLabels(examples=24, divisions=5, permutations=100), Artifacts(folder / "out")
    return analysis, out, analysis.run(run, out, np.random.default_rng(0))


@pytest.mark.ci
def test_a_learned_rule_shows_beyond_label_identity(tmp_path):
    analysis, out, found = found_on(tmp_path, False)
    assert found.scalars["named_control"] > 0.8 and found.scalars["named_end"] > 0.9
    assert found.scalars["unnamed_control"] == pytest.approx(0.5, abs=0.1) and found.scalars["unnamed_end"] > 0.8
    assert found.claims["beyond_labels"].holds
    assert "no evidence of a learned mechanism" in found.notes["control"]
    assert out.table("components")["component"].tolist() == ["whole network", "table", "hidden", "last"]
    assert set(analysis.figures(out)) == {"components", "maps"}


@pytest.mark.ci
def test_training_on_shuffled_labels_shows_label_identity_and_nothing_beyond(tmp_path):
    _, _, found = found_on(tmp_path, True)
    assert found.scalars["named_control"] > 0.8 and found.scalars["named_end"] > 0.8
    assert found.scalars["unnamed_end"] == pytest.approx(0.5, abs=0.1)
    assert not found.claims["beyond_labels"].holds


def test_tasks_without_one_class_for_each_example_are_refused():
    optimizer = partial(torch.optim.Adam, lr=0.02)
    for task in (Points(), Echo()):
        with pytest.raises(ConfigError, match="one class each"):
            BeyondLabels().check_recipe("asked", recipe_of(optimizer, task=task), "analysis.asked")


def test_the_scalars_of_a_sequence_are_those_of_its_counted_step():
    """The step differs by example; static examples of the same outputs have the same scalars."""
    outputs = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets, steps = torch.tensor([[0, 1, 2, 3], [4, 3, 2, 1], [1, 1, 0, 4]]), [3, 1, 0]
    mask = torch.tensor(steps)[:, None] == torch.arange(4)
    batch = Batch(torch.zeros(3, 4, 2), targets, mask, torch.arange(3))
    assert labels_of(batch).tolist() == [3, 3, 1]
    expected = []
    for x, (step, label) in enumerate(zip(steps, (3, 3, 1), strict=True)):
        chances = [float(value) for value in outputs[x, step].exp() / outputs[x, step].exp().sum()]
        expected.append([np.log(chances[label]), -np.mean(np.log(chances))])
    np.testing.assert_allclose(own_class_and_confidence(outputs, batch), expected, rtol=1e-12)
    static = Batch(batch.inputs, torch.tensor([3, 3, 1]), None, batch.index)
    np.testing.assert_allclose(own_class_and_confidence(outputs[range(3), steps], static), expected, rtol=1e-12)


class Miscounted(Ragged):
    """Sequences of which one, of one split, has another number of targets that count."""

    def __init__(self, split: Split, counted: int):
        super().__init__()
        self.split, self.counted = split, counted

    def examples(self, split: Split) -> Batch:
        batch = super().examples(split)
        if split != self.split:
            return batch
        mask = batch.mask.clone()
        mask[4] = torch.arange(self.spec.length) < self.counted
        return replace(batch, mask=mask)


def test_every_example_needs_one_target_that_counts():
    optimizer, model = partial(torch.optim.Adam, lr=0.02), partial(RNN, hidden=4)
    ask = lambda task: BeyondLabels().check_recipe("asked", recipe_of(optimizer, task=task, model=model), "it")  # noqa: E731
    ask(Ragged())
    ask(Miscounted("val", 1))
    for split, counted in (("train", 0), ("val", 0), ("val", 2)):
        with pytest.raises(ConfigError, match=f"{counted} targets that count in {split} example 4 of Miscounted"):
            ask(Miscounted(split, counted))
