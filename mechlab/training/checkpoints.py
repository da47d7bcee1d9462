"""Checkpoints to resume from: whole or not there, the last two kept, and checked before they are used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from mechlab.core.errors import RunError
from mechlab.core.files import atomic
from mechlab.core.tensors import load_checkpoint
from mechlab.training.module import TrainingModule
from mechlab.training.signals import Preempted

MONITOR = "val/loss"


class Checkpoints(pl.Callback):
    """Writes last.ckpt every so many steps, at the end, and when a signal asks to stop; best.ckpt at the lowest
    validation loss.

    A checkpoint is written after everything that belongs to its step has been logged and recorded; it must therefore be
    the last of the callbacks.

    Args:
        folder: the run's checkpoints/ folder.
        every: optimiser steps between checkpoints.
    """

    def __init__(self, folder: Path, every: int):
        self.folder, self.every = folder, every
        self.best: float | None = None
        self.ended = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know: the lowest validation loss, and whether training is over."""
        return {"best": self.best, "ended": self.ended}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what an interrupted run knew."""
        self.best = state["best"]

    def on_train_batch_end(self, trainer: pl.Trainer, module: TrainingModule, *_: Any) -> None:
        """Save at a boundary inside an epoch; at its end there is validation to do first."""
        step, recipe = module.global_step, module.recipe
        if step % recipe.steps_per_epoch == 0 or step >= recipe.max_steps or trainer.should_stop:
            return
        if step % self.every == 0 or module.watch.received is not None:
            self.save(trainer, module)
        self._stop_if_asked(module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Save at the end of an epoch, after validation."""
        if module.global_step == module.resumed_at:
            return
        value = trainer.callback_metrics.get(MONITOR)
        if value is not None and (self.best is None or value < self.best):
            self.best = float(value)
            with atomic(self.folder / "best.ckpt") as path:
                trainer.save_checkpoint(path)
        step = module.global_step
        self.ended = step >= module.recipe.max_steps or trainer.should_stop
        if self.ended:
            module.recorder.finish(step, module.model, module.optimizers().optimizer)
        if self.ended or step % self.every == 0 or module.watch.received is not None:
            self.save(trainer, module)
        if not self.ended:
            self._stop_if_asked(module)

    def save(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Write last.ckpt, after flushing all records, and keep the one before as previous.ckpt."""
        for logger in trainer.loggers:
            logger.save()
        module.recorder.flush()
        last = self.folder / "last.ckpt"
        with atomic(last) as path:
            trainer.save_checkpoint(path)
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            if last.exists():
                os.replace(last, self.folder / "previous.ckpt")

    def _stop_if_asked(self, module: TrainingModule) -> None:
        if module.watch.received is not None:
            raise Preempted(module.watch.received, module.global_step)


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint to go on from: its file, its optimiser step, and whether training had ended there."""

    path: Path
    step: int
    ended: bool


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
            print(f"warning: last.ckpt is damaged, now called damaged.ckpt; going on from {name} at step {point.step}")
        return point
    if broken:
        fix = f"restore one of them, or delete {folder} to train from the start"
        raise RunError("one of the checkpoints must be readable", got="; ".join(broken), key=str(folder), fix=fix)
    return None


def _read(path: Path) -> ResumePoint:
    content = load_checkpoint(path)
    return ResumePoint(path, int(content["global_step"]), content["callbacks"]["Checkpoints"]["ended"])
