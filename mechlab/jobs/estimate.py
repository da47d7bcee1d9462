"""The estimated time of a run, announced before it starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from mechlab.core.progress import duration
from mechlab.core.recipe import Recipe
from mechlab.core.step import update

if TYPE_CHECKING:
    from mechlab.jobs.prepare import Setup

WORTH_SAYING = 60.0  # seconds


def announced_time(setup: Setup) -> str | None:
    """Return words about the time that training and its analyses take, or None for a minute or less.

    One update is timed on a copy of the model. Analyses count the gradients that they evaluate; each is taken to last
    as long as that of an example in training. Those that do not count them are left out. All times are the most where
    training may end before its last step.
    """
    recipe = setup.recipe
    if recipe.max_steps == 0 or recipe.member is not None or recipe.architecture().solve is not None:
        return None
    batch = recipe.examples_per_step
    counts = {name: analysis.gradient_evaluations(recipe) for name, (_, analysis) in setup.analyses.items()}
    counted = {name: count for name, count in counts.items() if count}
    updates = recipe.max_steps + sum(counted.values()) / batch
    seconds = seconds_of_update(recipe, setup.device, WORTH_SAYING / updates)
    if seconds * updates < WORTH_SAYING:
        return None
    most = "at most " if setup.may_stop_early else ""
    parts = [f"training takes {most}about {duration(seconds * recipe.max_steps)}"]
    parts += [f"{name} {most}{duration(seconds * count / batch)}" for name, count in counted.items()]
    more = ", at the initial nodes of the quadrature" if counted else ""
    return ", ".join(parts) + more


def seconds_of_update(recipe: Recipe, device: str, short: float) -> float:
    """Return the time of one optimiser update on a fresh copy of the model.

    Args:
        short: an update that takes at most so many seconds is timed once; a longer one twice, since the first one
            includes what torch sets up.
    """
    with torch.random.fork_rng([torch.cuda.current_device()] if device == "cuda" else []):
        model, source = recipe.model().to(device), recipe.source(device)
        optimizer, taken = recipe.optimizer(model), float("inf")
        for _ in range(2):
            batch, rate = source.batch(0), recipe.learning_rate(optimizer, 0)
            started = time.monotonic()
            update(model, optimizer, batch, recipe.task.spec, learning_rate=rate, clip=recipe.clip)
            if device == "cuda":
                torch.cuda.synchronize()
            taken = min(taken, time.monotonic() - started)
            if taken <= short:
                break
    return taken
