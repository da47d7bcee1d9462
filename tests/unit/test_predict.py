"""Outputs, targets and scores of inputs that are not the task's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_tasks import Points, small_recipe

from mechlab.core.errors import ConfigError
from mechlab.core.model import outputs_of
from mechlab.core.task import Batch, Task
from mechlab.jobs.prepare import check_examples
from mechlab.record.run import Run
from mechlab.tasks.modular_addition import ModularAddition
from mechlab.tasks.repeat_copy import RepeatCopy
from mechlab.tasks.tomita import Tomita


def untrained(task: Task, **options: object) -> Run:
    """A run whose model has not been trained."""
    recipe = small_recipe(task, **options)
    return Run(Path("nowhere"), lambda: recipe, live=recipe.model().eval())


def test_sequences_longer_than_those_of_training_are_scored() -> None:
    run = untrained(RepeatCopy(2, 3, 1))
    inputs = torch.zeros(4, 11, 2)
    inputs[:, :3] = torch.tensor([1.0, -1.0]).repeat(3, 1)
    found = run.predict(inputs)
    with torch.no_grad():
        outputs = outputs_of(run.model(), inputs)
    assert torch.equal(found.outputs, outputs) and found.outputs.shape == (4, 11, 2)
    assert torch.equal(found.targets[:, 3:], torch.tensor([1.0, -1.0]).expand(4, 8, 2))
    assert found.mask.sum(1).tolist() == [8] * 4
    right = (outputs[:, 3:] >= 0) == (found.targets[:, 3:] >= 0)
    torch.testing.assert_close(found.score["accuracy"], right.float().mean((1, 2)))


def test_words_are_labelled_by_the_automaton() -> None:
    run = untrained(Tomita(1, words=100, val_words=20, test_words=20, supervise="last"))
    word = torch.nn.functional.one_hot(torch.tensor([[1, 1, 1, 1], [1, 0, 1, 1]]), 2).float()
    assert run.predict(word).targets.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]  # only ones are accepted
    assert run.predict(word).mask.tolist() == [[False, False, False, True]] * 2
    word[1, 2:] = 0
    assert run.predict(word).mask.tolist() == [[False, False, False, True], [False, True, False, False]]
    for broken in (word.flip(1), word / 2, 0 * word):
        with pytest.raises(ConfigError, match="must be a word"):
            run.predict(broken)


def test_static_inputs_have_neither_time_nor_mask() -> None:
    run = untrained(ModularAddition(7))
    found = run.predict(torch.tensor([[3, 6], [0, 0]]))
    assert found.outputs.shape == (2, 7) and found.targets.tolist() == [2, 0] and found.mask is None
    assert found.score["accuracy"].shape == (2,)


def test_a_task_without_a_rule_has_outputs_alone() -> None:
    found = untrained(Points()).predict(torch.ones(2, 3))
    assert found.outputs.shape == (2, 2) and found[1:] == (None, None, None)


def test_an_input_without_a_target_that_counts_has_no_score() -> None:
    found = untrained(RepeatCopy(2, 3, 1)).predict(torch.ones(2, 3, 2))
    assert not found.mask.any() and found.score["accuracy"].isnan().all()


def test_inputs_take_the_precision_of_the_run() -> None:
    found = untrained(RepeatCopy(2, 3, 1), dtype=torch.float64).predict(torch.ones(2, 6, 2))
    assert found.outputs.dtype == torch.float64


@pytest.mark.parametrize("inputs", [torch.ones(6, 2), torch.ones(1, 6, 3), torch.ones(1, 6, 2).long(), [[[1.0, 1.0]]]])
def test_what_the_task_does_not_read_is_refused(inputs: object) -> None:
    with pytest.raises(ConfigError, match="inputs must"):
        untrained(RepeatCopy(2, 3, 1)).predict(inputs)


def test_a_task_whose_examples_are_not_those_of_its_spec_is_refused(monkeypatch):
    """Before any compute, by the rule that is broken; the task as it is passes."""
    task = RepeatCopy(d=2, s=2, repeats=2)
    recipe = SimpleNamespace(task=task, source=lambda: SimpleNamespace(evaluation=lambda split, n: examples(task, n)))
    check_examples(recipe)
    monkeypatch.setattr(task, "spec", replace(task.spec, inputs=3))
    with pytest.raises(ConfigError, match=r"as its spec describes them: inputs must have shape \(B, T, 3\)") as caught:
        check_examples(recipe)
    assert caught.value.key == "task"


def examples(task: RepeatCopy, n: int) -> Batch:
    return RepeatCopy(d=2, s=2, repeats=2).generate(n, "val", torch.Generator().manual_seed(0))
