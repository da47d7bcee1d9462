"""Progress of training: a bar on a terminal, one plain line per minute elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mechlab.training.module import TrainingModule

LINE_EVERY = 60.0  # seconds between plain lines


class ShowProgress(pl.Callback):
    """Shows how far training is, at what speed, and the last held-out accuracy and loss.

    Args:
        may_stop: whether training may end before its last step, so that the remaining time is the most that it takes.
    """

    def __init__(self, may_stop: bool = False) -> None:
        self._most = "at most " if may_stop else ""
        self._bar: Progress | None = None
        self._task: Any = None
        self._started = self._spoken = 0.0
        self._first = 0

    def on_train_start(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Begin."""
        self._started = self._spoken = time.monotonic()
        self._first = module.global_step
        if sys.stdout.isatty():
            shown = (
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*shown, TextColumn("{task.description}"))
            self._task = self._bar.add_task("", total=module.recipe.max_steps, completed=self._first)
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, module: TrainingModule, *_: Any) -> None:
        """Move on."""
        step, now = module.global_step, time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=_held_out(trainer))
        elif now - self._spoken >= LINE_EVERY:
            self._spoken = now
            speed = (step - self._first) / (now - self._started)
            left = (module.recipe.max_steps - step) / max(speed, 1e-9)
            remaining = f"{self._most}{left:.0f} s left"
            print(
                f"step {step}/{module.recipe.max_steps}, {speed:.0f} steps/s, {remaining} {_held_out(trainer)}",
                flush=True,
            )

    def on_train_end(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """End."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_exception(self, trainer: pl.Trainer, module: TrainingModule, exception: BaseException) -> None:
        """Leave the terminal in order."""
        self.on_train_end(trainer, module)


def _held_out(trainer: pl.Trainer) -> str:
    metrics = trainer.callback_metrics
    return " ".join(f"{name} {float(metrics[name]):.4g}" for name in ("val/accuracy", "val/loss") if name in metrics)
