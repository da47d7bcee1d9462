"""The first steps of the published perceptron for S5, seed 2 (Chughtai et al., arXiv 2302.03025)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from warm_process import command

from mechlab import load_run
from mechlab.core.task import Batch
from mechlab.models.group_mlp import GroupMLP
from mechlab.tasks.group import GroupProduct

PUBLISHED = {  # after the optimiser step of an epoch: train loss, test loss, sum of squared weights
    0: (4.7839576474, 4.7903479540, 486.059),
    1: (4.7799313576, 4.7919992959, 485.449),
    2: (4.7760474041, 4.7936521839, 485.283),
    3: (4.7722739645, 4.7953140478, 485.556),
    5: (4.7649678795, 4.7986743171, 487.379),
    10: (4.7472492006, 4.8075918006, 498.837),
    50: (4.4924624469, 5.0011515817, 883.461),
}


@pytest.fixture(scope="module", params=[10, pytest.param(50, marks=pytest.mark.ci)])
def last(request: pytest.FixtureRequest) -> int:
    """The last epoch compared."""
    return request.param


def tolerance(epoch: int) -> float:
    """Rounding makes trajectories part, the more the longer they are."""
    return 1e-6 if epoch <= 10 else 1e-4


def check(epoch: int, losses: list[float], squares: float) -> None:
    *published, weights = PUBLISHED[epoch]
    assert losses == pytest.approx(published, rel=tolerance(epoch))
    assert squares == pytest.approx(weights, rel=max(tolerance(epoch), 2e-6))  # printed to three decimals


def test_task_model_and_optimiser_follow_the_published_losses():
    """The first steps, without the command that the next test runs."""
    task = GroupProduct("S5", 0.4, seed=2)
    model = GroupMLP(task.spec, seed=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
    batches = [task.examples(split) for split in ("train", "test")]

    def loss(batch: Batch) -> torch.Tensor:
        return task.spec.loss.mean(model(batch.inputs), batch.targets)

    for epoch in range(6):
        optimizer.zero_grad()
        loss(batches[0]).backward()
        optimizer.step()
        if epoch in PUBLISHED:
            with torch.no_grad():
                squares = float(sum(p.square().sum() for p in model.parameters()))
                check(epoch, [float(loss(batch)) for batch in batches], squares)


@pytest.mark.ci
def test_training_follows_the_published_losses(tmp_path):
    last, epochs = 50, list(PUBLISHED)
    steps = ",".join(str(epoch + 1) for epoch in epochs)
    overrides = (f"trainer.max_steps={last + 1}", f"history.steps=[{steps}]", "analysis=[]")
    done = command("train", "experiment=groups_s5", *overrides, folder=tmp_path)
    assert done.exit == 0, done.text
    run = load_run(tmp_path / done.out.splitlines()[-1].removeprefix("run: "))
    loss = run.task.spec.loss
    for epoch in epochs:
        model = run.at(epoch + 1).model()
        with torch.no_grad():
            batches = [run.task.examples(split) for split in ("train", "test")]
            losses = [float(loss.mean(model(batch.inputs), batch.targets)) for batch in batches]
            squares = float(sum(p.square().sum() for p in model.parameters()))
        check(epoch, losses, squares)
    recorded = run.results["metrics"]
    assert recorded["test/loss"] == pytest.approx(losses[1], rel=1e-9)


def test_a_plain_loop_that_multiplies_every_pair_follows_them_too(last):
    """Written from the paper's equations alone, with the whole first layer for every pair."""
    n, images = 120, torch.tensor(_s5())
    torch.manual_seed(2)
    shapes = ((n, 256), 256), ((n, 256), 256), ((512, 128), 512), ((128, n), 128)
    W_x, W_y, W, W_U = weights = [torch.nn.Parameter(torch.randn(shape) / fan**0.5) for shape, fan in shapes]
    torch.manual_seed(2)
    order = torch.randperm(n * n)
    a, b = order // n, order % n
    products = images[b].gather(1, images[a])  # (x y)(i) = y(x(i))
    codes = 5 ** torch.arange(5)
    c = ((products @ codes)[:, None] == images @ codes).int().argmax(1)
    train, test = slice(int(0.4 * n * n)), slice(int(0.4 * n * n), None)
    optimizer = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)

    def loss(part: slice) -> torch.Tensor:
        logits = torch.relu(torch.cat([W_x[a[part]], W_y[b[part]]], 1) @ W) @ W_U
        return F.cross_entropy(logits.double(), c[part])

    for epoch in range(last + 1):
        optimizer.zero_grad()
        loss(train).backward()
        optimizer.step()
        if epoch in PUBLISHED:
            with torch.no_grad():
                losses = [float(loss(part)) for part in (train, test)]
                squares = float(sum(weight.square().sum() for weight in weights))
            check(epoch, losses, squares)


def _s5() -> list[list[int]]:
    """Return the permutations of five points in the order of sympy's coset enumeration, which is the published one."""
    from sympy.combinatorics import Permutation, PermutationGroup

    group = PermutationGroup([Permutation([1, 2, 3, 4, 0]), Permutation([1, 0, 2, 3, 4])])
    return [element.array_form for element in group.generate(method="coset")]
