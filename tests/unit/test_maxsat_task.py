"""Training formulas of MAX-SAT, and the rule of one clause."""

from __future__ import annotations

import pytest
import torch

from mechlab.core.errors import ConfigError
from mechlab.tasks.maxsat import MaxSat, ScoreDifferences


def test_training_formulas_are_the_published_ones():
    """3,800 formulas of one clause for 10 variables and 100 slots: 200 unit clauses and 3,600 of two literals."""
    task = MaxSat()
    batch = task.examples("train")
    assert task.spec.shape == (100, 20) and len(batch) == 3800 and len(batch.inputs.unique(dim=0)) == 3800
    assert (batch.inputs.amax(2).sum(1) == 1).all() and (batch.inputs[:, :, :2].sum((1, 2)) == 1).all()
    for length, count in ((1, 200), (2, 3600)):
        rows = batch.inputs.sum((1, 2)) == length
        assert rows.sum() == count
        negated = batch.inputs[rows, :, 1].sum(1) > 0
        scores = torch.tensor([100.0, 99.0 if length == 2 else 0.0])
        assert torch.equal(batch.targets[rows], torch.where(negated[:, None], scores.flip(0), scores))


def test_subconcepts_are_slots_times_literals_times_lengths():
    task = MaxSat(variables=3, slots=5)
    batch = task.examples("train")
    slots, numbers = task.subconcepts(batch).T
    assert torch.equal(slots, batch.inputs.amax(2).argmax(1)) and torch.equal(numbers // 4, slots)
    assert sorted(numbers.unique().tolist()) == list(range(20))
    for number in range(20):
        rows = numbers == number
        assert len(batch.targets[rows].unique(dim=0)) == 1 and rows.sum() == (1 if number % 4 < 2 else 4)


@pytest.mark.parametrize("variables", [3, 6])
def test_held_out_clauses_are_longer(variables):
    task = MaxSat(variables=variables, slots=4, held_out=50)
    sizes = [len(task.examples(split)) for split in ("val", "test")]
    assert sizes == ([16, 16] if variables == 3 else [50, 50])  # 4 slots, 2 literals of the first variable, 4 others
    for split in ("val", "test"):
        inputs = task.examples(split).inputs
        assert (inputs.sum((1, 2)) > 2).all() and (inputs.amax(2).sum(1) == 1).all()
        assert task.ground_truth().targets(inputs)[1].all()


def test_the_rule_adds_up_and_is_defined_for_one_clause():
    task = MaxSat(variables=3, slots=3)
    formulas = torch.zeros(4, 3, 6)
    formulas[0, 0, 0] = formulas[0, 2, [1, 4]] = 1  # x0, and (not x0 or x2)
    formulas[1, 1, [0, 1]] = 1  # x0 or not x0
    formulas[2, 1, 3] = 1  # not x1
    formulas[3, 2, [1, 2]] = 1
    targets, defined = task.ground_truth().targets(formulas)
    assert defined.tolist() == [False, False, False, True]
    assert torch.allclose(targets[[0, 3]], torch.tensor([[199.0, 100.0], [99.0, 100.0]]))


def test_the_loss_ignores_a_common_shift():
    loss, generator = ScoreDifferences(), torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(2, 5, 2, generator=generator)
    shift = torch.randn(5, 1, generator=generator)
    expected = ((outputs[:, 0] - outputs[:, 1]) - (targets[:, 0] - targets[:, 1])).square() / 2
    assert torch.allclose(loss.elements(outputs + shift, targets), expected, atol=1e-5)
    assert torch.equal(loss.right(outputs, targets), outputs.argmax(1) == targets.argmax(1))


def test_formulas_that_do_not_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr("mechlab.core.memory.available", lambda: 1e8)
    with pytest.raises(ConfigError, match="memory"):
        MaxSat(variables=20)
