"""The history of a training that was recorded elsewhere, written as training itself writes it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mechlab.adopting.adopted import Training
from mechlab.core.precision import in_precision
from mechlab.core.recipe import Recipe
from mechlab.core.state import optimizer_tensors
from mechlab.core.step import update
from mechlab.record.files import write_json
from mechlab.record.history import VERSION
from mechlab.record.shards import Shards, cut

ACCURATE = 1e-4  # of the length of a recorded step, to which computing it again should lead, but for rounding
SPEAK_EVERY = 30.0  # seconds between lines of progress


@dataclass
class Replayed:
    """What came of computing each recorded step again from the recorded state before it.

    Args:
        errors: (S,) distance of the computed from the recorded parameters, as a share of the length of the step.
        beyond: steps whose distance is over ACCURATE of the length and one unit in the last place of the parameters.
        moments: largest distance of the computed from a given optimizer state, as a share of the latter; None if none
            is given.
        metrics: loss and accuracy of each step's batch before the step, by name.
    """

    errors: list[float] = field(default_factory=list)
    beyond: list[int] = field(default_factory=list)
    moments: float | None = None
    metrics: list[dict[str, float]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for the record."""
        worst = max(range(len(self.errors)), key=self.errors.__getitem__)
        middle = len(self.errors) // 2
        return {
            "steps": len(self.errors),
            "first": self.errors[0],
            "middle": {"step": middle, "error": self.errors[middle]},
            "worst": {"step": worst, "error": self.errors[worst]},
            "median": sorted(self.errors)[middle],
            "beyond": len(self.beyond),
            "moments": self.moments,
        }

    def __str__(self) -> str:
        worst = self.as_dict()["worst"]
        return f"computed again, each step is as recorded to {worst['error']:.2g} of its length (step {worst['step']})"

    def warnings(self) -> list[str]:
        """Return a sentence for each thing that does not fit."""
        found, about = [], self.as_dict()
        if self.beyond:
            middle, worst = about["middle"], about["worst"]
            found.append(
                f"{len(self.beyond)} of {about['steps']} recorded steps are not what the optimizer makes of the state "
                f"before them, to {ACCURATE:g} of their length: step 0 differs by {about['first']:.2g} of it, step "
                f"{middle['step']} by {middle['error']:.2g}, the worst (step {worst['step']}) by {worst['error']:.2g}"
            )
        if self.moments is not None and self.moments > 1e-3:
            found.append(
                "the given second moments differ from those of the gradients by up to "
                f"{self.moments:.2g} of their size; they must be raw, without bias correction"
            )
        return found


def write_history(folder: Path, recipe: Recipe, training: Training) -> Replayed:
    """Write the complete record of a training into `folder`, one step in memory at a time.

    The optimizer's state is what its own updates make of the gradients at the recorded parameters, where it is not
    given. Each step is thereby computed again, and compared with the recorded one.
    """
    cut(folder, 0)
    write_json(folder / "history.json", {"kind": "full", "version": VERSION})
    params, spoken = training.params(0), time.monotonic()
    model, source, shards, found = recipe.model(params), recipe.source(), Shards(folder), Replayed()
    optimizer, steps = recipe.optimizer(model), len(training.rates)
    for step, (rate, decay) in enumerate(training.rates):
        shards.add(step, _record(model, optimizer, source.plan.indices(step), training, rate, decay))
        for group in optimizer.param_groups:
            group["weight_decay"] = decay
        batch = source.batch(step)
        loss, outputs = update(model, optimizer, batch, recipe.task.spec, learning_rate=rate, clip=recipe.clip)
        scores = recipe.task.score(outputs, batch)
        means = {name: float(value.mean()) for name, value in scores.items()}
        found.metrics.append({"train/loss": float(loss), **{f"train/{name}": value for name, value in means.items()}})
        before, params = params, training.params(step + 1)
        _compare(found, step, model, before, params)
        model.load_state_dict(params)
        _put_known(found, model, optimizer, training.known(step + 1))
        if time.monotonic() - spoken > SPEAK_EVERY:
            spoken = time.monotonic()
            print(f"history: step {step + 1}/{steps}", flush=True)
    shards.add(steps, _record(model, optimizer, torch.tensor([], dtype=torch.int32), training, *training.rates[-1]))
    shards.flush()
    return found


def _record(
    model: nn.Module, optimizer: Any, indices: Tensor, training: Training, rate: float, decay: float
) -> dict[str, Tensor]:
    padded = torch.full((training.batch_size,), -1, dtype=torch.int32)
    padded[: len(indices)] = indices
    state = {f"params/{name}": value for name, value in model.state_dict().items()}
    state |= {f"optimizer/{name}": value for name, value in optimizer_tensors(model, optimizer).items()}
    return {**state, "indices": padded, "rates": torch.tensor([rate, decay], dtype=torch.float64)}


def _compare(
    found: Replayed, step: int, model: nn.Module, before: Mapping[str, Tensor], after: Mapping[str, Tensor]
) -> None:
    """Note how far the computed parameters are from the recorded ones."""
    computed = model.state_dict()
    error = _norm({name: computed[name] - after[name] for name in after})
    length = _norm({name: after[name] - before[name] for name in after})
    found.errors.append(error / length if length else (math.inf if error else 0.0))
    rounding = torch.finfo(next(iter(after.values())).dtype).eps * _norm(after)
    if error > ACCURATE * length + rounding:
        found.beyond.append(step)


def _put_known(found: Replayed, model: nn.Module, optimizer: Any, known: Mapping[str, Tensor]) -> None:
    """Put the given parts of the optimizer's state in place of the computed ones."""
    if not known:
        return
    computed = optimizer_tensors(model, optimizer)
    size = _norm(known)
    error = _norm({name: computed[name] - value for name, value in known.items()})
    found.moments = max(found.moments or 0.0, error / size if size else (math.inf if error else 0.0))
    for name, value in known.items():
        computed[name].copy_(value)


def _norm(tensors: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum(float(in_precision(value, torch.float64).abs().square().sum()) for value in tensors.values()))
