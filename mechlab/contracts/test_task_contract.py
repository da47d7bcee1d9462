"""What every task promises."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mechlab.contracts.devices import DEVICE, Generator, on_another_device
from mechlab.core.errors import ConfigError, NoRule
from mechlab.core.evaluation import ClassShares
from mechlab.core.step import batch_loss, example_losses
from mechlab.core.task import SPLITS, Batch, FiniteTask, GroundTruth, Split, Task, TaskSpec

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


def test_augmentation_follows_from_its_generator_and_leaves_the_examples_as_they_are(registry, task):
    """A task without it changes nothing; with a rule, the targets belong to the changed inputs."""
    task, batch = registry.shared_task(task), draw(registry.shared_task(task), "train")
    before = replace(batch, inputs=batch.inputs.clone(), targets=batch.targets.clone())
    state = torch.get_rng_state()
    one, again, other = (task.augment(batch, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state) and same(batch, before)
    if not task.augments:
        assert same(one, batch)
        return
    assert same(one, again) and not same(one, other) and not same(one, batch)
    assert torch.equal(one.index, batch.index) and len({one.mask is None, batch.mask is None}) == 1
    for name in ("inputs", "targets"):
        changed, plain = getattr(one, name), getattr(batch, name)
        assert (changed.shape, changed.dtype) == (plain.shape, plain.dtype)
    with contextlib.suppress(NoRule):
        assert torch.equal(task.targets(one.inputs)[0], one.targets)


def test_tensors_are_made_on_the_device_that_is_asked_for(registry, task):
    """Examples on that of the generator; their augmentation, loss and scores on that of the batch."""
    with on_another_device(f"task={task} must draw examples on the device of the generator") as check:
        made = registry.task(task)
        for split in SPLITS:
            batch = made.generate(5, split, Generator(0))
            check(list(vars(batch).values()))
    with on_another_device(f"task={task} must augment a batch on its device") as check:
        check(list(vars(made.augment(batch, Generator(1))).values()))
    with on_another_device(f"the loss of task={task} must be computed on the device of the outputs") as check:
        shape = made.spec.loss.output_shape(batch.targets, made.spec.outputs)
        outputs = torch.randn(shape).to(DEVICE).requires_grad_()
        losses = example_losses(outputs, batch, made.spec)
        losses.sum().backward()
        batch_loss(outputs, batch, made.spec).backward()
        check([losses, outputs.grad, made.spec.loss.scalars(outputs)])
    with on_another_device(f"task={task} must compute scores on the device of the outputs") as check:
        scores = made.score(outputs.detach(), batch)
        check([list(vars(score).values()) if isinstance(score, ClassShares) else score for score in scores.values()])


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
        if spec.loss.indices:
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
    assert len(spec.classes) == (spec.outputs if spec.loss.classes else 0)
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
    """A task may validate on its test examples, on all of them."""
    found = {}
    for split in SPLITS:
        inputs = everything(registry.shared_task(task), split).inputs
        found[split] = {row.tobytes() for row in inputs.numpy()}
    assert not found["train"] & found["val"] and not found["train"] & found["test"]
    assert found["val"] == found["test"] or not found["val"] & found["test"]


def test_the_rule_of_a_task_gives_the_targets_of_its_examples(registry, task):
    """Targets that count are those that `targets` gives for the same inputs; a task without a rule says so."""
    task = registry.shared_task(task)
    for split in SPLITS:
        batch = draw(task, split)
        task.check_inputs(batch.inputs)
        try:
            targets, mask = task.targets(batch.inputs)
        except NoRule as error:
            assert "must have a rule" in str(error)
            return
        assert targets.dtype == batch.targets.dtype and targets.shape == batch.targets.shape
        assert mask is batch.mask is None or torch.equal(mask, batch.mask)
        counted = slice(None) if mask is None else mask
        assert torch.equal(targets[counted], batch.targets[counted])


def test_targets_are_a_function_of_the_input_alone(registry, task):
    """Labelled one by one, inputs have the same targets, and stay as they are."""
    task = registry.shared_task(task)
    inputs = draw(task, "train", n=5).inputs
    before = inputs.clone()
    try:
        targets, mask = task.targets(inputs)
    except NoRule:
        return
    alone = [task.targets(inputs[row : row + 1]) for row in range(len(inputs))]
    assert torch.equal(torch.cat([each for each, _ in alone]), targets) and torch.equal(inputs, before)
    assert mask is None or torch.equal(torch.cat([each for _, each in alone]), mask)


def test_inputs_of_another_shape_or_type_are_refused(registry, task):
    task = registry.shared_task(task)
    inputs = draw(task, "train", n=3).inputs
    out_of_range = inputs - 1000 if task.spec.tokens else inputs / 0
    for given in [inputs[0], inputs[:0], inputs[..., None], inputs.int(), inputs.tolist(), out_of_range]:
        with pytest.raises(ConfigError, match="must"):
            task.check_inputs(given)


def test_the_ground_truth_agrees_with_the_targets(registry, task):
    """Every target that counts is what the known mechanism gives for the same input."""
    task = registry.shared_task(task)
    truth = task.ground_truth()
    if truth is None:
        return
    assert isinstance(truth, GroundTruth) and isinstance(truth.kind, str) and truth.kind
    for split in SPLITS:
        batch = draw(task, split)
        try:
            expected, defined = truth.targets(batch.inputs)
        except NoRule:
            return
        counted = torch.ones_like(defined) if batch.mask is None else batch.mask
        assert counted.any() and not (counted & ~defined).any()
        assert torch.equal(expected[counted], batch.targets[counted].to(expected.dtype))


def test_the_ground_truth_names_letters_and_classes_as_the_spec_does(registry, task):
    """In the same order, where it names them."""
    truth, spec = registry.shared_task(task).ground_truth(), registry.shared_task(task).spec
    assert getattr(truth, "alphabet", spec.vocabulary) == spec.vocabulary
    assert getattr(truth, "classes", spec.classes) == spec.classes


def test_a_task_at_another_length_is_the_same_task(registry, task):
    """Examples are longer, and inputs of either length have the same targets."""
    task = registry.shared_task(task)
    if task.length_key is None:
        with pytest.raises(ConfigError, match="length"):
            task.at_length(10)
        return
    length = getattr(task, task.length_key)
    assert task.at_length(length).spec == task.spec
    longer = task.at_length(length + 1)
    assert longer.spec.length > task.spec.length and getattr(longer, task.length_key) == length + 1
    assert replace(longer.spec, length=None) == replace(task.spec, length=None)
    assert type(longer) is type(task) and draw(longer, "train").inputs.shape[1] <= longer.spec.length
    truth = task.ground_truth()
    assert getattr(longer.ground_truth(), "kind", None) == getattr(truth, "kind", None)
    with pytest.raises(ConfigError):
        task.at_length(-1)
    for batch in (draw(task, "val"), draw(longer, "val")):
        try:
            pairs = [each.targets(batch.inputs) for each in (task, longer)]
        except NoRule:
            return
        assert all(torch.equal(one, other) for one, other in zip(*pairs, strict=True) if one is not None)


def constants(task: Task, batch: Batch) -> list[Tensor]:
    """Return the outputs of networks that always say the same."""
    if task.spec.loss.classes:
        shape = task.spec.loss.output_shape(batch.targets, task.spec.outputs)
        return [row.expand(shape) for row in torch.eye(task.spec.outputs)]
    return [torch.full_like(batch.targets, sign) for sign in (-1.0, 1.0)]


def perfect_outputs(spec: TaskSpec, batch: Batch) -> Tensor:
    """Return the outputs that a loss takes to be nearest to the targets: of the targets themselves, their logarithms
    and their log-odds, those with the smallest loss."""
    targets = F.one_hot(batch.targets, spec.outputs) if spec.loss.indices else batch.targets
    targets = targets.float()
    candidates = [targets, targets.clamp(1e-30).log(), 200 * targets - 100]
    return min(candidates, key=lambda outputs: float(example_losses(outputs, batch, spec).mean()))


def test_chance_is_the_accuracy_of_the_best_constant_guess(registry, task):
    """Of a task that scores an accuracy; a regression need not."""
    task = registry.shared_task(task)
    batch = everything(task, "train")
    if "accuracy" not in task.score(constants(task, batch)[0], batch):
        return
    best = max(float(task.score(guess, batch)["accuracy"].mean()) for guess in constants(task, batch))
    assert 0 < task.chance() < 1
    fix = "chance() must be the accuracy of the best constant guess: override it where classes are not equally frequent"
    assert task.chance() == pytest.approx(best, abs=0.02), fix


def test_perfect_outputs_have_accuracy_one_and_wrong_ones_are_no_better_than_chance(registry, task):
    """And the smaller loss, whether or not the task scores an accuracy."""
    task = registry.shared_task(task)
    batch = draw(task, "val")
    loss, perfect = task.spec.loss, perfect_outputs(task.spec, batch)
    wrong = perfect.roll(1, -1) if loss.classes else -perfect - 1e-3
    scores = task.score(perfect, batch)
    if "accuracy" in scores:
        assert scores["accuracy"].shape == (N,) and (scores["accuracy"] == 1).all()
        assert task.score(wrong, batch)["accuracy"].mean() <= task.chance()
    losses = example_losses(perfect, batch, task.spec)
    assert losses.shape == (N,) and (losses <= example_losses(wrong, batch, task.spec)).all()
    assert losses.abs().max() < 1e-6 or (loss.classes and not loss.indices)  # soft targets have an entropy


def test_a_loss_is_of_each_example_alone(registry, task):
    """Whatever the other examples are, and differentiable in the outputs."""
    spec, batch = registry.shared_task(task).spec, draw(registry.shared_task(task), "train", n=5)
    shape = spec.loss.output_shape(batch.targets, spec.outputs)
    outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    losses = example_losses(outputs, batch, spec)
    alone = [example_losses(outputs[row : row + 1], batch[row : row + 1], spec) for row in range(5)]
    assert losses.shape == (5,) and losses.isfinite().all()
    torch.testing.assert_close(torch.cat(alone), losses)
    torch.testing.assert_close(batch_loss(outputs, batch, spec), losses.mean())
    gradient = torch.autograd.grad(losses[2], outputs)[0]
    assert gradient.isfinite().all() and gradient[2].any() and not gradient[[0, 1, 3, 4]].any()
    right = spec.loss.right(outputs, batch.targets)
    assert right.dtype == torch.bool and right.shape == spec.loss.elements(outputs, batch.targets).shape
    assert spec.loss.scalars(outputs).shape == shape


def test_a_step_of_training_goes_through(registry, task, tmp_path):
    """The program trains the task with its own settings and analyses, and leaves a finished run."""
    from mechlab.jobs.execute import execute

    overrides = [*registry.choices("task", task), "debug=one_step", f"paths.root={tmp_path}"]
    analyses = registry.compose(*overrides).analysis
    small = [word for name in analyses for word in registry.small("analysis", name)]
    result = execute(registry.setup(*overrides, *small))
    assert result["status"] == "done" and result["metrics"]["steps"] == 1
    assert math.isfinite(result["metrics"]["test/loss"]) and set(result["findings"]) == set(analyses)
