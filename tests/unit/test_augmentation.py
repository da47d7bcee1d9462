"""Random changes of training examples inside the batch of a step: off by default, and a function of seed and step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_tasks import Echo, Points, small_recipe, train

from mechlab.analyses.attribution.record_in_memory import record_in_memory
from mechlab.core import data as data_module
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch
from mechlab.kernels.trajectory import Trajectory
from mechlab.record.replay import verify
from mechlab.tasks.digits import Digits


class Noisy(Points):
    """Inputs get noise at each step."""

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        noise = torch.randn(batch.inputs.shape, generator=rng, dtype=batch.inputs.dtype, device=rng.device)
        return replace(batch, inputs=batch.inputs + noise)


class NoisyEcho(Echo):
    """The same of endless data."""

    augment = Noisy.augment


def test_a_task_without_augmentation_costs_nothing(monkeypatch):
    assert not Points().augments and not Digits().augments and Noisy().augments and Digits(shift=2).augments
    source = small_recipe(Points()).source()
    made = []
    monkeypatch.setattr(Streams, "torch", lambda streams, *name, **_: made.append(name) or torch.Generator())
    source.batch(0)
    assert made and "augment" not in {name for name, *_ in made}


@pytest.mark.parametrize("task", [Noisy, NoisyEcho])
@pytest.mark.parametrize("size", [3, None])
def test_each_step_has_noise_of_its_own_which_follows_from_seed_and_step(task, size, monkeypatch):
    if task is NoisyEcho and size is None:
        return
    recipe = small_recipe(task(), batch_size=size, dtype=torch.float64)
    plain = replace(recipe, task=Points() if task is Noisy else Echo()).source()

    def noise(source, step: int) -> torch.Tensor:
        batch, clean = source.batch(step), plain.batch(step)
        assert torch.equal(batch.index, clean.index) and torch.equal(batch.targets, clean.targets)
        return batch.inputs - clean.inputs

    source = recipe.source()
    in_order = [noise(source, step) for step in range(70)]
    anew = recipe.source()
    for step in (69, 0, 33):  # in any order, in a new source
        assert torch.equal(noise(anew, step), in_order[step])
    assert in_order[0].shape == in_order[1].shape and not torch.equal(in_order[0], in_order[1])
    other = replace(recipe, seed=1)
    if task is Noisy and size is None:  # the clean batches are alike
        assert not torch.equal(noise(other.source(), 0), in_order[0])
    if task is Noisy:  # of fixed data, blocks only say how many batches are gathered at once
        monkeypatch.setattr(data_module, "BLOCK", 8)
        blocks = recipe.source()
        assert all(torch.equal(noise(blocks, step), in_order[step]) for step in range(70))


def test_held_out_examples_are_not_changed():
    for split in ("val", "test", "train"):
        one, other = (small_recipe(task).source().evaluation(split) for task in (Noisy(), Points()))
        assert torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize("kind", ["full", "replay"])
def test_verification_replay_and_attribution_see_the_same_batches(tmp_path, kind):
    run = train(tmp_path, small_recipe(Noisy(), steps=24, dtype=torch.float64), kind)
    assert verify(run, steps=24).differs_at is None
    full = train(tmp_path / "full", small_recipe(Noisy(), steps=24, dtype=torch.float64), "full")
    for step in (5, 17, 24):
        assert all(torch.equal(v, full.history.params(step)[n]) for n, v in run.history.params(step).items())
    Trajectory.of_run(run).check_updates()
    plain = small_recipe(Points(), steps=24, dtype=torch.float64)
    run.__dict__["recipe"] = plain
    assert verify(run, steps=24).differs_at == 1  # the control: without the noise it is another training


def test_a_training_in_memory_has_the_augmented_examples():
    trajectory = record_in_memory(small_recipe(Noisy(), steps=6, clip=None, dtype=torch.float64), 6, 10**9)
    trajectory.check_updates()
    control = record_in_memory(small_recipe(Noisy(), steps=6, clip=None, dtype=torch.float64), 6, 10**9)
    control._batch = lambda step: control.data()[control.record.batch_indices(step)]
    with pytest.raises(Exception, match="recorded updates"):
        control.check_updates()


@pytest.mark.parametrize("shift", [1, 2])
def test_digits_are_shifted_by_whole_pixels_and_zeros_come_in(shift):
    task = Digits(shift=shift)
    batch = task.examples("train")[:150]
    moved = task.augment(batch, torch.Generator().manual_seed(0))
    assert moved.inputs.shape == batch.inputs.shape and torch.equal(moved.targets, batch.targets)
    found = set()
    for image, result in zip(batch.inputs[:, 0], moved.inputs[:, 0], strict=True):
        for down in range(-shift, shift + 1):
            for right in range(-shift, shift + 1):
                expected = torch.zeros(8, 8)  # a loop over pixels is the reference
                for row in range(8):
                    for column in range(8):
                        if 0 <= row - down < 8 and 0 <= column - right < 8:
                            expected[row, column] = image[row - down, column - right]
                if torch.equal(expected, result):
                    found.add((down, right))
                    break
            else:
                continue
            break
        else:
            raise AssertionError("no shift gives the image")
    assert len(found) == (2 * shift + 1) ** 2  # every shift occurs
