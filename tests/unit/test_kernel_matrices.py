"""Influences by component and by bin of steps, as matrices over sorted examples."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded, trajectory_of
from small_tasks import train

from mechlab.analyses.attribution.components import components_of
from mechlab.analyses.attribution.kernel_matrices import kernel_figures, save_kernel_matrices
from mechlab.analyses.attribution.matrix_tables import matrix_blocks
from mechlab.analyses.path_kernel import PathKernel
from mechlab.kernels.backward import PathKernelBackward
from mechlab.kernels.decomposition import PathKernelSettings
from mechlab.kernels.explained import Explained
from mechlab.kernels.quadrature import Quadrature
from mechlab.record.artifacts import Artifacts

ADAMW = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5)


class Recorded:
    def __init__(self, task):
        self.task, self.spec = task, task.spec


@pytest.fixture(scope="module")
def decomposed():
    recipe = recipe_of(ADAMW, steps=6)
    trajectory = trajectory_of(recipe, recorded(recipe))
    batch = recipe.task.examples("val").to("cpu", recipe.dtype)[:4]
    groups = components_of(trajectory.functional.layout.shapes, "similar")
    settings = PathKernelSettings(Quadrature("midpoint", 1), groups=groups, bins=[0, 2, 4])
    backward = PathKernelBackward(trajectory, Explained(trajectory.functional, batch, "all"), settings)
    for _ in backward:
        pass
    return Recorded(recipe.task), backward.result(), batch


@pytest.fixture
def out(decomposed, tmp_path):
    run, result, batch = decomposed
    saved = Artifacts(tmp_path)
    save_kernel_matrices(run, saved, result, batch, "all", [0, 2, 4, 6], "sum")
    return saved


def panel(table, name):
    return table[table["panel"] == name].drop(columns=["panel", "row"]).to_numpy()


def test_matrices_are_the_influences_on_the_own_class_in_the_order_of_the_sums(decomposed, out):
    run, result, batch = decomposed
    train = run.task.examples("train")
    rows = batch.inputs[:, [0, 2]].sum(1).argsort(stable=True).numpy()
    columns = train.inputs[:, [0, 2]].sum(1).argsort(stable=True).numpy()
    own = np.stack([result.influence[x, int(batch.targets[x])] for x in rows])[:, columns]
    by_component, by_step = out.table("kernels_by_component"), out.table("kernels_by_step")
    np.testing.assert_allclose(panel(by_component, "all parameters"), own, rtol=1e-6)
    parts = [panel(by_component, name) for name in result.influence_by_group]
    np.testing.assert_allclose(sum(parts), own, rtol=1e-4, atol=1e-8)
    steps = ["steps 0 to 2", "steps 2 to 4", "steps 4 to 6"]
    np.testing.assert_allclose(sum(panel(by_step, name) for name in steps), own, rtol=1e-4, atol=1e-8)
    ticks = out.table("kernel_axes").query("split == 'explained'")["tick"].tolist()
    sums = batch.inputs[:, [0, 2]].sum(1)[rows].tolist()
    assert ticks == [f"{a} ({a % 5})" for a in sums]


@pytest.mark.ci
def test_both_figures_are_drawn(out):
    assert set(kernel_figures(out, "sum")) == {"kernels_by_component", "kernels_by_step"}


def test_nothing_is_saved_or_drawn_without_components_and_bins(decomposed, tmp_path):
    run, result, batch = decomposed
    saved = Artifacts(tmp_path)
    save_kernel_matrices(run, saved, result, batch[:3], "all", [0, 6], "sum")  # rows are not examples
    assert not list(tmp_path.iterdir()) and kernel_figures(saved, "sum") == {}


def test_blocks_sum_or_average_neighbours():
    matrix = np.arange(35.0).reshape(5, 7)
    assert matrix_blocks(matrix, 3, sums=True).sum() == matrix.sum()
    np.testing.assert_allclose(matrix_blocks(matrix, 5)[:, 0], matrix[:, 0])
    np.testing.assert_allclose(matrix_blocks(np.full((5, 7), 2.0), 2), 2.0)


@pytest.mark.ci
def test_path_kernel_draws_them_where_it_computes_components_or_bins(tmp_path):
    run, out = train(tmp_path / "run", recipe_of(ADAMW, steps=4)), Artifacts(tmp_path / "out")
    analysis = PathKernel(examples=3, by_component=True, bins=2)
    analysis.run(run, out, np.random.default_rng(0))
    assert {"kernels_by_component", "kernels_by_step"} <= set(analysis.figures(out))
    assert out.table("kernels_by_step")["panel"].unique().tolist() == ["steps 0 to 2", "steps 2 to 4"]
