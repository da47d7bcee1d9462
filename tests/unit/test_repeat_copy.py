"""Repeat copy, against a loop over its definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.core.constraints import check, hints_of, invalid_values
from mechlab.tasks.repeat_copy import RepeatCopy


@settings(max_examples=20)
@given(d=st.integers(1, 4), s=st.integers(1, 5), repeats=st.integers(1, 3), n=st.integers(0, 5))
def test_generate_follows_the_definition(d: int, s: int, repeats: int, n: int) -> None:
    task = RepeatCopy(d, s, repeats)
    batch = task.generate(n, "train", torch.Generator().manual_seed(0))
    steps = s * (1 + repeats)
    assert batch.inputs.shape == batch.targets.shape == (n, steps, d)
    assert task.spec.length == steps
    for row in range(n):
        assert (batch.inputs[row, :s].abs() == 1).all()
        for t in range(steps):
            told = t >= s
            expected = batch.inputs[row, t % s] if told else torch.zeros(d)
            assert batch.mask[row, t] == told
            assert torch.equal(batch.targets[row, t], expected)
            assert not told or not batch.inputs[row, t].any()
    assert batch.index.tolist() == list(range(n))


def test_signs_are_uniform() -> None:
    batch = RepeatCopy(d=6, s=7).generate(2000, "train", torch.Generator().manual_seed(0))
    assert batch.inputs[:, :7].mean((0, 1)).abs().max() < 0.04  # 5 standard deviations are .042


def test_generator_decides() -> None:
    def draw(seed: int) -> torch.Tensor:
        return RepeatCopy().generate(8, "val", torch.Generator().manual_seed(seed)).inputs

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))


def test_the_companion_matrix_makes_the_targets() -> None:
    task = RepeatCopy(d=3, s=4, repeats=2)
    batch = task.generate(5, "test", torch.Generator().manual_seed(0))
    phi = torch.tensor(task.ground_truth().matrix, dtype=torch.float32)
    window = batch.inputs[:, : task.s].flatten(1)
    for t in range(task.s, task.spec.length):
        window = window @ phi.T
        assert torch.equal(window[:, -task.d :], batch.targets[:, t])


def test_perfect_and_constant_answers_score_one_and_chance() -> None:
    task = RepeatCopy()
    batch = task.generate(500, "val", torch.Generator().manual_seed(0))
    assert (task.score(batch.targets, batch)["accuracy"] == 1).all()
    constant = task.score(torch.ones_like(batch.targets), batch)["accuracy"].mean()
    assert float(constant) == pytest.approx(task.chance(), abs=0.02)


@pytest.mark.parametrize("name", ["d", "s", "repeats"])
def test_declared_constraints_refuse(name: str) -> None:
    hint = hints_of(RepeatCopy.__init__)[name]
    for value in invalid_values(hint):
        with pytest.raises(ValueError, match="must be a whole number"):
            check(value, hint)
