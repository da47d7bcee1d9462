"""Similarity of examples by component, on planted networks and against slow loops."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from figure_checks import check_figure
from recorded_trainings import recipe_of, recorded, trajectory_of
from small_tasks import train
from torch import nn

from mechlab.analyses.attribution.component_similarity import ComponentSimilarity
from mechlab.analyses.attribution.components import components_of
from mechlab.analyses.attribution.example_keys import labels_of, relations, sums_of, texts_of
from mechlab.analyses.attribution.score_cosines import score_grams, summed_outputs
from mechlab.core.errors import ConfigError
from mechlab.core.schedule import Schedule
from mechlab.core.task import Batch, FiniteTask, TaskSpec
from mechlab.kernels.explained import Explained
from mechlab.kernels.quadrature import Quadrature
from mechlab.plotting.component_similarity import cosines_by_slice, in_the_plane
from mechlab.record import long_work
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.modular_addition import ModularAddition

ADAMW = partial(torch.optim.AdamW, lr=0.03, weight_decay=0.1)
TOKENS, FILLERS, LABELS = 36, 4, 3


class Lookup(FiniteTask):
    """The class of the first of two tokens, by an arbitrary table; the second token says nothing.

    Args:
        shuffled: whether validation examples have the classes of another table.
    """

    def __init__(self, shuffled: bool = False):
        symbols = tuple(f"t{i}" for i in range(TOKENS + FILLERS))
        spec = {"kind": "static", "loss": "cross_entropy", "shape": (2,), "tokens": True}
        self.spec = TaskSpec(
            inputs=len(symbols), outputs=LABELS, vocabulary=symbols, classes=tuple("abc"), **spec
        )  # fmt: skip
        self.shuffled = shuffled

    def examples(self, split):
        rng = np.random.default_rng(1)
        table, other = (rng.permutation(TOKENS) % LABELS for _ in range(2))
        filler = TOKENS + {"train": 0, "val": 1, "test": 2}[split]
        tokens = torch.stack([torch.arange(TOKENS), torch.full((TOKENS,), filler)], 1)
        tokens[::2, 1] = TOKENS + 3
        labels = other if self.shuffled and split == "val" else table
        return Batch(tokens, torch.as_tensor(labels), None, torch.arange(TOKENS))


class Twins(nn.Module):
    """Two heads with equal weights, and a block whose output is multiplied by 0."""

    def __init__(self, spec):
        super().__init__()
        self.table = nn.Embedding(spec.inputs, 12)
        self.one, self.two, self.dead = (nn.Linear(12, 12) for _ in range(3))
        self.two.load_state_dict(self.one.state_dict())
        self.decoder = nn.Linear(12, spec.outputs)

    def forward(self, inputs):
        h = self.table(inputs).sum(1)
        return self.decoder(torch.relu(self.one(h)) + torch.relu(self.two(h)) + 0.0 * self.dead(h))


def analysed(folder, task=None, steps=40, **options):
    recipe = recipe_of(ADAMW, steps=steps, task=task or Lookup(), model=Twins, schedule=Schedule())
    out = Artifacts(folder / "out")
    defaults = {"examples": 36, "components": "module", "permutations": 40, "resamples": 40}
    run = train(folder / "run", recipe)
    return ComponentSimilarity(**(defaults | options)).run(run, out, np.random.default_rng(0)), out


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return analysed(tmp_path_factory.mktemp("learned"), training=12)


def test_copies_of_a_head_have_the_same_similarities(learned):
    between = learned[1].table("between").set_index("component")
    assert between.loc["one", "two"] == pytest.approx(1, abs=1e-9)
    assert between.loc["one", "decoder"] < 0.99


def test_a_block_that_training_never_used_has_no_similarities_and_the_finding_names_it(learned):
    finding, out = learned
    assert finding.notes["without_scores"] == "There are no cosines in dead, where all scores are 0."
    names = out.table("between")["component"].tolist()
    whole = out.arrays("cosines")["whole"]
    assert np.isnan(whole[names.index("dead")]).all()
    assert np.isfinite(whole[[names.index(name) for name in names if name != "dead"]]).all()


def test_labels_that_were_learned_go_with_similar_scores(learned):
    finding, out = learned
    assert finding.claims["follows_label"].holds and finding.claims["label_is_learned"].holds
    keys = out.table("keys").set_index(["key", "component"])
    assert keys.loc[("label", "decoder"), "auc"] > 0.8 > keys.loc[("label", "decoder"), "first_step"]


NOT_LEARNED = {
    "shuffled": (Lookup(shuffled=True), 40, "all"),
    "untrained": (Lookup(), 1, "all"),
    "explained by the label": (Lookup(shuffled=True), 40, "target"),  # the first step separates labels as well
}


@pytest.mark.parametrize("name", NOT_LEARNED)
def test_labels_that_were_not_learned_do_not(tmp_path, name):
    task, steps, outputs = NOT_LEARNED[name]
    finding, _ = analysed(tmp_path, task, steps, outputs=outputs)
    assert not finding.claims["follows_label"].holds and not finding.claims["label_is_learned"].holds


def test_few_examples_make_no_claim(tmp_path):
    finding, out = analysed(tmp_path, steps=2, examples=5, embedded="tsne")
    assert not finding.claims and "at least 30" in finding.notes["no_claims"]
    assert len(out.table("rows")) == 5
    points = out.table("embedding").set_index("component")
    assert np.isfinite(points.loc["decoder", ["x", "y"]].to_numpy()).all() and points.loc["dead", "x"].isna().all()


def test_the_most_similar_examples_have_the_largest_cosines(learned):
    _, out = learned
    rows, similar = out.table("rows"), out.table("similar")
    names = out.table("between")["component"].tolist()
    matrix = out.arrays("cosines")["whole"][names.index("decoder")]
    assert matrix.shape == (48, 48) and rows["split"].tolist() == ["val"] * 36 + ["train"] * 12
    first = similar[(similar["component"] == "decoder") & (similar["kind"] == "nearest")].iloc[0]
    row = int(np.flatnonzero((rows["example"] == first["explained"]) & rows["explained"])[0])
    others = np.delete(matrix[row], row)
    assert first["cosine"] == pytest.approx(others.max(), abs=1e-6)
    farthest = similar[(similar["component"] == "decoder") & (similar["kind"] == "farthest")].iloc[0]
    assert farthest["cosine"] == pytest.approx(others.min(), abs=1e-6)
    assert "t" in str(first["input"])


@pytest.mark.ci
def test_every_figure_is_drawn(learned):
    figures = ComponentSimilarity().figures(learned[1])
    names = {"similarity", "over_training", "cosines", "cosines_by_slice", "embedding", "between", "against_training"}
    assert set(figures) == names


@pytest.mark.ci
def test_a_figure_of_slices_has_four_by_four_panels_and_names_the_rest():
    names = [f"steps {i} to {i + 1}, part{k}" for i in range(5) for k in range(7)]
    table = pd.DataFrame([{"panel": name, "row": row, "0": 1.0, "1": 0.5} for name in names for row in range(12)])
    options = {"names": ("examples", "examples"), "scale": "cosine", "label": "cosine"}
    figure = cosines_by_slice(table, 4, list("abcdefghijkl"), **options)
    check_figure(figure)
    assert sum(len(axis.images) for axis in figure.axes if axis.get_subplotspec() is not None) == 16
    assert "4 of 5 slices and 4 of 7 components" in figure.get_suptitle() and "part1" in figure.get_suptitle()


@pytest.mark.ci
def test_residues_have_cyclic_colours_and_axes_their_share_of_variance():
    columns = {"component": "a", "split": "val", "label": range(6), "x": range(6), "y": range(6)}
    points = pd.DataFrame({**columns, "x_share": 0.25, "y_share": 0.125})
    figures = [in_the_plane(points.assign(modulus=modulus), "scaling") for modulus in (6, np.nan)]
    maps = [figure.axes[0].collections[0].get_cmap().name for figure in figures]
    assert maps == ["twilight", "viridis"]
    assert figures[0].axes[0].get_xlabel() == "PC 1 (25 % of variance)"
    for figure in figures:
        check_figure(figure)


def test_inner_products_are_those_of_scores_from_a_loop_over_steps_and_examples(tmp_path):
    """By autograd at the midpoints of both halves of each step, for the sum of all log-probabilities."""
    recipe = recipe_of(ADAMW, steps=6)
    trajectory = trajectory_of(recipe, recorded(recipe))
    functional, layout = trajectory.functional, trajectory.functional.layout
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:3]
    groups = components_of(layout.shapes, "similar")
    explained = Explained(functional, batch, summed_outputs("all", recipe.task.spec))
    slices = [(0, 6), (2, 4)]
    arguments = (Quadrature("midpoint", 2), 2**30, tmp_path / "work.safetensors", slices)
    found = score_grams("test", trajectory, explained, groups, *arguments, rows={1: np.array([2, 0])})
    scores = torch.zeros(6, 3, layout.size, dtype=torch.float64)
    for s in range(6):
        theta, step = trajectory.theta(s), trajectory.step(s)
        moved = step.end - theta + step.rate * step.decay * theta
        for row in range(3):
            for share in (0.25, 0.75):
                at = (theta + share * (step.end - theta)).requires_grad_()
                functional.outputs(layout.split(at), batch[row : row + 1]).log_softmax(-1).sum().backward()
                scores[s, row] += at.grad / 2 * moved
    for part, (first, stop), rows in zip(found.grams, slices, ([0, 1, 2], [2, 0]), strict=True):
        vectors = scores[first:stop].sum(0)[rows]
        for g, members in enumerate(groups.values()):
            some = torch.cat([vectors[:, layout.places[name]] for name in members], 1)
            np.testing.assert_allclose(part[g], some @ some.T, rtol=1e-8, atol=1e-14)


def test_log_probabilities_of_targets_that_do_not_count_are_left_out_of_the_sum():
    outputs, mask = torch.randn(2, 3, 4), torch.tensor([[True, False, True], [False, True, False]])
    batch = Batch(torch.zeros(2, 3), torch.zeros(2, 3).long(), mask, torch.arange(2))
    spec = TaskSpec(inputs=2, outputs=4, kind="sequence", loss="cross_entropy", length=3)
    expected = [outputs[x][mask[x]].log_softmax(-1).sum() for x in range(2)]
    torch.testing.assert_close(summed_outputs("all", spec)(outputs, batch), torch.stack(expected))


def test_an_interrupted_analysis_ends_with_the_same_finding(tmp_path, monkeypatch):
    recipe = recipe_of(ADAMW, steps=6, task=Lookup(), model=Twins)
    run, make = train(tmp_path / "run", recipe), partial(ComponentSimilarity, examples=6, resamples=5)
    found = make().run(run, Artifacts(tmp_path / "whole"), np.random.default_rng(0))
    monkeypatch.setattr(long_work, "SAVE_EVERY", 0.0)
    save, saved = long_work.save_tensors, []

    def interrupted(path, tensors):
        save(path, tensors)
        saved.append(path)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(long_work, "save_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make().run(run, Artifacts(tmp_path / "resumed"), np.random.default_rng(0))
    assert saved[0].exists()
    assert make().run(run, Artifacts(tmp_path / "resumed"), np.random.default_rng(0)).as_dict() == found.as_dict()
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "resumed" / path.name).read_bytes(), path.name


def test_expressions_are_compared_by_their_numbers_and_not_by_plus_and_equals():
    task = ModularAddition(5, tokens="expression")
    inputs = torch.tensor([[3, 5, 1, 6], [4, 5, 0, 6], [1, 5, 1, 6], [4, 5, 2, 6]])
    batch = Batch(inputs, task.targets(inputs)[0], None, torch.arange(4))
    assert sums_of(task.spec, batch).tolist() == [4, 4, 2, 6] and labels_of(task.spec, batch).tolist() == [4, 4, 2, 1]
    found = relations(task.spec, batch, ("label", "sum", "token"))
    np.testing.assert_array_equal(found["label"], found["sum"])
    token = np.eye(4, dtype=bool)
    token[0, 2] = token[2, 0] = token[1, 3] = token[3, 1] = True
    np.testing.assert_array_equal(found["token"], token)
    assert texts_of(task.spec, batch)[0] == "3 + 1 ="


def test_too_many_examples_for_the_memory_are_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        analysed(tmp_path, steps=2, memory_gb=1e-5)
    assert caught.value.key == "memory_gb"


def test_the_last_slice_is_drawn_where_training_ended_before_the_named_steps():
    analysis = ComponentSimilarity(shown=(200, 500))
    assert analysis._shown([(0, 30), (30, 60)]) == [1]
    assert analysis._shown([(150, 200), (200, 250), (450, 500)]) == [0, 2]
