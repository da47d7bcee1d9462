"""Replay of training from a recorded step, compared with the record bit by bit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mechlab.core.errors import NotRecorded
from mechlab.core.recipe import Recipe
from mechlab.core.state import digest, optimizer_tensors
from mechlab.record.history import History
from mechlab.record.run import Run

HASH = "hash of the parameters"


@dataclass(frozen=True)
class ReplayResult:
    """The result of comparing a replay with the record of training.

    Args:
        start: the recorded step that training began from.
        compared: the recorded steps that were compared, in order; none where there was nothing to compute.
        differs_at: the first of them at which some tensor differs; None when all are bit-equal.
        tensor: the first tensor that differs there, or HASH.
        difference: its largest absolute difference.
    """

    start: int
    compared: list[int]
    differs_at: int | None = None
    tensor: str | None = None
    difference: float = 0.0


def verify(run: Run, start: int | None = None, steps: int = 20, device: str = "cpu") -> ReplayResult:
    """Train `steps` optimiser steps again from a recorded step, and compare parameters, optimizer state, batch and
    rates with every recorded step on the way; of a step of which only the hash is stored (history=replay), the
    parameters, batch and rates. A record of weights only, or of rounded ones, is compared as far as it goes, from the
    beginning of training. Of a training of 0 steps, the parameters that it starts from are computed again and compared,
    unless they were taken from another run.

    Args:
        run: the run; its record needs history=sparse, replay or full.
        start: a step whose state is stored; the first by default.
        steps: how far to train; as far as the next recorded step if that lies beyond.
        device: where the run was trained.

    Raises:
        NotRecorded: the record does not hold two steps from `start` on, or not the state to start from.
    """
    history, recipe = run.history, run.recipe
    recorded = history.stored
    if recipe.max_steps == 0 and recorded and not start:
        return _verify_start(run)
    start = recorded[0] if start is None and recorded else start
    later = [step for step in history.steps if start is not None and step > start]
    if start not in recorded or not later:
        got = f"start={start}, recorded are {recorded[:20]}" if recorded else "no recorded steps"
        raise NotRecorded(
            "a recorded step and a later one are needed", got=got, fix="train with history=sparse, replay or full"
        )
    stop = max(start + steps, later[0])
    model = _starting_model(history, recipe, start).to(device)
    optimizer = recipe.optimizer(model)
    if history.has_optimizer and history.is_exact:
        history.restore(start, model, optimizer)
    source = recipe.source(device)
    compared = []
    for step, *_ in recipe.steps(model, optimizer, source, start=start, stop=min(stop, later[-1])):
        if step in later:
            compared.append(step)
            expected = _recorded(history, step)
            computed = {
                **history.rounded(model.state_dict()),
                **optimizer_tensors(model, optimizer),
                "indices": source.plan.indices(step),
                "rates": torch.tensor(recipe.rates(optimizer, step), dtype=torch.float64),
                HASH: torch.tensor(digest(model.state_dict())),
            }
            for name, value in expected.items():
                if (difference := _difference(computed[name].cpu(), value)) is not None:
                    return ReplayResult(start, compared, step, name, difference)
    return ReplayResult(start, compared)


def _starting_model(history: History, recipe: Recipe, start: int) -> nn.Module:
    """Return the model before step `start`: with the recorded weights or, where these are rounded, made anew."""
    if start > 0:
        history.check_exact(f"training again from step {start} needs its whole state, as it was trained")
    recorded = history.params(start)
    if history.is_exact:
        return recipe.model(recorded)
    model = recipe.model()
    if any(not torch.equal(value, recorded[name]) for name, value in history.rounded(model.state_dict()).items()):
        must = "training again needs initial weights that are recorded exactly, or follow from the seed"
        history.check_exact(must, optimizer=False)
    return model


def _verify_start(run: Run) -> ReplayResult:
    if run.config.get("init_from") is not None:
        return ReplayResult(0, [])
    computed = run.history.rounded(run.recipe.model().state_dict())
    for name, value in run.history.params(0).items():
        if (difference := _difference(computed[name], value)) is not None:
            return ReplayResult(0, [0], 0, name, difference)
    return ReplayResult(0, [0])


def _recorded(history: History, step: int) -> dict[str, Tensor]:
    """Return the recorded tensors of a step; nothing is computed."""
    tensors = {"rates": torch.tensor(history.rates(step), dtype=torch.float64)}
    if step in history.stored:
        tensors |= history.params(step)
        if history.has_optimizer:
            tensors |= {**history.optimizer(step), "indices": history.batch_indices(step)}
    if (hashed := history.digest(step)) is not None:
        tensors[HASH] = torch.tensor(hashed)
    return tensors


def _difference(computed: Tensor, expected: Tensor) -> float | None:
    """Return the largest absolute difference, infinite between shapes; None if the tensors are bit-equal."""
    if torch.equal(computed, expected):
        return None
    return (computed - expected).abs().max().item() if computed.shape == expected.shape else math.inf


def first_difference(first: Run, second: Run) -> tuple[int | None, int]:
    """Return the first step, stored by both runs, at which their parameters differ (None if they never do), and the
    number of steps that both stored. Where one run stored rounded parameters, those of the other are rounded too."""
    ours, theirs = first.history, second.history
    common = sorted(set(ours.stored) & set(theirs.stored))
    for step in common:
        a, b = theirs.rounded(ours.params(step)), ours.rounded(theirs.params(step))
        if a.keys() != b.keys() or any(not torch.equal(a[name], b[name]) for name in a):
            return step, len(common)
    return None, len(common)
