"""Adjoints that shrink at every step back hold no denormal numbers, and the results are those that they would give."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded, shuffled, trajectory_of

from mechlab.kernels import backward, metagradients
from mechlab.kernels.backward import PathKernelBackward
from mechlab.kernels.decomposition import PathKernelSettings
from mechlab.kernels.denormals import threshold, without_denormals
from mechlab.kernels.explained import Explained
from mechlab.kernels.metagradients import MetagradientBackward
from mechlab.kernels.quadrature import Quadrature

CARRY = 0.001  # of the momentum: adjoints shrink so fast that a few steps take them through all of float32
STEPS = 18
OPTIMIZERS = {
    "adamw": partial(torch.optim.AdamW, lr=0.02, betas=(CARRY, 0.98), weight_decay=0.5),
    "nesterov": partial(torch.optim.SGD, lr=0.05, momentum=CARRY, nesterov=True),
}
BINS = {"bins": range(STEPS), "view": "path"}  # the adjoint of a bin is added to at one step and shrinks from there on


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiny_numbers_become_zero_and_others_stay(dtype):
    least = threshold(dtype)
    values = torch.tensor([0.0, least / 2, -least / 2, 2 * least, -2 * least, 1.0, torch.inf, torch.nan], dtype=dtype)
    denormal = torch.tensor([torch.finfo(dtype).tiny * torch.finfo(dtype).eps], dtype=dtype)
    expected = values.clone()
    expected[1:3] = 0
    assert without_denormals(values) is values
    torch.testing.assert_close(values, expected, rtol=0, atol=0, equal_nan=True)
    assert denormal.item() > 0 == without_denormals(denormal).item()


@pytest.fixture(scope="module")
def case():
    """Return a function from an optimizer to a trajectory in 32 bits and what is explained of it."""
    made = {}

    def get(name):
        if name not in made:
            recipe = recipe_of(OPTIMIZERS[name], steps=STEPS, dtype=torch.float32)
            n = len(recipe.task.examples("train"))
            trajectory = trajectory_of(recipe, recorded(recipe, shuffled(n, STEPS, 6)))
            batch = trajectory.functional.placed(recipe.task.examples("val"))[:2]
            made[name] = trajectory, Explained(trajectory.functional, batch, "target")
        trajectory, explained = made[name]
        trajectory.forget()
        return trajectory, explained

    return get


def denormals(values):
    return int(((values != 0) & (values.abs() < torch.finfo(values.dtype).tiny)).sum())


def run(work, adjoints):
    """Do all steps of a backward pass; return its result, and the number of denormal entries of its adjoints over all
    steps."""
    count = 0
    for _ in work:
        count += sum(map(denormals, adjoints(work)))
    return work.result(), count


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_path_kernel_is_the_same_without_denormals(case, name, monkeypatch):
    """No entry is denormal, in the adjoints and in the directions of the inner products. Influences differ from those
    with all entries by at most gain / (1 - carry) threshold times the sum of the absolute entries of gradients."""
    directions = []
    record = backward.PathKernelBackward._add_influence
    watched = lambda self, step, U, gain: directions.append(denormals(U)) or record(self, step, U, gain)  # noqa: E731
    monkeypatch.setattr(backward.PathKernelBackward, "_add_influence", watched)

    def account():
        trajectory, explained = case(name)
        how = PathKernelSettings(Quadrature(nodes=1), form="gemm", **BINS)
        return run(PathKernelBackward(trajectory, explained, how), lambda work: [work._adjoint])

    found, left = account()
    assert left == sum(directions) == 0
    monkeypatch.setattr(backward, "without_denormals", lambda values: values)
    expected, present = account()
    assert present > 1000 and sum(directions) > 0
    trajectory, _ = case(name)
    sizes = [
        float(trajectory.functional.gradient(trajectory.state(s).theta, step.batch).abs().sum())
        for s in range(STEPS)
        for step in [trajectory.step(s)]
    ]
    bound = 2 * threshold(torch.float32) * sum(sizes)
    for one, other in ((found.influence, expected.influence), (found.influence_by_bin, expected.influence_by_bin)):
        assert np.abs(one - other).max() <= bound < 1e-25 < 1e-6 * np.abs(expected.influence).max()
    np.testing.assert_allclose(found.decay, expected.decay, rtol=1e-6)
    assert np.abs(found.completeness).max() < 1e-5


def test_metagradients_are_the_same_without_denormals(case, monkeypatch):
    """Their adjoints shrink by the weight decay, which takes longer: some entries are made denormal beforehand."""

    def derivative():
        work = MetagradientBackward(*case("adamw"))
        for adjoint in work._adjoints():
            adjoint[:, -7:] = 1e-39
        return run(work, lambda work: work._adjoints())

    found, left = derivative()
    monkeypatch.setattr(metagradients, "without_denormals", lambda values: values)
    expected, present = derivative()
    assert left == 0 < present
    np.testing.assert_allclose(found.derivative, expected.derivative, rtol=1e-5, atol=1e-9)


def test_other_arithmetic_keeps_its_denormals(case):
    """Steps that are computed again while a backward pass is under way come out with the bits of training."""
    trajectory, explained = case("adamw")
    for _ in PathKernelBackward(trajectory, explained, PathKernelSettings(Quadrature(nodes=1), scores=False)):
        assert float(torch.tensor(1e-38) / 16) > 0
