"""Conversion of a training recorded by another program to mechlab's history."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mechlab.adopting.adopted_network import TrainingRecord
from mechlab.core.precision import in_precision
from mechlab.core.recipe import Recipe
from mechlab.core.state import optimizer_tensors
from mechlab.core.step import update
from mechlab.record.files import write_json
from mechlab.record.history import VERSION
from mechlab.record.shards import Shards, cut

ACCURATE = 1e-4  # largest error of a recomputed step, as a share of its length, beyond rounding
PROGRESS_INTERVAL = 30.0  # seconds between lines of progress


@dataclass
class ReplayErrors:
    """Differences between recorded steps and steps recomputed from the recorded state before them.

    Args:
        errors: (S,) distance of recomputed from recorded parameters, as a share of the length of the step.
        beyond: steps whose distance is over ACCURATE of the length plus one unit in the last place of the parameters.
        moments: largest relative distance of the recomputed from a recorded optimizer state; None if there is none.
        metrics: loss and accuracy of each step's batch before the step, by name.
    """

    errors: list[float] = field(default_factory=list)
    beyond: list[int] = field(default_factory=list)
    moments: float | None = None
    metrics: list[dict[str, float]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return a summary as plain data."""
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
        error, step = worst["error"], worst["step"]
        return f"recomputed steps differ from recorded ones by at most {error:.2g} of their length (step {step})"

    def warnings(self) -> list[str]:
        """Return a sentence for each discrepancy."""
        sentences, summary = [], self.as_dict()
        if self.beyond:
            middle, worst = summary["middle"], summary["worst"]
            sentences.append(
                f"{len(self.beyond)} of {summary['steps']} recorded steps differ from the optimizer's updates of "
                f"their states by over {ACCURATE:g} of their length: step 0 by {summary['first']:.2g} of it, step "
                f"{middle['step']} by {middle['error']:.2g}, the worst (step {worst['step']}) by {worst['error']:.2g}"
            )
        if self.moments is not None and self.moments > 1e-3:
            sentences.append(
                "the given second moments differ from those of the gradients by up to "
                f"{self.moments:.2g} of their size; they must be raw, without bias correction"
            )
        return sentences


def write_history(folder: Path, recipe: Recipe, training: TrainingRecord) -> ReplayErrors:
    """Write the full history of a training into `folder`, with one step in memory at a time, and return replay errors.

    Parts of the optimizer's state that were not recorded are computed by its updates from the gradients at the recorded
    parameters. So each step is recomputed, and compared with the recorded one.
    """
    cut(folder, 0)
    write_json(folder / "history.json", {"kind": "full", "version": VERSION})
    params, printed = training.params(0), time.monotonic()
    model, source, shards, errors = recipe.model(params), recipe.source(), Shards(folder), ReplayErrors()
    optimizer, steps = recipe.optimizer(model), len(training.rates)
    for step, (rate, decay) in enumerate(training.rates):
        shards.add(step, _record(model, optimizer, source.plan.indices(step), training, rate, decay))
        for group in optimizer.param_groups:
            group["weight_decay"] = decay
        batch = source.batch(step)
        loss, outputs = update(model, optimizer, batch, recipe.task.spec, learning_rate=rate, clip=recipe.clip)
        scores = recipe.task.score(outputs, batch)
        means = {name: float(value.mean()) for name, value in scores.items()}
        errors.metrics.append({"train/loss": float(loss), **{f"train/{name}": value for name, value in means.items()}})
        before, params = params, training.params(step + 1)
        _compare(errors, step, model, before, params)
        model.load_state_dict(params)
        _restore_known(errors, model, optimizer, training.known(step + 1))
        if time.monotonic() - printed > PROGRESS_INTERVAL:
            printed = time.monotonic()
            print(f"history: step {step + 1}/{steps}", flush=True)
    shards.add(steps, _record(model, optimizer, torch.tensor([], dtype=torch.int32), training, *training.rates[-1]))
    shards.flush()
    return errors


def _record(
    model: nn.Module, optimizer: Any, indices: Tensor, training: TrainingRecord, rate: float, decay: float
) -> dict[str, Tensor]:
    padded = torch.full((training.batch_size,), -1, dtype=torch.int32)
    padded[: len(indices)] = indices
    state = {f"params/{name}": value for name, value in model.state_dict().items()}
    state |= {f"optimizer/{name}": value for name, value in optimizer_tensors(model, optimizer).items()}
    return {**state, "indices": padded, "rates": torch.tensor([rate, decay], dtype=torch.float64)}


def _compare(
    errors: ReplayErrors, step: int, model: nn.Module, before: Mapping[str, Tensor], after: Mapping[str, Tensor]
) -> None:
    """Append the distance of the recomputed from the recorded parameters to `errors`."""
    computed = model.state_dict()
    error = _norm({name: computed[name] - after[name] for name in after})
    length = _norm({name: after[name] - before[name] for name in after})
    errors.errors.append(error / length if length else (math.inf if error else 0.0))
    rounding = torch.finfo(next(iter(after.values())).dtype).eps * _norm(after)
    if error > ACCURATE * length + rounding:
        errors.beyond.append(step)


def _restore_known(errors: ReplayErrors, model: nn.Module, optimizer: Any, known: Mapping[str, Tensor]) -> None:
    """Replace computed parts of the optimizer's state by the recorded ones."""
    if not known:
        return
    computed = optimizer_tensors(model, optimizer)
    size = _norm(known)
    error = _norm({name: computed[name] - value for name, value in known.items()})
    errors.moments = max(errors.moments or 0.0, error / size if size else (math.inf if error else 0.0))
    for name, value in known.items():
        computed[name].copy_(value)


def _norm(tensors: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum(float(in_precision(value, torch.float64).abs().square().sum()) for value in tensors.values()))
