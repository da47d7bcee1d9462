"""Callbacks that make a run wait or fail where a test wants it to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from mechlab.training.module import TrainingModule


class Linger(pl.Callback):
    """Once, after step `at`: waits for the signal that asks the run to stop, if there is a file of this name.

    Args:
        at: optimiser step.
        file: in the working directory; removed when the signal has come.
    """

    def __init__(self, at: int, file: str):
        self.at, self.file = at, Path(file)

    def on_train_batch_end(self, trainer: pl.Trainer, module: TrainingModule, *_: Any) -> None:
        """Wait, for four minutes at most."""
        if module.global_step < self.at or not self.file.exists():
            return
        print("lingering", flush=True)
        for _ in range(2400):
            if module.watch.received is not None:
                self.file.unlink()
                return
            time.sleep(0.1)


class Fragile(pl.Callback):
    """Fails as long as there is a file of this name in the working directory."""

    def __init__(self, file: str):
        self.file = Path(file)

    def on_train_start(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Fail if the file is there."""
        if self.file.exists():
            raise RuntimeError(f"{self.file} is in the way")
