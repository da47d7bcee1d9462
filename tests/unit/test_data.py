"""Batches by step: whatever was asked before, for fixed, grouped and endless data."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tasks import LENGTHS, Echo, Points, Ragged

from mechlab.core.data import BLOCK, Source
from mechlab.core.plan import BatchPlan
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask

TASKS = {"points": Points, "ragged": Ragged, "echo": Echo}


def source(name, batch_size=3, seed=0, overfit=False, **options):
    task = TASKS[name]()
    if isinstance(task, FiniteTask):
        plan = BatchPlan(len(task.examples("train")), batch_size, seed, task.groups(), overfit)
    else:
        plan = BatchPlan(None, batch_size, seed, overfit=overfit)
    return Source(task, plan, Streams(seed), **options)


def same(a: Batch, b: Batch) -> bool:
    def equal(x, y):
        return (x is None) == (y is None) and (x is None or (x.dtype == y.dtype and torch.equal(x, y)))

    return all(equal(getattr(a, name), getattr(b, name)) for name in ("inputs", "targets", "mask", "index"))


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=15)
@given(steps=st.lists(st.integers(0, 3 * BLOCK), min_size=1, max_size=6))
def test_a_batch_is_a_pure_function_of_the_step(name, steps):
    """One source asked in any order answers as fresh ones do, whatever the global generator holds."""
    one = source(name)
    for step in steps + steps[::-1]:
        torch.manual_seed(step)
        assert same(one.batch(step), source(name).batch(step))


@pytest.mark.parametrize("name", TASKS)
def test_a_range_of_batches_may_start_anywhere(name):
    whole = list(source(name).batches(0, BLOCK + 5))
    late = list(source(name).batches(BLOCK - 2, BLOCK + 5))
    assert len(late) == 7
    assert all(same(a, b) for a, b in zip(whole[BLOCK - 2 :], late, strict=True))


@pytest.mark.parametrize("name", TASKS)
def test_the_ids_are_those_of_the_plan(name):
    one = source(name)
    for step in (0, 1, 7, BLOCK, BLOCK + 1):
        assert torch.equal(one.batch(step).index, one.plan.indices(step))


@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_rows_are_the_examples_of_their_ids_cropped_to_their_length(batch_size):
    """Of the sequences of one length L, what training reads is the first L steps, and the one target at the end."""
    one, examples = source("ragged", batch_size), Ragged().examples("train")
    seen = []
    for step in range(one.plan.steps_per_epoch):
        batch = one.batch(step)
        lengths = {LENGTHS[i] for i in batch.index.tolist()}
        assert len(lengths) == 1
        length = lengths.pop()
        assert torch.equal(batch.inputs, examples.inputs[batch.index, :length])
        assert torch.equal(batch.targets, examples.targets[batch.index, length - 1 : length])
        assert batch.mask is None
        seen += batch.index.tolist()
    assert sorted(seen) == list(range(len(LENGTHS)))


def test_a_batch_of_everything_keeps_the_targets_of_all_groups():
    batch, examples = source("ragged", None).batch(3), Ragged().examples("train")
    assert torch.equal(batch.index, torch.arange(len(LENGTHS)))
    first, last = min(LENGTHS) - 1, max(LENGTHS)
    assert torch.equal(batch.inputs, examples.inputs[:, :last])
    assert torch.equal(batch.targets, examples.targets[:, first:last])
    assert batch.mask.sum(1).tolist() == [1] * len(LENGTHS)
    assert torch.equal(batch.mask, examples.mask[:, first:last])


@pytest.mark.parametrize("batch_size", [3, 10, None])
def test_examples_without_a_mask_come_whole(batch_size):
    examples = Points().examples("train")
    batch = source("points", batch_size).batch(2)
    assert torch.equal(batch.inputs, examples.inputs[batch.index])
    assert torch.equal(batch.targets, examples.targets[batch.index])


def test_endless_data_is_drawn_in_blocks_and_renumbered():
    """Step k of block b shows rows k of what the stream ("data", b) gives; ids count on over blocks, never twice."""
    one, size = source("echo", 3, seed=5), 3
    ids = []
    for step in (0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 7):
        block, k = divmod(step, BLOCK)
        drawn = Echo().generate(BLOCK * size, "train", Streams(5).torch("data", block))
        rows = slice(k * size, (k + 1) * size)
        batch = one.batch(step)
        assert torch.equal(batch.inputs, drawn.inputs[rows, :5])
        assert torch.equal(batch.targets, drawn.targets[rows, 2:5])
        assert batch.mask is None
        ids += batch.index.tolist()
        assert batch.index.tolist() == list(range(step * size, (step + 1) * size))
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", TASKS)
def test_overfit_shows_one_batch_for_ever(name):
    one = source(name, overfit=True)
    assert all(same(one.batch(step), source(name).batch(0)) for step in (0, 1, 5, BLOCK + 3))


@pytest.mark.parametrize("name", TASKS)
def test_the_seed_decides_what_is_seen(name):
    first, again, other = ([source(name, seed=s).batch(step).inputs.tolist() for step in range(3)] for s in (1, 1, 2))
    assert first == again != other


def test_evaluation_of_endless_data_is_fixed_by_the_seed_alone():
    one = source("echo", evaluation_size=20)
    wanted = one.evaluation("val")
    one.batch(100)
    torch.manual_seed(99)
    assert same(one.evaluation("val"), wanted)
    assert same(source("echo", batch_size=8, evaluation_size=20).evaluation("val"), wanted)  # nor does training matter
    assert not torch.equal(one.evaluation("test").inputs, wanted.inputs)
    assert not torch.equal(source("echo", seed=1, evaluation_size=20).evaluation("val").inputs, wanted.inputs)
    assert not torch.equal(one.batch(0).inputs[:3], wanted.inputs[:3, :5])
    assert same(one.evaluation("val", 7), wanted[:7]) and len(wanted) == 20


@pytest.mark.parametrize("name", ["points", "ragged"])
def test_evaluation_of_fixed_data_is_the_whole_split_uncropped(name):
    assert same(source(name).evaluation("test"), TASKS[name]().examples("test"))


def test_floating_tensors_have_the_type_asked_for_and_others_keep_theirs():
    batch = source("ragged", dtype=torch.float64).batch(0)
    assert (batch.inputs.dtype, batch.targets.dtype, batch.index.dtype) == (torch.float64, torch.int64, torch.int64)
    assert source("points", dtype=torch.float64).evaluation("val").targets.dtype == torch.float64


def test_selecting_rows_selects_all_of_an_example():
    examples = Ragged().examples("train")
    rows = torch.tensor([7, 2])
    chosen = examples[rows]
    assert len(chosen) == 2 and chosen.index.tolist() == [7, 2]
    assert torch.equal(chosen.mask, examples.mask[rows]) and torch.equal(chosen.targets, examples.targets[rows])
