"""Attribution of what a network knows of each irrep, on short trainings in small groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of
from small_tasks import train

from mechlab.analyses.attribution.by_irrep import between
from mechlab.analyses.attribution.explained_examples import scalars_of
from mechlab.analyses.metagradient import Metagradient
from mechlab.analyses.path_kernel import PathKernel
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.groups import group, irreps
from mechlab.groups.logit_parts import LogitParts
from mechlab.models.group_mlp import GroupMLP
from mechlab.models.group_transformer import GroupTransformer
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.group import GroupProduct
from mechlab.tasks.modular_addition import ModularAddition

MODELS = {
    "group_mlp": lambda spec: GroupMLP(spec, hidden=8, embedding=6),
    "group_transformer": lambda spec: GroupTransformer(spec, width=8, heads=2, head_width=3, hidden=10),
}


@pytest.fixture(scope="module", params=MODELS)
def run(request, tmp_path_factory):
    optimizer = lambda parameters: torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.5)  # noqa: E731
    task = GroupProduct("S3", train_fraction=0.6)
    recipe = recipe_of(optimizer, steps=8, task=task, model=MODELS[request.param])
    return train(tmp_path_factory.mktemp("run"), recipe)


def everything(task):
    n = task.of.order
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    return Batch(pairs, task.targets(pairs)[0], None, torch.arange(n**2))


@pytest.mark.parametrize("name", ["S3", "D4", "C5"])
def test_parts_are_projections_on_matrix_elements(name):
    """By least squares on the matrix elements of each irrep, and as inner products with the character cube."""
    of, task = group(name), GroupProduct(name)
    batch, n = everything(task), of.order
    logits = torch.randn(n**2, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = LogitParts(of).each(logits, batch)
    for column, irrep in enumerate(irreps(of)):
        basis = irrep.matrices.reshape(n, -1)
        projected = logits.numpy() @ (basis @ np.linalg.pinv(basis)).T
        expected = projected[np.arange(n**2), batch.targets]
        np.testing.assert_allclose(parts[:, column], expected, atol=1e-12)
        cube = irrep.character[of.table[batch.targets.numpy()[:, None], of.inverses[None]]]
        np.testing.assert_allclose(parts[:, column].sum(), irrep.weight * (cube * logits.numpy()).sum(), atol=1e-10)
    own = logits[torch.arange(n**2), batch.targets]
    torch.testing.assert_close(parts.sum(1), own, rtol=1e-12, atol=1e-12)
    shifted = LogitParts(of).each(logits + 3, batch)
    torch.testing.assert_close(shifted[:, 1:], parts[:, 1:], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(shifted[:, 0], parts[:, 0] + 3, rtol=1e-12, atol=1e-12)


@pytest.mark.ci
def test_the_path_kernel_accounts_for_each_irrep(run, tmp_path):
    out = Artifacts(tmp_path)
    found = PathKernel(examples=10, outputs="irreps", tolerance=1e-4).run(run, out, np.random.default_rng(0))
    assert found.claims["completeness"].holds and found.claims["quadrature"].holds
    table, saved, batch = out.table("irreps"), out.arrays("by_irrep"), run.evaluation("val", 10)
    assert table["irrep"].tolist() == [irrep.name for irrep in irreps(run.task.of)]
    for model, column in ((run.model(), "final"), (run.at(0).model(), "initial")):
        with torch.no_grad():
            logits = model(batch.inputs)
        np.testing.assert_allclose(table[column], LogitParts(run.task.of).mean(logits, batch)[0], rtol=1e-9, atol=1e-12)
    terms = table[["data", "decay", "clipping", "residual", "arithmetic"]].sum(axis=1)
    np.testing.assert_allclose(terms, table["final"] - table["initial"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(saved["influence"].sum(1), table["data"], rtol=1e-9, atol=1e-12)
    assert np.array_equal(saved["pairs"], run.task.examples("train").inputs)
    examples = out.table("examples")
    standard = examples[(examples["explained"] == "standard") & (examples["kind"] == "helpful")].iloc[0]
    row = table["irrep"].tolist().index("standard")
    assert standard["train"] == saved["influence"][row].argmax()
    assert set(PathKernel(outputs="irreps").figures(out)) == {"influence", "mass", "lines", "statistics", "examples"}


def test_the_metagradient_of_an_irrep_is_what_training_with_another_weight_gives(run, tmp_path):
    out = Artifacts(tmp_path)
    found = Metagradient(examples=10, outputs="irreps").run(run, out, np.random.default_rng(0))
    assert found.claims["views"].holds
    batch, change = run.evaluation("val", 10), 1e-5
    pair = 3

    def end(weight):
        recipe = run.recipe
        model = recipe.model()
        optimizer, source = recipe.optimizer(model), recipe.source()
        weights = torch.ones(len(recipe.task.examples("train")), dtype=torch.float64)
        weights[pair] += weight
        for step in range(recipe.max_steps):
            recipe.rates(optimizer, step)
            recipe.update(model, optimizer, source, step, weights)
        with torch.no_grad():
            return LogitParts(recipe.task.of).mean(model(batch.inputs), batch)[0].numpy()

    measured = (end(change) - end(-change)) / (2 * change)
    np.testing.assert_allclose(out.arrays("by_irrep")["influence"][:, pair], measured, rtol=1e-4, atol=1e-7)
    assert set(Metagradient(outputs="irreps").figures(out)) == {"derivative", "examples"}


def test_the_share_of_variance_between_labels_is_the_squared_multiple_correlation():
    """By least squares on indicators; 1 for a function of labels; over permutations the mean is (K - 1) / (N - 1)."""
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=40)
    values = np.stack([rng.standard_normal(40), labels**2.0, np.ones(40)])
    fitted = np.eye(5)[labels] @ np.linalg.lstsq(np.eye(5)[labels], values[0], rcond=None)[0]
    share = between(values, labels)
    np.testing.assert_allclose(share, [np.var(fitted) / np.var(values[0]), 1, 0], atol=1e-12)
    drawn = [between(values[:1], rng.permutation(labels))[0] for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(4 / 39, abs=0.01)


def test_irreps_of_a_task_without_a_group_are_refused():
    with pytest.raises(ConfigError, match="products in a group") as caught:
        scalars_of("irreps", ModularAddition(5))
    assert caught.value.key == "outputs"
