"""Verification: a good record passes, and one changed bit is found where it is."""

import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from small_tasks import Echo, Points, Ragged, small_recipe, train

from mechlab.core.errors import NotRecorded
from mechlab.models.mlp import MLP
from mechlab.record.replay import first_difference, verify
from mechlab.record.run import Run
from mechlab.record.shards import write_shard
from mechlab.record.tensors import load_metadata, load_tensors

STEPS = 24


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return train(tmp_path_factory.mktemp("full"), small_recipe(Ragged(), steps=STEPS))


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    return train(tmp_path_factory.mktemp("sparse"), small_recipe(Ragged(), steps=STEPS), "sparse", points=5)


def tampered(run, tmp_path, name, step, change):
    """Return a copy of a run in whose record one tensor is changed at one step."""
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    for path in (folder / "history").glob("*.safetensors"):
        steps = load_metadata(path)
        if step in steps:
            tensors = load_tensors(path)
            change(tensors[name][steps.index(step)])
            write_shard(folder / "history", steps, tensors)
    return Run(folder, lambda: run.recipe)


def next_float(row):
    """Move the first number to the next one that can be represented."""
    first = row.view(-1)[:1]
    first.copy_(torch.nextafter(first, torch.full_like(first, torch.inf)))


@pytest.mark.parametrize("task", [Ragged, Echo, Points])
@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_a_good_record_is_verified(task, optimizer, tmp_path):
    verdict = verify(train(tmp_path, small_recipe(task(), optimizer, steps=STEPS)), steps=STEPS)
    assert (verdict.start, verdict.differs_at, verdict.tensor) == (0, None, None)
    assert verdict.compared == list(range(1, STEPS + 1))


def test_how_far_it_trains(full, sparse):
    assert verify(full).compared == list(range(1, 21))
    assert verify(full, start=7, steps=3).compared == [8, 9, 10]
    assert verify(full, start=20, steps=100).compared == [21, 22, 23, 24]
    assert sparse.history.steps == [0, 1, 4, 10, 24]
    assert verify(sparse, steps=1).compared == [1]
    assert verify(sparse, start=4, steps=2).compared == [10]  # as far as the next recorded step
    assert verify(sparse, start=1, steps=9).compared == [4, 10]


NAMES = ["params/readout.weight", "optimizer/exp_avg/layers.0.weight_hh_l0", "optimizer/exp_avg_sq/readout.bias"]


@pytest.mark.parametrize("name", [*NAMES, "rates"])
@pytest.mark.parametrize("step", [1, 17, STEPS])
def test_the_smallest_change_of_a_number_is_found(full, tmp_path, name, step):
    verdict = verify(tampered(full, tmp_path, name, step, next_float), steps=STEPS)
    assert (verdict.differs_at, verdict.tensor) == (step, name.split("/", 1)[-1])
    assert verdict.compared == list(range(1, step + 1))
    assert 0 < verdict.difference < 1e-6


@pytest.mark.parametrize("other", [-1, 0])
def test_another_batch_in_the_record_is_found(full, tmp_path, other):
    verdict = verify(tampered(full, tmp_path, "indices", 5, lambda row: row.fill_(other)), steps=STEPS)
    assert (verdict.differs_at, verdict.tensor) == (5, "indices")


def test_a_changed_start_is_found_at_the_next_recorded_step(full, tmp_path):
    changed = tampered(full, tmp_path, "params/readout.weight", 6, lambda row: row.add_(0.1))
    assert verify(changed, start=6).differs_at == 7
    assert verify(changed, start=7).differs_at is None  # what comes after is as it was


@pytest.mark.parametrize("change", [{"seed": 1}, {"clip": None}, {"batch_size": 2}])
def test_another_recipe_does_not_give_the_record(full, change):
    other = Run(full.folder, lambda: small_recipe(Ragged(), **({"steps": STEPS} | change)))
    assert verify(other).differs_at is not None


@pytest.mark.parametrize(("start", "says"), [(3, "start=3, recorded are [0, 1, 4, 10, 24]"), (STEPS, "start=24")])
def test_two_recorded_steps_are_needed(sparse, start, says):
    with pytest.raises(NotRecorded) as caught:
        verify(sparse, start)
    assert says in str(caught.value) and "history=sparse" in caught.value.fix


def test_a_run_without_a_record_cannot_be_verified(tmp_path):
    run = train(tmp_path, small_recipe(Points(), steps=3), "none")
    with pytest.raises(NotRecorded, match="no recorded steps"):
        verify(run)


def test_the_first_step_at_which_two_runs_part(full, sparse, tmp_path):
    assert first_difference(full, full) == (None, STEPS + 1)
    assert first_difference(full, sparse) == (None, 5)
    other = tampered(full, tmp_path, "params/readout.bias", 9, next_float)
    assert first_difference(full, other) == first_difference(other, full) == (9, STEPS + 1)
    assert first_difference(sparse, other) == (None, 5)  # which did not record that step


def test_runs_of_other_seeds_or_architectures_part_at_once(full, tmp_path):
    other = train(tmp_path / "seed", small_recipe(Ragged(), steps=4, seed=1))
    assert first_difference(full, other) == (0, 5)
    assert first_difference(full, train(tmp_path / "points", small_recipe(Points(), steps=4))) == (0, 5)
    assert first_difference(full, Run(tmp_path / "nothing", lambda: None)) == (None, 0)


class Noisy(MLP):
    """A network that draws random numbers while it trains."""

    def forward(self, x):
        return torch.nn.functional.dropout(super().forward(x), 0.5, self.training)


def test_a_model_with_randomness_inside_is_replayed_exactly(tmp_path):
    """Each step's noise follows from the seed and the step, whatever was drawn before."""
    recipe = replace(small_recipe(Points(), "adamw", 12), make_model=partial(Noisy, hidden=8))
    run = train(tmp_path, recipe)
    torch.manual_seed(5)
    verdict = verify(run, 4, 8)
    assert verdict.differs_at is None and verdict.compared[-1] == 12
    quiet = train(tmp_path / "quiet", replace(recipe, make_model=partial(MLP, hidden=8)))
    assert any(
        not torch.equal(a, b)
        for a, b in zip(run.history.params(12).values(), quiet.history.params(12).values(), strict=True)
    )
