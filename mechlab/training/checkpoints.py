"""Checkpoints to resume from: written atomically, the last two retained, verified before use."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from mechlab.core.curriculum import Stage
from mechlab.core.errors import RunError
from mechlab.record.files import atomic
from mechlab.record.tensors import load_checkpoint
from mechlab.training.metrics_csv import MetricsCSV
from mechlab.training.module import TrainingModule
from mechlab.training.signals import Preempted
from mechlab.training.tensorboard import RunTensorBoard

MONITOR = "val/loss"
MINUTE = 60.0  # seconds


class Checkpoints(pl.Callback):
    """Writes last.ckpt every `every` steps, after a minute at the latest, at the end and on a stopping signal, and with
    it best.ckpt, the weights of the lowest validation loss so far.

    A checkpoint is written after everything that belongs to its step has been logged and recorded; it must therefore be
    the last of the callbacks.

    Args:
        folder: the run's checkpoints/ folder.
        every: optimiser steps between checkpoints; there is at least one a minute.
        clock: returns the time in seconds.
    """

    def __init__(self, folder: Path, every: int, clock: Callable[[], float] = time.monotonic):
        self.folder, self.every, self.clock = folder, every, clock
        self.best: float | None = None
        self.ended = False
        self._best_weights: dict[str, Any] | None = (
            None  # written with the next checkpoint: a write per epoch would dominate small networks
        )
        self._logged: dict[str, Any] = {}
        self._saved = self.clock()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs: the lowest validation loss, whether training is over, and what was
        logged."""
        return {"best": self.best, "ended": self.ended, "logged": self._logged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of an interrupted run."""
        self.best = state["best"]

    def on_train_batch_end(self, trainer: pl.Trainer, module: TrainingModule, *_: Any) -> None:
        """Save at a boundary inside an epoch; at its end there is validation to do first."""
        if module.ends_epoch() or trainer.should_stop:
            return
        if self._is_due(module.global_step) or module.watch.received is not None:
            self.save(trainer, module)
        self._stop_if_asked(module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Save at the end of an epoch, after validation."""
        if module.global_step == module.resumed_at:
            return
        value = trainer.callback_metrics.get(MONITOR)
        if value is not None and math.isfinite(value) and not (self.best is not None and value >= self.best):
            self.best = float(value)
            weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in module.state_dict().items()}
            self._best_weights = {"state_dict": weights, "global_step": module.global_step, MONITOR: self.best}
        step = module.global_step
        self.ended = step >= module.recipe.max_steps or trainer.should_stop
        if self.ended:
            module.recorder.finish(step, module.model, module.optimizers(use_pl_optimizer=False))
        if self.ended or self._is_due(step) or module.watch.received is not None:
            self.save(trainer, module)
        if not self.ended:
            self._stop_if_asked(module)

    def save(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Write best.ckpt if there is a better one, then last.ckpt, after flushing all records; the last.ckpt from
        before stays as previous.ckpt."""
        for logger in trainer.loggers:
            if isinstance(logger, RunTensorBoard):
                logger.sync()
                self._logged["figures"] = logger.figures
            elif isinstance(logger, MetricsCSV):
                self._logged["metrics"] = logger.sync()
            else:
                logger.save()
        module.recorder.flush()
        if self._best_weights is not None:
            with atomic(self.folder / "best.ckpt") as path:
                torch.save(self._best_weights, path)
            self._best_weights = None
        last = self.folder / "last.ckpt"
        with atomic(last) as path:
            trainer.save_checkpoint(path)
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            if last.exists():
                os.replace(last, self.folder / "previous.ckpt")
        self._saved = self.clock()

    def _is_due(self, step: int) -> bool:
        """True if a checkpoint is due after `step` optimiser steps; its time has no influence on results."""
        return step % self.every == 0 or self.clock() - self._saved > MINUTE

    def _stop_if_asked(self, module: TrainingModule) -> None:
        if module.watch.received is not None:
            raise Preempted(module.watch.received, module.global_step)


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint from which training resumes.

    Args:
        path: its file.
        step: its optimiser step.
        ended: whether training had ended there.
        params: the model's parameters and buffers.
        logged: what had been logged: `metrics`, as `MetricsCSV.sync` returned it, and the number of `figures`.
        stages: of the curriculum; None without one.
        passed: for how many block boundaries the present stage has been accurate enough.
    """

    path: Path
    step: int
    ended: bool
    params: dict[str, Tensor]
    logged: dict[str, Any] = field(default_factory=dict)
    stages: list[Stage] | None = None
    passed: int = 0


def resume_point(folder: Path) -> ResumePoint | None:
    """Return the newest checkpoint that can be read; None if there is none at all.

    A damaged last.ckpt is set aside as damaged.ckpt if there is a good one before it, which the next save would
    otherwise replace by the damaged one.

    Raises:
        RunError: there are checkpoints, and none can be read.
    """
    broken = []
    for name in ("last.ckpt", "previous.ckpt"):
        path = folder / name
        if not path.exists():
            continue
        try:
            point = _read(path)
        except RunError as error:
            broken.append(f"{name}: {error.got}")
            continue
        if broken:
            os.replace(folder / "last.ckpt", folder / "damaged.ckpt")
            print(f"warning: last.ckpt is damaged, now called damaged.ckpt; resuming from {name} at step {point.step}")
        return point
    if broken:
        fix = "restore one of them, or train the run anew with rerun=true"
        raise RunError("one of the checkpoints must be readable", got="; ".join(broken), key=str(folder), fix=fix)
    return None


def resume_groups(folders: Sequence[Path]) -> list[dict[int, ResumePoint | None]]:
    """Group runs by the newest optimiser step at which most of them have a checkpoint, for training together.

    A process killed while it saved leaves checkpoints of two successive steps, one of which all runs share. A run
    whose loss was not finite has saved nothing since, and is in a group of its own.

    Returns:
        The checkpoint of each run of a group by its place among the folders; None for a run that starts at step 0.

    Raises:
        RunError: there are checkpoints in a folder, and none can be read.
    """
    points = {i: _points_by_step(folder) for i, folder in enumerate(folders)}
    groups = []
    while points:
        counts = Counter(step for by_step in points.values() for step in by_step)
        step = max(counts, key=lambda step: (counts[step], step))
        groups.append({i: by_step[step] for i, by_step in points.items() if step in by_step})
        points = {i: by_step for i, by_step in points.items() if step not in by_step}
    return groups


def _points_by_step(folder: Path) -> dict[int, ResumePoint | None]:
    """Return the checkpoints of a run by step; step 0, without one, for a run that has saved once at most."""
    newest, previous = resume_point(folder), folder / "previous.ckpt"
    if newest is None:
        return {0: None}
    if newest.path == previous or not previous.exists():
        return {newest.step: newest} if newest.path == previous else {newest.step: newest, 0: None}
    with contextlib.suppress(RunError):
        point = _read(previous)
        return {newest.step: newest, point.step: point}
    return {newest.step: newest}


def _read(path: Path) -> ResumePoint:
    content = load_checkpoint(path)
    state = content["callbacks"]["Checkpoints"]
    params = {name.removeprefix("model."): value for name, value in content["state_dict"].items()}
    logged, curriculum = state.get("logged", {}), content.get("curriculum", {})
    stages = [(first, length) for first, length in curriculum["stages"]] if curriculum else None
    step, passed = int(content["global_step"]), curriculum.get("passed", 0)
    return ResumePoint(path, step, state["ended"], params, logged, stages, passed)
