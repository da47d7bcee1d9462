"""What every task promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mechlab.automata.automaton import Automaton
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.binding.companion import CompanionMatrix
from mechlab.core.step import example_losses
from mechlab.core.task import SPLITS, Batch, FiniteTask, Split, Task

N = 200


def draw(task: Task, split: Split, seed: int = 0, n: int = N) -> Batch:
    return task.generate(n, split, torch.Generator().manual_seed(seed))


def everything(task: Task, split: Split) -> Batch:
    """Return all examples of a fixed split, or some thousands of an endless one."""
    if isinstance(task, FiniteTask):
        return task.examples(split)
    return draw(task, split, SPLITS.index(split), n=4000)


def same(one: Batch, other: Batch) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(a is b is None or torch.equal(a, b) for a, b in pairs)


def test_the_same_generator_gives_the_same_batch(registry, task):
    """Two objects of the task agree bit for bit, whatever the global generators are at."""
    for split in SPLITS:
        torch.manual_seed(1)
        np.random.seed(1)
        one = draw(registry.task(task), split)
        torch.manual_seed(2)
        np.random.seed(2)
        assert same(one, draw(registry.task(task), split))


def test_another_seed_gives_another_batch(registry, task):
    for split in SPLITS:
        assert not same(draw(registry.shared_task(task), split), draw(registry.shared_task(task), split, seed=1))


def test_drawing_leaves_the_global_generators_alone(registry, task):
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    draw(registry.task(task), "train")
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()


def test_batches_have_the_shapes_and_types_of_the_spec(registry, task):
    spec = registry.shared_task(task).spec
    for split in SPLITS:
        batch = draw(registry.shared_task(task), split)
        steps = batch.inputs.shape[1:2] if spec.kind == "sequence" else ()
        shape = (*steps, spec.inputs) if spec.kind == "sequence" else spec.shape
        assert len(batch) == N and batch.inputs.shape == (N, *shape)
        assert not steps or steps[0] <= spec.length
        if spec.loss == "cross_entropy":
            assert batch.targets.dtype == torch.int64 and batch.targets.shape == (N, *steps)
            assert batch.targets.min() >= 0 and batch.targets.max() < spec.outputs
        else:
            assert batch.targets.dtype == torch.float32 and batch.targets.shape == (N, *steps, spec.outputs)
            assert batch.targets.isfinite().all()
        assert batch.index.dtype == torch.int64 and batch.index.shape == (N,)


def test_inputs_are_what_the_spec_says(registry, task):
    spec = registry.shared_task(task).spec
    inputs = draw(registry.shared_task(task), "train").inputs
    if spec.tokens:
        assert inputs.dtype == torch.int64 and inputs.min() >= 0 and inputs.max() < spec.inputs
    else:
        assert inputs.dtype == torch.float32 and inputs.isfinite().all()


def test_the_mask_counts_some_target_of_every_example(registry, task):
    spec = registry.shared_task(task).spec
    for split in SPLITS:
        batch = draw(registry.shared_task(task), split)
        if spec.kind == "static":
            assert batch.mask is None
        elif batch.mask is not None:
            assert batch.mask.dtype == torch.bool and batch.mask.shape == batch.targets.shape[:2]
            assert batch.mask.any(1).all()


def test_the_spec_is_consistent(registry, task):
    """Alphabets have the sizes that models are built for, and their names are distinct."""
    spec = registry.shared_task(task).spec
    assert spec.inputs >= 1 and spec.outputs >= 1
    assert (spec.length is None) == (spec.kind == "static")
    assert bool(spec.shape) == (spec.kind == "static")
    assert spec.kind == "sequence" or spec.tokens or math.prod(spec.shape) == spec.inputs
    assert len(spec.vocabulary) in (0, spec.inputs) and len(set(spec.vocabulary)) == len(spec.vocabulary)
    assert len(spec.classes) == (spec.outputs if spec.loss == "cross_entropy" else 0)
    assert len(set(spec.classes)) == len(spec.classes)


def test_examples_are_numbered_and_grouped_in_the_order_of_their_ids(registry, task):
    """Attribution and the batch plan take ids for rows."""
    task = registry.shared_task(task)
    if isinstance(task, FiniteTask):
        for split in SPLITS:
            batch = task.examples(split)
            assert len(batch) and batch.index.tolist() == list(range(len(batch)))
        assert task.groups() is None or task.groups().shape == (len(task.examples("train")),)


def test_no_held_out_example_is_trained_on(registry, task):
    found = {}
    for split in SPLITS:
        inputs = everything(registry.shared_task(task), split).inputs
        found[split] = {row.tobytes() for row in inputs.numpy()}
    assert not found["train"] & found["val"] and not found["train"] & found["test"]
    assert not found["val"] & found["test"]


def automaton_targets(truth: Automaton, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return what the automaton says after each letter (B, T), and where there is a letter."""
    inside = batch.inputs.any(-1)
    visited = truth.run(batch.inputs.argmax(-1).numpy())
    return torch.from_numpy(truth.outputs[visited[:, 1:]]), inside


def pushdown_targets(truth: Pushdown, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return whether the automaton accepts after each letter (B, T), and where there is a letter."""
    return torch.from_numpy(truth.outputs(batch.inputs.argmax(-1).numpy())), batch.inputs.any(-1)


def companion_targets(truth: CompanionMatrix, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the newest vector of a window of the first s inputs that Phi moves on, and where there is one (t >= s)."""
    phi, window = torch.from_numpy(truth.matrix), batch.inputs[:, : truth.s].flatten(1).double()
    targets = torch.zeros(batch.targets.shape, dtype=torch.float64)
    for t in range(truth.s, batch.targets.shape[1]):
        window = window @ phi.T
        targets[:, t] = window[:, -truth.d :]
    later = torch.arange(batch.targets.shape[1]) >= truth.s
    return targets, later.expand(batch.targets.shape[:2])


MECHANISMS = {"automaton": automaton_targets, "pushdown": pushdown_targets, "companion matrix": companion_targets}


def test_the_ground_truth_agrees_with_the_targets(registry, task):
    """Every target that counts is what the known mechanism gives for the same input."""
    task = registry.shared_task(task)
    truth = task.ground_truth()
    if truth is None:
        return
    assert truth.kind in MECHANISMS, f"teach MECHANISMS what targets follow from a ground truth of kind {truth.kind!r}"
    for split in SPLITS:
        batch = draw(task, split)
        expected, defined = MECHANISMS[truth.kind](truth, batch)
        counted = torch.ones_like(defined) if batch.mask is None else batch.mask
        assert counted.any() and not (counted & ~defined).any()
        assert torch.equal(expected[counted], batch.targets[counted].to(expected.dtype))


def test_an_automaton_names_letters_and_classes_as_the_spec_does(registry, task):
    truth, spec = registry.shared_task(task).ground_truth(), registry.shared_task(task).spec
    if getattr(truth, "kind", None) in ("automaton", "pushdown"):
        assert (truth.alphabet, truth.classes) == (spec.vocabulary, spec.classes)


def constants(task: Task, batch: Batch) -> list[Tensor]:
    """Return the outputs of networks that always say the same."""
    if task.spec.loss == "cross_entropy":
        return [row.expand(*batch.targets.shape, -1) for row in torch.eye(task.spec.outputs)]
    return [torch.full_like(batch.targets, sign) for sign in (-1.0, 1.0)]


def test_chance_is_the_accuracy_of_the_best_constant_guess(registry, task):
    task = registry.shared_task(task)
    batch = everything(task, "train")
    best = max(float(task.score(guess, batch)["accuracy"].mean()) for guess in constants(task, batch))
    assert 0 < task.chance() < 1
    assert task.chance() == pytest.approx(best, abs=0.02)


def test_perfect_outputs_have_accuracy_one_and_wrong_ones_are_no_better_than_chance(registry, task):
    task = registry.shared_task(task)
    batch = draw(task, "val")
    if task.spec.loss == "cross_entropy":
        perfect = F.one_hot(batch.targets, task.spec.outputs).float()
        wrong = perfect.roll(1, -1)
    else:
        perfect, wrong = batch.targets, -batch.targets - 1e-3
    accuracy = task.score(perfect, batch)["accuracy"]
    assert accuracy.shape == (N,) and (accuracy == 1).all()
    assert task.score(wrong, batch)["accuracy"].mean() <= task.chance()
    losses = example_losses(100 * perfect if task.spec.loss == "cross_entropy" else perfect, batch, task.spec)
    assert losses.shape == (N,) and losses.abs().max() < 1e-6


def test_a_step_of_training_goes_through(registry, task, tmp_path):
    """The program trains the task with its own settings and analyses, and leaves a finished run."""
    from mechlab.jobs.execute import execute

    overrides = [*registry.choices("task", task), "debug=one_step", f"paths.root={tmp_path}"]
    analyses = registry.compose(*overrides).analysis
    small = [word for name in analyses for word in registry.small("analysis", name)]
    result = execute(registry.setup(*overrides, *small))
    assert result["status"] == "done" and result["metrics"]["steps"] == 1
    assert math.isfinite(result["metrics"]["test/loss"]) and set(result["findings"]) == set(analyses)
