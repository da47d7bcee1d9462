"""Pruning: the measures of importance against slow references, a planted unused block, and controls without labels."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded, trajectory_of
from small_tasks import Points, Ragged, small_recipe, train
from torch import nn
from torch.nn.functional import cross_entropy

from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.importance import Importance
from mechlab.analyses.attribution.pruning import Pruning, over_splits
from mechlab.core.errors import ConfigError
from mechlab.core.layout import Layout
from mechlab.core.step import aligned_outputs
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.kernels import path_kernel
from mechlab.kernels.pruning import Ranking, compare
from mechlab.kernels.quadrature import Quadrature
from mechlab.kernels.trajectory import Trajectory
from mechlab.record import long_work
from mechlab.record.artifacts import Artifacts

ADAMW = partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5)
QUADRATURE = Quadrature("midpoint", 2)


def test_the_most_important_parameters_are_kept_among_all_or_in_each_tensor():
    layout = Layout({"a": torch.Size([4]), "b": torch.Size([2, 2]), "last": torch.Size([2])})
    importance = torch.tensor([9.0, 1, 1, 1, 8, 7, 6, 5, 0, 0])
    ties = torch.tensor([0, 3, 2, 1, 4, 5, 6, 7, 8, 9])
    kept = lambda share, scope: Ranking.of(importance, layout, ["last"], scope, ties).kept(share)  # noqa: E731
    assert kept(0.5, "global").nonzero()[:, 0].tolist() == [0, 4, 5, 6, 8, 9]
    assert kept(0.5, "tensor").nonzero()[:, 0].tolist() == [0, 3, 4, 5, 8, 9]  # of equal ones, the one first in ties
    assert kept(1, "global").all()


def test_a_network_that_is_not_pruned_agrees_with_itself():
    rows = torch.tensor([[[2.0, 1, 0], [0, 1, 0]], [[0, 0, 1], [3, 0, 0]]]).log_softmax(-1)
    batch = Batch(
        torch.zeros(2, 2), torch.tensor([[0, 1], [2, 1]]), torch.tensor([[1, 0], [1, 1]]).bool(), torch.arange(2)
    )
    assert compare(rows, rows, batch).tolist() == [0.75, 1, 0]
    other = rows.flip(-1)
    accuracy, agreement, divergence = compare(other, rows, batch).tolist()
    by_hand = (rows.exp() * (rows - other)).sum(-1)
    assert (accuracy, agreement) == (0, 0)
    assert divergence == pytest.approx(float((by_hand[0, 0] + by_hand[1].mean()) / 2))


@pytest.fixture(scope="module")
def importance(tmp_path_factory):
    """Return a recipe, its trajectory, four examples, and the importance of parameters by method."""
    recipe = recipe_of(ADAMW, steps=5)
    arrays = recorded(recipe)
    trajectory = trajectory_of(recipe, arrays)
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:3]
    reserved = torch.tensor([[1, 1, 0], [0, 1, 1]]).bool()
    parts = Checkpointed(tmp_path_factory.mktemp("parts"))
    found = Importance(trajectory, batch, reserved, "all", QUADRATURE, 2**20, parts)
    return recipe, trajectory, batch, reserved, lambda name: found(name, np.random.default_rng(0))


def test_path_kernel_importance_is_that_of_the_decomposition_by_training_examples(importance):
    _, trajectory, batch, reserved, found = importance
    account = path_kernel(trajectory, batch, nodes=2, scores=True)
    for name, scores in (("path_kernel", account.scores), ("path_kernel_total", account.scores + account.decay_scores)):
        each = np.abs(scores).sum(1)  # (X, P)
        expected = np.stack([each[split.numpy()].sum(0) for split in reserved])
        np.testing.assert_allclose(found(name), expected, rtol=1e-7, atol=1e-12)


def test_importance_at_the_end_is_that_of_slow_loops(importance):
    recipe, trajectory, batch, reserved, found = importance
    layout, spec = trajectory.functional.layout, recipe.task.spec
    theta = trajectory.theta(trajectory.steps)
    model = recipe.model(trajectory.record.params(trajectory.steps))

    def gradient(value):
        named = dict(model.named_parameters())
        parts = torch.autograd.grad(value, [named[name] for name in layout.names], retain_graph=True)
        return torch.cat([part.flatten() for part in parts])

    taylor, fisher, mean = torch.zeros(2, layout.size), torch.zeros(2, layout.size), torch.zeros(2, layout.size)
    taylor, fisher, mean = taylor.double(), fisher.double(), mean.double()
    for x in range(3):
        outputs = aligned_outputs(model, batch[x : x + 1], spec)
        own = gradient(cross_entropy(outputs, batch.targets[x : x + 1]))
        logs = outputs.log_softmax(-1)[0]
        of_labels = sum(float(value.detach().exp()) * gradient(value).square() for value in logs)
        for k in range(2):
            if reserved[k, x]:
                mean[k] += own
                taylor[k] += (theta * own).square()
                fisher[k] += theta.square() * of_labels
    for name, expected in (("snip", (theta * mean).abs()), ("taylor", taylor), ("fisher", fisher)):
        torch.testing.assert_close(found(name), expected, rtol=1e-8, atol=1e-14)
    torch.testing.assert_close(found("magnitude"), theta.abs().expand(2, -1))
    assert found("random").shape == (2, layout.size)


def test_the_metagradient_is_the_effect_of_another_start_on_the_end(importance):
    recipe, trajectory, batch, reserved, found = importance
    layout, spec = trajectory.functional.layout, recipe.task.spec
    start = trajectory.theta(0)

    def losses(theta):
        weights = dict(trajectory.record.params(0)) | {n: v.clone() for n, v in layout.split(theta).items()}
        model = recipe.model(weights)
        for _ in recipe.steps(model, recipe.optimizer(model), recipe.source(), stop=5):
            pass
        with torch.no_grad():
            each = spec.loss.examples(aligned_outputs(model, batch, spec), batch.targets)
        return torch.stack([each[split].mean() for split in reserved])

    values, size = found("metagradient"), 1e-5
    for p in values[0].argsort(descending=True)[[0, 5, 20]].tolist():
        moved = torch.zeros_like(start)
        moved[p] = size
        slope = (losses(start + moved) - losses(start - moved)) / (2 * size)
        torch.testing.assert_close(values[:, p], (start[p] * slope).abs(), rtol=1e-4, atol=1e-8)


def test_outputs_that_do_not_count_have_no_part_in_importance(tmp_path):
    """The importance of two examples in all outputs is that of their one step each that counts."""
    recipe = small_recipe(Ragged(), steps=3, dtype=torch.float64)
    trajectory = Trajectory.of_run(train(tmp_path / "run", recipe))
    batch = trajectory.functional.placed(recipe.task.examples("val").cropped())[:2]

    def summed(examples, name, outputs):
        parts, every = Checkpointed(tmp_path / name), torch.ones(1, len(examples)).bool()
        work = Importance(trajectory, examples, every, outputs, QUADRATURE, 2**20, parts)
        return work("path_kernel", np.random.default_rng(0))[0]

    def of_class(label):  # minus the loss is then the log-probability of this class at the step that counts
        return summed(replace(batch, targets=torch.full_like(batch.targets, label)), f"class{label}", "target")

    torch.testing.assert_close(summed(batch, "all", "all"), sum(of_class(label) for label in range(3)))


class Quadrants(FiniteTask):
    """Name the quadrant of points in the plane, or a label drawn at random for each training point."""

    def __init__(self, shuffled: bool = False):
        self.shuffled = shuffled
        self.spec = TaskSpec(inputs=2, outputs=4, kind="static", loss="cross_entropy", shape=(2,))

    def examples(self, split: Split) -> Batch:
        rng = torch.Generator().manual_seed(["train", "val", "test"].index(split))
        n = 60 if split == "train" else 240
        x = torch.randn(n, 2, generator=rng)
        y = 2 * (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
        return Batch(x, y[torch.randperm(n, generator=rng)] if self.shuffled else y, None, torch.arange(n))


class WithUnusedBlock(nn.Module):
    """A perceptron, and a block of large weights that its outputs do not depend on."""

    def __init__(self, spec):
        super().__init__()
        self.used, self.unused, self.last = nn.Linear(2, 16), nn.Linear(2, 40), nn.Linear(16, spec.outputs)
        nn.init.normal_(self.unused.weight, std=10.0)
        nn.init.normal_(self.unused.bias, std=10.0)

    def forward(self, x):
        return self.last(self.used(x).relu()) + 0 * self.unused(x).sum(1, keepdim=True)


def quadrants(folder, shuffled):
    optimizer = partial(torch.optim.Adam, lr=0.03)
    return train(folder, recipe_of(optimizer, 60, task=Quadrants(shuffled), model=WithUnusedBlock))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quadrants")
    return {name: quadrants(folder / name, name == "shuffled") for name in ("learned", "shuffled")}


def pruned(run, folder, **options):
    given = {"examples": 240, "kept": (0.05, 0.3), "at": 0.2, "scopes": ("global",)} | options
    out = Artifacts(folder)
    analysis = Pruning(**given)
    return analysis, out, analysis.run(run, out, np.random.default_rng(0))


def test_a_block_that_training_never_used_is_pruned_first(runs, tmp_path):
    analysis, out, found = pruned(runs["learned"], tmp_path)
    tensors = out.table("tensors")
    unused = tensors[tensors["tensor"].str.startswith("unused") & (tensors["kept"] == 0.2)]
    kept = unused.groupby("method")["parameters"].sum()
    assert kept["path_kernel"] == kept["snip"] == kept["taylor"] == kept["fisher"] == kept["metagradient"] == 0
    assert kept["magnitude"] >= 20 and kept["random"] > 5
    assert found.scalars["accuracy"] > 0.9
    for claim in found.claims.values():
        assert claim.holds and claim.interval[0] > 0
    assert set(analysis.figures(out)) == {"curves_global", "tensors"}


def test_after_training_on_shuffled_labels_no_claim_holds(runs, tmp_path):
    _, _, found = pruned(runs["shuffled"], tmp_path, importance=("path_kernel", "magnitude", "random"))
    assert len(found.claims) == 2 and not any(claim.holds for claim in found.claims.values())


def test_small_samples_make_no_claims(runs, tmp_path):
    _, _, found = pruned(runs["learned"], tmp_path, examples=100, importance=("path_kernel", "random"))
    assert not found.claims and "50 evaluation examples" in found.notes["claims"]


@pytest.mark.ci
def test_an_interrupted_analysis_ends_with_the_same_tables(runs, tmp_path, monkeypatch):
    options = {"examples": 20, "importance": ("path_kernel", "metagradient", "random")}
    _, whole, expected = pruned(runs["learned"], tmp_path / "whole", **options)
    monkeypatch.setattr(long_work, "SAVE_EVERY", 0.0)
    save, saved = long_work.save_tensors, []

    def interrupted(path, tensors):
        save(path, tensors)
        saved.append(path)
        if len(saved) in (3, 70):  # in the scores and in the metagradient
            raise KeyboardInterrupt

    monkeypatch.setattr(long_work, "save_tensors", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            pruned(runs["learned"], tmp_path / "resumed", **options)
    _, resumed, found = pruned(runs["learned"], tmp_path / "resumed", **options)
    assert found == expected
    for name in ("curves.csv", "tensors.csv"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert not (runs["learned"].folder / "work").exists()


def test_what_cannot_be_pruned_is_refused(runs, tmp_path):
    with pytest.raises(ConfigError, match="needs targets that are classes"):
        Pruning().check_recipe("pruning", recipe_of(ADAMW, task=Points()), "analysis.pruning")
    with pytest.raises(ConfigError, match="exempt must name"):
        pruned(runs["learned"], tmp_path, exempt=("nothing*",))
    with pytest.raises(ConfigError, match="some tensor must be pruned"):
        pruned(runs["learned"], tmp_path, exempt=("*",))
    with pytest.raises(ConfigError, match="an example each"):
        pruned(runs["learned"], tmp_path, examples=1)


def test_intervals_over_overlapping_splits_are_wider_than_over_independent_ones():
    differences = np.array([0.1, 0.2, 0.15, 0.12, 0.18])
    low, high = over_splits(differences, 0.75)
    assert (low + high) / 2 == pytest.approx(0.15)
    half = 2.7764 * np.sqrt((1 / 5 + 1 / 3) * differences.var(ddof=1))
    assert high - 0.15 == pytest.approx(half, rel=1e-4)


def test_the_last_tensor_alone_is_exempt_where_one_module_has_all():
    assert Pruning()._exempt(["layer.weight", "readout.weight", "readout.bias"]) == ["readout.weight", "readout.bias"]
    assert Pruning()._exempt(["layers.0", "layers.1", "layers.2"]) == ["layers.2"]
