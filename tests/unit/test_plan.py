"""The order of batches: every epoch visits each example once, and a step's batch depends on nothing but the step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.core.plan import BatchPlan, RecordedPlan

SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**31)


def epoch_of(plan: BatchPlan, epoch: int) -> list[list[int]]:
    first = epoch * plan.steps_per_epoch
    return [plan.indices(step).tolist() for step in range(first, first + plan.steps_per_epoch)]


@settings(max_examples=60)
@given(n=SIZES, size=st.integers(1, 45), seed=SEEDS, epoch=st.integers(0, 5))
def test_an_epoch_visits_each_example_once_in_full_batches_but_the_last(n, size, seed, epoch):
    batches = epoch_of(BatchPlan(n, size, seed), epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(n))
    full, rest = divmod(n, size)
    assert [len(batch) for batch in batches] == [size] * full + [rest] * (rest > 0)


@settings(max_examples=60)
@given(groups=st.lists(st.integers(-3, 3), min_size=1, max_size=40), size=st.integers(1, 12), seed=SEEDS)
def test_batches_never_mix_groups_and_miss_nobody(groups, size, seed):
    plan = BatchPlan(len(groups), size, seed, torch.tensor(groups))
    for epoch in (0, 2):
        batches = epoch_of(plan, epoch)
        assert sorted(index for batch in batches for index in batch) == list(range(len(groups)))
        assert all(len({groups[index] for index in batch}) == 1 for batch in batches)
        assert max(map(len, batches)) <= size
        for group in set(groups):  # no group is cut into more batches than it needs
            mine = [batch for batch in batches if groups[batch[0]] == group]
            assert len(mine) == -(-groups.count(group) // size)


@settings(max_examples=30)
@given(n=SIZES, size=st.integers(1, 12), seed=SEEDS, steps=st.lists(st.integers(0, 60), min_size=1, max_size=12))
def test_a_batch_is_a_pure_function_of_the_step(n, size, seed, steps):
    """One plan asked in any order, again and again, answers as a new plan does at each question."""
    groups = torch.arange(n) % 3
    plan = BatchPlan(n, size, seed, groups)
    for step in steps + steps[::-1]:
        torch.manual_seed(step)  # the global generator has no say
        assert torch.equal(plan.indices(step), BatchPlan(n, size, seed, groups).indices(step))


def test_the_order_differs_between_epochs_and_between_seeds():
    plan, other = BatchPlan(50, 10, seed=0), BatchPlan(50, 10, seed=1)
    assert epoch_of(plan, 0) != epoch_of(plan, 1)
    assert epoch_of(plan, 0) != epoch_of(other, 0)


def test_batches_of_different_groups_are_shuffled_among_each_other():
    groups = torch.arange(60) // 20
    order = [int(groups[batch[0]]) for batch in epoch_of(BatchPlan(60, 2, seed=0, groups=groups), 0)]
    assert order != sorted(order)


@pytest.mark.parametrize("size", [None, 7, 100])
def test_a_full_batch_is_in_the_order_of_the_ids_at_every_step(size):
    plan = BatchPlan(7, size, seed=3)
    assert plan.steps_per_epoch == 1
    assert [plan.indices(step).tolist() for step in (0, 1, 99)] == [list(range(7))] * 3


def test_a_batch_of_everything_holds_all_groups():
    plan = BatchPlan(6, None, seed=0, groups=torch.tensor([0, 1, 2, 0, 1, 2]))
    assert plan.steps_per_epoch == 1
    assert plan.indices(4).tolist() == list(range(6))


def test_endless_data_is_numbered_as_it_is_drawn():
    plan = BatchPlan(None, 5, seed=0)
    assert plan.steps_per_epoch is None
    numbers = torch.cat([plan.indices(step) for step in range(4)])
    assert numbers.tolist() == list(range(20))
    assert plan.indices(10**7).tolist() == [5 * 10**7 + i for i in range(5)]


@pytest.mark.parametrize("n", [None, 23])
def test_overfit_sees_the_batch_of_step_0_for_ever(n):
    plan, usual = BatchPlan(n, 4, seed=2, overfit=True), BatchPlan(n, 4, seed=2)
    assert all(torch.equal(plan.indices(step), usual.indices(0)) for step in range(15))
    assert not torch.equal(usual.indices(1), usual.indices(0))


def test_endless_data_needs_a_batch_size():
    with pytest.raises(ValueError, match="batch size"):
        BatchPlan(None, None, seed=0)


def test_recorded_batches_are_used_as_they_are():
    plan = RecordedPlan(4, torch.tensor([[3, 1, 0, 2], [2, 3, -1, -1]], dtype=torch.int32))
    assert [plan.indices(step).tolist() for step in range(3)] == [[3, 1, 0, 2], [2, 3], [3, 1, 0, 2]]
    assert plan.indices(0).dtype == torch.int64 and not plan.whole and plan.steps_per_epoch == 1


@settings(max_examples=40)
@given(groups=st.lists(st.integers(0, 2), min_size=1, max_size=40), size=st.integers(1, 12), seed=SEEDS)
def test_a_smaller_last_batch_of_a_group_is_left_out_where_asked(groups, size, seed):
    plan = BatchPlan(len(groups), size, seed, torch.tensor(groups), drop_last=True)
    batches = epoch_of(plan, 1)
    for group in set(groups):
        mine, n = [len(batch) for batch in batches if groups[batch[0]] == group], groups.count(group)
        assert mine == [size] * (n // size) if n >= size else mine == [n]
    indices = [index for batch in batches for index in batch]
    assert len(indices) == len(set(indices)) and plan.steps_per_epoch == len(batches)
