"""Models that are solved in place of initialisation: closed-form fits, clusterings, and trainings of 0 steps."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_tasks import Echo, Points, small_recipe, train

from mechlab.core.model import StaticModel, outputs_of
from mechlab.core.recipe import Recipe
from mechlab.kernels.trajectory import Trajectory
from mechlab.models.linear import Linear
from mechlab.record.replay import verify
from mechlab.record.run import Run
from mechlab.tasks.digits import Digits
from mechlab.tasks.modular_addition import ModularAddition
from mechlab.training import fit as fit_module

sys.path.append(str(Path(__file__).parents[1] / "config" / "users"))
from user_models import Prototypes

DIGITS = Digits(classes=(0, 1, 2))


def solved(task, model, steps: int = 0, **options) -> Recipe:
    return replace(small_recipe(task, steps=steps, **options), make_model=model)


@pytest.fixture
def forbid_solving(monkeypatch) -> None:
    """Let nothing be solved from here on."""

    def solve(*_):
        raise AssertionError("solved again")

    monkeypatch.setattr(Linear, "solve", solve)
    monkeypatch.setattr(Prototypes, "solve", solve)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_linear_solution_is_where_the_gradient_of_the_penalised_squares_vanishes(ridge):
    recipe = solved(Points(40), lambda spec: Linear(spec, ridge), dtype=torch.float64)
    model, examples = recipe.model(), recipe.source().evaluation("train")
    squares = (model(examples.inputs) - examples.targets).square().sum()
    (squares + ridge * len(examples) * model.readout.weight.square().sum()).backward()
    assert max(float(value.grad.abs().max()) for value in model.parameters()) < 1e-10
    assert not torch.equal(model.readout.weight, recipe.architecture().readout.weight)


def test_a_planted_linear_map_is_recovered_and_shuffled_targets_are_not_fitted():
    class Planted(Points):
        def examples(self, split):
            batch = super().examples(split)
            planted = batch.inputs @ torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0]]) + 7
            return replace(batch, targets=planted if split != "train" or not self.shuffled else planted.flip(0))

    for shuffled, low, high in ((False, 0.0, 1e-8), (True, 1.0, 1e9)):
        task = Planted(50)
        task.shuffled = shuffled
        recipe = solved(task, lambda spec: Linear(spec, 0.0))
        batch = recipe.source().evaluation("test")
        assert low <= (recipe.model()(batch.inputs) - batch.targets).square().mean().item() <= high


def test_redundant_one_hot_inputs_have_a_solution_of_least_norm():
    """Two one-hot vectors are linearly dependent: without a penalty torch's pseudo-inverse is the reference."""
    task = ModularAddition(p=5, train_fraction=0.9)
    model, batch = solved(task, lambda spec: Linear(spec, 0.0), dtype=torch.float64).model(), task.examples("train")
    x = torch.nn.functional.one_hot(batch.inputs, 5).flatten(1).double()
    t = torch.nn.functional.one_hot(batch.targets, 5).double()
    expected = torch.linalg.pinv(x - x.mean(0)) @ (t - t.mean(0))
    torch.testing.assert_close(model.readout.weight.T, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["none", "sparse", "replay", "full"])
def test_a_training_of_no_steps_is_a_whole_run(tmp_path, kind):
    recipe = solved(DIGITS, Linear)
    run = train(tmp_path, recipe, kind)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt", "checkpoints/weights.safetensors"} <= names
    row = run.metrics.set_index("step").loc[0]
    assert row["train/accuracy"] > 0.95 and row["val/accuracy"] > 0.9 and row["test/accuracy"] > 0.9
    assert run.history.steps == ([] if kind == "none" else [0])
    expected = recipe.model().state_dict()
    for moment in ("last", "best", *run.history.steps):
        weights = run.at(moment).model().state_dict()
        assert all(torch.equal(weights[name], expected[name]) for name in expected), moment
    untrained = run.untrained()
    examples = recipe.source().evaluation("test")
    accuracy = recipe.task.score(untrained(examples.inputs), examples)["accuracy"].mean()
    assert accuracy < 0.8  # neither solved nor trained


def test_the_solution_follows_from_the_seed_alone():
    """Built anew, with the global generator elsewhere, it is bit-equal; another seed orders the examples otherwise."""
    torch.manual_seed(1)
    one = solved(DIGITS, Prototypes).model().state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    same = solved(DIGITS, Prototypes).model().state_dict()
    assert torch.equal(before, torch.get_rng_state())
    other = solved(DIGITS, Prototypes, seed=1).model().state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert one["prototypes"].shape != other["prototypes"].shape or not torch.equal(
        one["prototypes"], other["prototypes"]
    )


def test_shapes_that_depend_on_data_are_read_from_the_record(tmp_path):
    recipe = solved(DIGITS, Prototypes, steps=30)
    run = train(tmp_path, recipe, "replay")
    weights = run.model().state_dict()
    assert weights["prototypes"].shape[0] == len(weights["classes"]) > DIGITS.spec.outputs
    assert recipe.architecture().prototypes.shape[0] == DIGITS.spec.outputs
    assert not torch.equal(weights["prototypes"], run.history.params(0)["prototypes"])  # trained further


def test_reading_resuming_and_verifying_solve_nothing_again(tmp_path, monkeypatch, request):
    full = train(tmp_path / "whole", solved(DIGITS, Prototypes, steps=30), "replay")
    expected = {name: value.clone() for name, value in full.model().state_dict().items()}

    class Killed(Exception):
        pass

    def saved(checkpoints, *arguments):
        original(checkpoints, *arguments)
        raise Killed

    original = fit_module.Checkpoints.save
    with monkeypatch.context() as patched:
        patched.setattr(fit_module.Checkpoints, "save", saved)
        with pytest.raises(Killed):
            train(tmp_path / "broken", solved(DIGITS, Prototypes, steps=30), "replay")
    request.getfixturevalue("forbid_solving")
    resumed = train(tmp_path / "broken", solved(DIGITS, Prototypes, steps=30), "replay")
    fresh = Run(tmp_path / "broken", lambda: solved(DIGITS, Prototypes, steps=30))
    for found in (resumed.model(), fresh.model(), fresh.at(30).model()):
        assert all(torch.equal(value, expected[name]) for name, value in found.state_dict().items())
    for step in (0, 7, 29):
        assert all(torch.equal(v, full.history.params(step)[n]) for n, v in fresh.history.params(step).items()), step
    verdict = verify(fresh, steps=30)
    assert verdict.differs_at is None and verdict.compared == list(range(1, 31))
    Trajectory.of_run(fresh)
    with pytest.raises(AssertionError, match="solved again"):
        solved(DIGITS, Prototypes).model()  # the control: a training that begins is solved


def test_verifying_a_training_of_no_steps_solves_again_and_compares(tmp_path):
    recipe = solved(DIGITS, Linear)
    run = train(tmp_path, recipe)
    (tmp_path / "provenance").mkdir()
    config = tmp_path / "provenance" / "config.yaml"
    config.write_text("init_from: null\n")
    assert (verify(run).compared, verify(run).differs_at) == ([0], None)
    other = Run(tmp_path, lambda: solved(DIGITS, lambda spec: Linear(spec, 1.0)))
    assert verify(other).differs_at == 0 and verify(other).difference > 0
    config.write_text("init_from: runs/another\n")
    assert verify(other).compared == [] and verify(other).differs_at is None


def test_endless_data_is_drawn_for_the_solution():
    seen = []

    class Asked(StaticModel):
        def __init__(self, spec):
            super().__init__(spec)
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def solve(self, examples, rng):
            seen.append(examples)

    recipe = solved(Echo(), Asked, evaluation_size=50)
    recipe.model(), recipe.model()
    (examples,) = seen  # solved once for each recipe
    assert len(examples) == 50 and examples.targets.shape[1] == 3  # cropped as in training


def test_an_ordinary_model_is_not_solved():
    recipe = small_recipe(Points())
    assert recipe.architecture().solve is None
    first, second = recipe.model().state_dict(), recipe.architecture().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    batch = recipe.source().evaluation("val")
    with pytest.raises(RuntimeError, match="size mismatch"):  # shapes of ordinary models are fixed
        recipe.model({name: torch.zeros(2, 2) for name in first})
    assert outputs_of(recipe.model(), batch.inputs).shape == batch.targets.shape
