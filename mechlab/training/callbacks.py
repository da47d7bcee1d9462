"""Callbacks: an analysis while training, and stopping once the network has learned its task."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import pytorch_lightning as pl
from pytorch_lightning import Callback

from mechlab.core.analysis import Analysis
from mechlab.core.constraints import at_least
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import Run
from mechlab.training.module import TrainingModule, evaluate
from mechlab.training.tensorboard import RunTensorBoard


class AnalysisCallback(Callback):
    """Runs an analysis while training: scalars go to every logger, figures to TensorBoard.

    Args:
        analysis: the question.
        every: "epoch", or a number of optimiser steps.
    """

    def __init__(self, analysis: Analysis, every: Literal["epoch"] | Annotated[int, at_least(1)] = "epoch"):
        self.analysis, self.every = analysis, every
        self.name = ""
        self.folder = Path()

    def attach(self, name: str, folder: Path) -> None:
        """Tell the callback its name, under which it logs, and the run directory."""
        self.name, self.folder = name, folder

    def asks_at_end(self, steps: int) -> bool:
        """Tell whether the callback asks at the end of a training of so many steps."""
        return self.every == "epoch" or steps % self.every == 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: TrainingModule, *_: Any) -> None:
        """Ask every so many steps."""
        if self.every != "epoch" and module.global_step % self.every == 0:
            self._ask(module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Ask at the end of an epoch."""
        if self.every == "epoch" and module.global_step != module.resumed_at:
            self._ask(module)

    def _ask(self, module: TrainingModule) -> None:
        module.recorder.flush()  # the analysis may read the record
        recipe = module.recipe
        live = copy.deepcopy(module.model).cpu().eval()
        run = Run(self.folder, lambda: recipe, live=live)
        with tempfile.TemporaryDirectory() as folder:
            out = Artifacts(Path(folder))
            finding = self.analysis.run(run, out, recipe.streams.numpy("analysis", self.name))
            module.write({f"{self.name}/{name}": value for name, value in finding.scalars.items()})
            for logger in module.loggers:
                if isinstance(logger, RunTensorBoard):
                    for name, figure in self.analysis.figures(out).items():
                        logger.log_figure(self.name, name, figure, module.global_step)


class StopWhenLearned(Callback):
    """Ends training once the validation accuracy (and that on the training split, if `train`) has been at least
    `accuracy` in `patience` epochs in a row."""

    def __init__(self, accuracy: float, patience: int, train: bool = False):
        self.accuracy, self.patience, self.train = accuracy, patience, train
        self.epochs = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what an interrupted run knew."""
        self.epochs = state["epochs"]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Count the epochs in a row that were good enough."""
        if module.global_step == module.resumed_at:
            return
        reached = float(trainer.callback_metrics["val/accuracy"]) >= self.accuracy
        if reached and self.train:
            reached = evaluate(module, "train")["train/accuracy"] >= self.accuracy
            module.train()
        self.epochs = self.epochs + 1 if reached else 0
        if self.epochs >= self.patience:
            trainer.should_stop = True
