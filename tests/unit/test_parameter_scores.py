"""Scores of parameters by their movement, against dense sums over training examples and slow loops."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded, shuffled, trajectory_of
from reference_path_kernel import reference

from mechlab.core.errors import ConfigError
from mechlab.kernels.explained import Explained
from mechlab.kernels.parameter_scores import ParameterScoresForward
from mechlab.kernels.quadrature import Quadrature
from mechlab.record.long_work import carry_out
from mechlab.tasks.modular_addition import ModularAddition

ADAMW = partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5)
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
CASES = {
    "adamw": (ADAMW, {}),
    "adam, coupled decay": (partial(torch.optim.Adam, lr=0.02, weight_decay=0.1), {}),
    "sgd, without decay": (partial(torch.optim.SGD, lr=0.3), {}),
    "momentum, clipped": (partial(SGD, dampening=0.3, weight_decay=0.02), {"clip": 0.3}),
    "nesterov": (partial(SGD, nesterov=True, weight_decay=0.02), {}),
}
N = len(ModularAddition(5, tokens="expression").examples("train"))
TWO_NODES = Quadrature("midpoint", 2)


@pytest.fixture(scope="module")
def case():
    """Return a function from a case's name to its recipe and its recorded training, made once."""
    made = {}

    def get(name):
        if name not in made:
            optimizer, options = CASES[name]
            recipe = recipe_of(optimizer, steps=8, **options)
            made[name] = recipe, recorded(recipe, shuffled(N, 8, 6))
        return made[name]

    return get


def scored(recipe, arrays, outputs="all", examples=3, **options):
    trajectory = trajectory_of(recipe, arrays)
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:examples]
    work = ParameterScoresForward(trajectory, Explained(trajectory.functional, batch, outputs), TWO_NODES, **options)
    for _ in work:
        pass
    return work.result()


@pytest.mark.parametrize("name", CASES)
def test_scores_are_sums_over_training_examples_although_no_example_is_read(case, name):
    recipe, arrays = case(name)
    found = scored(recipe, arrays)
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:3]
    names = found.layout.names
    dense = reference(recipe, arrays, batch.inputs, lambda out: out.log_softmax(-1), 2, names, N)
    data = found.joined("data")[0]
    if recipe.clip is None:
        torch.testing.assert_close(data, dense["scores"].flatten(0, 1), rtol=1e-9, atol=1e-13)
    of_data = dense["influence"].sum((0, -1)) + dense["clipping"].sum(0)
    torch.testing.assert_close(data.sum(-1).view_as(of_data), of_data, rtol=1e-9, atol=1e-13)
    if "without decay" in name:
        assert "decay" not in found.parts[0][0]
        return
    of_decay = found.joined("decay")[0].sum(-1)
    torch.testing.assert_close(of_decay.view(3, -1), dense["decay"].sum(0), rtol=1e-9, atol=1e-13)
    torch.testing.assert_close((data.sum(-1) + of_decay).view(3, -1), dense["inner"].sum(0), rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(found.change - found.residual, dense["inner"].sum(0)[None], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["adamw", "nesterov"])
def test_slices_may_overlap_and_need_not_cover_training(case, name):
    recipe, arrays = case(name)
    each = scored(recipe, arrays, slices=[(step, step + 1) for step in range(8)])
    some = scored(recipe, arrays, slices=[(6, 8), (1, 3), (2, 7)])
    for score in ("data", "decay"):
        steps = each.joined(score)
        expected = torch.stack([steps[6:8].sum(0), steps[1:3].sum(0), steps[2:7].sum(0)])
        torch.testing.assert_close(some.joined(score), expected, rtol=1e-9, atol=1e-13)


def test_blocks_of_scalars_give_the_same_and_reduced_scores_take_their_place(case):
    recipe, arrays = case("adamw")
    whole = scored(recipe, arrays, "target", examples=4)
    P = whole.layout.size
    reduce = lambda number, rows, data, decay: {"rows": torch.arange(rows.start, rows.stop), "size": data.abs().sum(0)}  # noqa: E731
    limit = 2 * 2 * P * 8 * 2  # the data and decay scores of two inputs in half of it
    in_blocks = scored(recipe, arrays, "target", examples=4, limit=limit, reduce=reduce)
    assert len(in_blocks.parts[0]) == 2 and in_blocks.joined("rows")[0].tolist() == [0, 1, 2, 3]
    size = whole.joined("data")[0].abs().sum(0)
    torch.testing.assert_close(in_blocks.summed("size")[0], size, rtol=1e-9, atol=1e-13)
    with pytest.raises(ConfigError, match="must fit half of memory_gb"):
        scored(recipe, arrays, "target", examples=4, limit=limit, whole=True)
    mean = scored(recipe, arrays, "loss", examples=4, limit=1)  # scalars that no input has alone are one block
    torch.testing.assert_close(mean.joined("data")[0, 0], -whole.joined("data")[0].mean(0), rtol=1e-7, atol=1e-12)


def test_interrupted_work_resumes_with_the_same_bits(case, tmp_path):
    recipe, arrays = case("nesterov")
    trajectory = trajectory_of(recipe, arrays)
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:4]
    explained = Explained(trajectory.functional, batch, "target")
    limit = 2 * 2 * trajectory.functional.layout.size * 8 * 3
    make = lambda: ParameterScoresForward(trajectory, explained, TWO_NODES, [(0, 8), (1, 3)], limit=limit)  # noqa: E731
    whole = make()
    carry_out(whole, "scores", tmp_path / "scores.safetensors")
    assert len(whole.blocks) > 1
    for stop in (2, 9):  # in the first and in the second block
        work, again = make(), make()
        for done, _ in work:
            if done == stop:
                break
        again.restore({name: value.clone() for name, value in work.state().items()})
        for _ in again:
            pass
        for score in ("data", "decay"):
            assert torch.equal(again.result().joined(score), whole.result().joined(score))
        assert torch.equal(again.result().residual, whole.result().residual)
    with pytest.raises(ConfigError, match="same arguments"):
        make().restore({"place": torch.zeros(4)})


@pytest.mark.parametrize("slices", [[], [(0, 9)], [(3, 3)], [(-1, 2)]])
def test_slices_are_steps_of_the_training(case, slices):
    recipe, arrays = case("adamw")
    with pytest.raises(ConfigError, match="slices must be"):
        scored(recipe, arrays, slices=slices)


def test_what_training_does_not_use_has_no_score(case):
    """A planted unused row: the embedding of a token that no explained input holds is never differentiated."""
    recipe, arrays = case("sgd, without decay")
    batch = recipe.task.examples("val")[:1]
    found = scored(recipe, arrays, examples=1)
    name = next(name for name in found.layout.names if "emb" in name)
    scores = found.joined("data")[0, :, found.layout.places[name]].unflatten(-1, found.layout.shapes[name]).numpy()
    absent = sorted(set(range(len(scores[0]))) - set(batch.inputs.flatten().tolist()))
    assert absent and not scores[:, absent].any() and np.abs(scores).max() > 0


def test_the_first_steps_of_a_trajectory_keep_the_device_of_its_draws(case):
    trajectory = trajectory_of(*case("adamw"))
    trajectory.drawn_on = "cuda"
    assert trajectory.until(3).drawn_on == "cuda" and trajectory.until(3).steps == 3
