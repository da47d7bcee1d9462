"""Metagradients of the transformer of `experiment=epk_quick` against autograd through the whole training, and against
the seconds of a training."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

STEPS, RATE, BETAS, EPSILON, DECAY = 60, 1e-3, (0.9, 0.98), 1e-8, 4.0
EXPLAINED, TOGETHER, WORKSPACE = 8, 64, 10**9  # validation pairs, networks side by side, bytes


def main(arguments: argparse.Namespace) -> None:
    """Train, differentiate and unroll in turns; print median processor seconds, ratios and the greatest difference."""
    import torch

    torch.set_num_threads(1)
    steps = arguments.steps or STEPS
    recipe, trajectory, explained = _quick(steps)
    works = {
        "training": lambda: list(recipe.steps(recipe.model())),
        "trainings": lambda: _side_by_side(recipe, trajectory),
        "metagradient": lambda: _metagradient(trajectory, explained),
        "autograd": lambda: _through_training(trajectory, explained),
    }
    difference = (works["metagradient"]() - works["autograd"]()).abs().max()  # also loads what is loaded once
    list(map(_seconds, list(works.values())[:2]))
    turns = [{name: _seconds(work) for name, work in works.items()} for _ in range(arguments.repeats)]
    training, trainings, metagradient, autograd = (statistics.median(turn[name] for turn in turns) for name in works)
    print(f"p = 13, 60 training pairs, {steps} steps, {EXPLAINED} scalars, one thread, float64; n = {len(turns)}")
    print(
        f"  one training                    {training:7.3f} s   ({trainings / TOGETHER:.3f} s of {TOGETHER} together)"
    )
    print(f"  metagradient                    {metagradient:7.3f} s   {metagradient / training:.1f} trainings")
    print(f"  autograd through the training   {autograd:7.3f} s   differs by at most {difference:.1e}")
    ratios = [turn["autograd"] / turn["metagradient"] for turn in turns]
    print(f"  ratio {statistics.median(ratios):.1f} (min {min(ratios):.1f}, max {max(ratios):.1f})")


def _seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _quick(steps: int) -> tuple[Any, Any, Any]:
    """Return the recipe, its training recorded in memory, and the explained log-probabilities."""
    import torch

    from mechlab.analyses.attribution.record_in_memory import record_in_memory
    from mechlab.core.recipe import Recipe
    from mechlab.core.schedule import Schedule
    from mechlab.kernels.explained import Explained
    from mechlab.models.transformer1 import Transformer1
    from mechlab.tasks.modular_addition import ModularAddition

    options = {"lr": RATE, "betas": BETAS, "eps": EPSILON, "weight_decay": DECAY, "fused": True}
    recipe = Recipe(
        ModularAddition(13, tokens="expression", n_train=60, n_val=20),
        lambda spec: Transformer1(spec, width=32, hidden=64),
        partial(torch.optim.AdamW, **options),
        schedule=Schedule(),
        seed=0,
        max_steps=steps,
        steps_per_epoch=10,
        batch_size=None,
        clip=None,
        dtype=torch.float64,
    )
    trajectory = record_in_memory(recipe, steps, WORKSPACE)
    batch = trajectory.functional.placed(recipe.task.examples("val")[:EXPLAINED])
    return recipe, trajectory, Explained(trajectory.functional, batch, "target")


def _side_by_side(recipe: Any, trajectory: Any) -> None:
    """Train networks without some random examples together."""
    import torch

    from mechlab.kernels.reweighted import ReweightedUpdates, retrain

    source, rates = recipe.source(), trajectory.record.rates
    updates = ReweightedUpdates(trajectory.functional, recipe.make_optimizer, source.batch, rates, trajectory.steps)
    for _ in retrain(updates, trajectory.state(0).theta, (torch.rand(TOGETHER, trajectory.examples) > 0.05).double()):
        pass


def _metagradient(trajectory: Any, explained: Any) -> Any:
    import torch

    from mechlab.kernels.metagradients import MetagradientBackward

    trajectory.forget()
    backward = MetagradientBackward(trajectory, explained)
    for _ in backward:
        pass
    return torch.as_tensor(backward.result().derivative)[:, 0]


def _through_training(trajectory: Any, explained: Any) -> Any:
    """Differentiate the outputs (Q,) in the weights (N,) by one graph of the whole training with AdamW."""
    import torch

    functional, (beta1, beta2) = trajectory.functional, BETAS
    weights = torch.ones(trajectory.examples, dtype=functional.dtype, requires_grad=True)
    theta = trajectory.state(0).theta.clone().requires_grad_()
    first = second = torch.zeros_like(theta)
    for index in range(trajectory.steps):
        batch, (rate, decay) = trajectory.step(index).batch, trajectory.record.rates(index)
        losses = functional.losses(functional.layout.split(theta), batch)
        loss = (weights[batch.index] * losses).sum() / len(batch)
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient.square()
        positive = second > 0  # the root has no derivative at 0
        root = torch.where(positive, second, torch.ones_like(second)).sqrt() * positive
        scale = root / (1 - beta2 ** (index + 1)) ** 0.5 + EPSILON
        theta = (1 - rate * decay) * theta - rate / (1 - beta1 ** (index + 1)) * first / scale
    outputs = -functional.losses(functional.layout.split(theta), explained.batch)
    return torch.stack([torch.autograd.grad(output, weights, retain_graph=True)[0] for output in outputs])


if __name__ == "__main__":
    sys.exit("python scripts/bench.py datamodel")
