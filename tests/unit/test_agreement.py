"""The path-kernel prediction against the decomposition, and its comparison with the network against slow loops."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import Noisy, recipe_of, recorded, shuffled, trajectory_of
from small_tasks import Echo, Ragged, small_recipe, train
from torch import nn

from mechlab.analyses.attribution.agreement import Agreement, Measures
from mechlab.core.errors import ConfigError
from mechlab.core.loss import CrossEntropy, MeanSquaredError
from mechlab.core.task import Batch
from mechlab.kernels import path_kernel
from mechlab.kernels.explained import Explained
from mechlab.kernels.prediction import PredictionForward
from mechlab.kernels.quadrature import Quadrature
from mechlab.record.artifacts import Artifacts

ADAMW = partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5)
NESTEROV = partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02)


@pytest.fixture(scope="module", params=[ADAMW, NESTEROV], ids=["adamw", "nesterov"])
def case(request):
    """A trajectory in minibatches, and the log-probabilities of its validation examples."""
    recipe = recipe_of(request.param)
    trajectory = trajectory_of(recipe, recorded(recipe, shuffled(9, recipe.max_steps, 6)))
    batch = trajectory.functional.placed(recipe.task.examples("val"))
    return trajectory, Explained(trajectory.functional, batch, "all")


def predicted(case, limit=2**30, **options):
    work = PredictionForward(*case, Quadrature(**options), limit=limit)
    assert [done for done, _ in work][-1] == case[0].steps
    return work.result()


@pytest.mark.parametrize("limit", [2**30, 1])
def test_the_prediction_is_the_decomposition_without_the_residual(case, limit):
    """In blocks of one example too; the deviations at the steps are those of the residuals."""
    trajectory, explained = case
    found = predicted(case, limit, nodes=2)
    terms = path_kernel(trajectory, explained.batch, nodes=2)
    without = terms.initial + terms.data + terms.decay + terms.clipping + terms.arithmetic
    np.testing.assert_allclose(found.predicted, without, atol=1e-12)
    single = terms.by_step["quadrature"]
    for name, errors in {"single": single, "running": single.cumsum(0)}.items():
        sizes = np.abs(errors).reshape(len(errors), -1)
        np.testing.assert_allclose(found.by_step[f"{name}_mean"], sizes.mean(1), atol=1e-12)
        np.testing.assert_allclose(found.by_step[f"{name}_max"], sizes.max(1), atol=1e-12)
        np.testing.assert_allclose(found.by_step[f"{name}_sd"], errors.std((1, 2)), atol=1e-12)
    np.testing.assert_allclose(found.by_step["change_mean"], np.abs(terms.by_step["change"]).mean((1, 2)), atol=1e-12)


def test_nodes_are_added_until_the_residual_is_the_share_of_the_movement(case):
    crude, found = predicted(case, nodes=1), predicted(case, nodes=1, tolerance=1e-2, most=27)
    change, nodes = found.by_step["change_mean"], found.by_step["nodes"]
    typical = np.array([max(change[s], change[:s].mean() if s else 0) for s in range(len(change))])
    assert ((found.by_step["single_max"] <= 1e-2 * typical) | (nodes > 9)).all()
    assert 1 < nodes.mean() < 27
    assert np.abs(found.predicted - found.final).max() < 0.5 * np.abs(crude.predicted - crude.final).max()


def test_scalars_of_all_examples_are_refined_together(case):
    """They have one number of nodes, and the gradients' derivatives are those of forward mode."""
    trajectory, each = case
    mean = Explained(trajectory.functional, each.batch, lambda outputs: outputs.log_softmax(-1).mean(0))
    found = predicted((trajectory, mean), nodes=1, tolerance=1e-3, most=9)
    assert set(found.by_step["nodes"]) <= {1, 3, 9} and found.predicted.shape == (each.shape[1], 1)
    np.testing.assert_allclose(found.predicted, found.final, atol=0.05)
    theta, step = trajectory.theta(0), trajectory.theta(1) - trajectory.theta(0)
    for explained in (each, mean):
        torch.testing.assert_close(
            explained.derivatives(theta, step), explained.derivatives(theta, step, False), rtol=1e-10, atol=1e-12
        )


def test_layers_without_forward_mode_are_predicted_too(case, monkeypatch):
    expected = predicted(case, nodes=2)
    derivatives = Explained.derivatives

    def without(self, theta, direction, forward=True):
        if forward:
            raise NotImplementedError
        return derivatives(self, theta, direction, False)

    monkeypatch.setattr(Explained, "derivatives", without)
    np.testing.assert_allclose(predicted(case, nodes=2).predicted, expected.predicted, atol=1e-12)


def test_an_interrupted_prediction_ends_with_the_same_bits(case):
    make = lambda: PredictionForward(*case, Quadrature(nodes=1, tolerance=0.01))  # noqa: E731
    whole, first, second = make(), make(), make()
    for done, total in first:
        if done == total // 2:
            break
    second.restore({name: value.clone() for name, value in first.state().items()})
    assert second.position == done
    assert list(second)[-1] == list(whole)[-1]
    assert np.array_equal(second.result().predicted, whole.result().predicted)
    for name, values in whole.result().by_step.items():
        assert np.array_equal(values, second.result().by_step[name]), name
    with pytest.raises(ConfigError, match="of the same arguments"):
        make().restore({"position": torch.tensor(1)})


def test_measures_are_those_of_a_loop_over_targets():
    rng = torch.Generator().manual_seed(0)
    model, kernel = torch.randn(2, 4, 6, generator=rng, dtype=torch.float64)  # (X, T C), T = 2 and C = 3
    targets = torch.randint(3, (4, 2), generator=rng)
    mask = torch.tensor([[True, True], [True, False], [False, True], [True, True]])
    batch = Batch(torch.zeros(4, 2), targets, mask, torch.arange(4))
    found = Measures(CrossEntropy(), batch, (2, 3)).over_examples(model, kernel)
    agree, divergences, right = [], [], ([], [])
    for x in range(4):
        counted = [t for t in range(2) if mask[x, t]]
        labels = [[values[x, 3 * t : 3 * t + 3].argmax() for t in counted] for values in (model, kernel)]
        agree.append(all(a == b for a, b in zip(*labels, strict=True)))
        for line, given in zip(right, labels, strict=True):
            line += [label == targets[x, t] for label, t in zip(given, counted, strict=True)]
        p, q = (torch.stack([v[x, 3 * t : 3 * t + 3] for t in counted]).softmax(-1) for v in (model, kernel))
        divergences.append(float((p * (p / q).log()).sum(-1).mean()))
    expected = [*(np.mean(line) for line in right), np.mean(agree), np.mean(divergences)]
    np.testing.assert_allclose([float(value) for value in found], expected)
    table = Measures(CrossEntropy(), batch, (2, 3)).by_example(model, kernel)
    errors = [np.abs((model - kernel).view(4, 2, 3)[x][mask[x]].numpy()) for x in range(4)]
    np.testing.assert_allclose(table["error_mean"], [each.mean() for each in errors])
    np.testing.assert_allclose(table["error_max"], [each.max() for each in errors])


def test_numbers_agree_where_both_are_right_or_wrong():
    model, kernel = torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([[2.0], [-1.0], [-2.0]])
    batch = Batch(torch.zeros(3, 1), torch.tensor([[1.0], [1.0], [1.0]]), None, torch.arange(3))
    measures = Measures(MeanSquaredError(), batch, (1,))
    assert measures.agreeing(model, kernel).tolist() == [True, False, True]
    assert [float(value) for value in measures.over_examples(model, kernel)] == pytest.approx([2 / 3, 1 / 3, 2 / 3])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    optimizer = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5)
    return train(tmp_path_factory.mktemp("run"), recipe_of(optimizer, steps=8, p=7))


def test_the_claim_holds_for_a_fine_quadrature_and_fails_for_a_crude_one(run, tmp_path_factory):
    """The null is far below it: without the terms of the decomposition the labels are others."""
    out = Artifacts(tmp_path_factory.mktemp("fine"))
    fine = Agreement(split="train", least=0.6).run(run, out, np.random.default_rng(0))
    claim = fine.claims["agreement"]
    assert claim.holds and claim.value == 1.0 and claim.null < 0.6 and fine.scalars["kl"] < 1e-3
    table = out.table("predictions")
    assert table["agrees"].all() and (table["model_label"] == table["kernel_label"]).all()
    assert set(Agreement().figures(out)) == {"deviations", "agreement", "predictions"}
    few = Agreement(split="train").run(run, Artifacts(tmp_path_factory.mktemp("few")), np.random.default_rng(0))
    assert not few.claims and "381 that all agree would" in few.notes["agreement"]
    violent = train(tmp_path_factory.mktemp("violent"), recipe_of(partial(torch.optim.AdamW, lr=0.2), steps=6, p=7))
    crude = Agreement(split="train", least=0.6, tolerance=None)
    found = crude.run(violent, Artifacts(tmp_path_factory.mktemp("crude")), np.random.default_rng(0))
    assert not found.claims["agreement"].holds


def test_training_that_changes_nothing_makes_no_claim(tmp_path):
    still = train(tmp_path, recipe_of(partial(torch.optim.SGD, lr=0.0), steps=2, p=7))
    found = Agreement(split="train", least=0.6).run(still, Artifacts(tmp_path / "out"), np.random.default_rng(0))
    assert found.scalars["agreement"] == 1 and not found.claims
    assert "before training already give 1 of" in found.notes["agreement"]


def test_regression_of_real_numbers_has_no_labels_to_agree_on():
    with pytest.raises(ConfigError, match="needs a task with an accuracy"):
        Agreement().check_recipe("agreement", small_recipe(Echo()), "analysis.agreement")
    Agreement().check_recipe("agreement", small_recipe(EchoedSigns()), "analysis.agreement")


def test_scalars_that_do_not_count_change_no_error_and_no_number_of_nodes(case):
    """Those of some examples and classes, against the prediction of the counted ones alone."""
    trajectory, each = case
    wild = lambda outputs: torch.cat([outputs.log_softmax(-1), 50 * outputs.square()], 1)  # noqa: E731
    both = Explained(trajectory.functional, each.batch, wild)
    counted = torch.arange(both.shape[1]).expand(both.shape) < each.shape[1]
    options = Quadrature(nodes=1, tolerance=1e-2, most=27)
    work = PredictionForward(trajectory, both, options, counted=counted)
    list(work)
    found, alone = work.result().by_step, predicted(case, nodes=1, tolerance=1e-2, most=27).by_step
    for name, values in alone.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-9, err_msg=name)


class EchoedSigns(Echo):
    def generate(self, n, split, rng):
        batch = super().generate(n, split, rng)
        return replace(batch, targets=batch.targets.sign())


@pytest.mark.parametrize("task", [Ragged, EchoedSigns])
def test_sequences_are_predicted_at_the_steps_that_count(tmp_path, task):
    run = train(tmp_path, small_recipe(task()))
    found = Agreement(examples=4, least=0.3).run(run, Artifacts(tmp_path / "out"), np.random.default_rng(0))
    assert found.scalars["error_of_movement"] < 0.05 and 0 <= found.scalars["agreement"] <= 1


def test_models_that_draw_numbers_are_refused_before_training(run):
    noisy = replace(run.recipe, make_model=lambda spec: Noisy(spec, nn.Dropout(0.5)))
    with pytest.raises(ConfigError, match="analysis=agreement: attribution needs a model whose outputs are the same"):
        Agreement().check_recipe("agreement", noisy, "analysis.agreement")
