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
        analysis: the analysis.
        every: "epoch", "recorded" (every step whose state the history stores, and the end of training), or a number of
            optimiser steps.
        figures: when to draw figures: "last" (the last time that the analysis runs) or "all" (every time).
    """

    def __init__(
        self,
        analysis: Analysis,
        every: Literal["epoch", "recorded"] | Annotated[int, at_least(1)] = "epoch",
        figures: Literal["last", "all"] = "last",
    ):
        self.analysis, self.every, self.figures = analysis, every, figures
        self.name = ""
        self.subject = ""  # network, task and seed, which figures bear
        self.folder = Path()
        self._last_step: int | None = None  # at which this process has run the analysis

    def attach(self, name: str, folder: Path) -> None:
        """Set the callback's name, under which it logs, and the run directory."""
        self.name, self.folder = name, folder

    def runs_at_end(self, steps: int) -> bool:
        """True if the callback runs at the end of a training of so many steps."""
        return isinstance(self.every, str) or steps % self.every == 0

    def on_train_start(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Run before the first step, if every="recorded" and step 0 is recorded."""
        if module.resumed_at is None and self.every == "recorded" and self._is_due(module):
            self._run(trainer, module)

    def on_train_batch_end(self, trainer: pl.Trainer, module: TrainingModule, *_: Any) -> None:
        """Run at a chosen step inside an epoch; at the end of an epoch, validation may end training."""
        if not module.ends_epoch() and self._is_due(module):
            self._run(trainer, module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Run at the end of an epoch if the callback runs each epoch, or at this step."""
        if module.global_step in (module.resumed_at, self._last_step):
            return
        at_end = self.every == "recorded" and _ends(trainer, module)  # the end is always recorded
        if self.every == "epoch" or at_end or self._is_due(module):
            self._run(trainer, module)

    def _is_due(self, module: TrainingModule) -> bool:
        """True if this very step is chosen, by its number or because it is recorded."""
        step = module.global_step
        if self.every == "recorded":
            return module.recorder.stores(step)
        return self.every != "epoch" and step % self.every == 0

    def _is_last(self, trainer: pl.Trainer, module: TrainingModule) -> bool:
        """True if the analysis will not run again in this training, as far as is known."""
        whole = isinstance(self.every, int) and module.global_step + self.every > module.recipe.max_steps
        return whole or _ends(trainer, module)

    def _run(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        self._last_step = module.global_step
        if self.every == "recorded":  # else training records the step afterwards
            optimizer = module.optimizers(use_pl_optimizer=False)
            module.recorder.record(module.global_step, module.model, optimizer, whole=True)
        if self.analysis.needs.history != "none":
            module.recorder.flush()  # each time makes a file
        recipe = module.recipe
        live = copy.deepcopy(module.model).cpu().eval()
        run = Run(self.folder, lambda: recipe, live=live)
        with tempfile.TemporaryDirectory() as folder:
            out = Artifacts(Path(folder), f"{self.subject}, step {module.global_step:,}")
            finding = self.analysis.run(run, out, recipe.streams.numpy("analysis", self.name))
            module.write({f"{self.name}/{name}": value for name, value in finding.scalars.items()})
            if self.figures == "last" and not self._is_last(trainer, module):
                return
            for logger in module.loggers:
                if isinstance(logger, RunTensorBoard):
                    for name, figure in out.with_subject(self.analysis.figures(out)).items():
                        logger.log_figure(self.name, name, figure, module.global_step)


def _ends(trainer: pl.Trainer, module: TrainingModule) -> bool:
    """True if training ends with this epoch, for any reason."""
    return module.global_step >= module.recipe.max_steps or trainer.should_stop


class StopWhenLearned(Callback):
    """Ends training once the validation accuracy (and that on the training split, if `train`) has been at least
    `accuracy` in `patience` epochs in a row."""

    def __init__(self, accuracy: float, patience: int, train: bool = False):
        self.accuracy, self.patience, self.train = accuracy, patience, train
        self.epochs = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of an interrupted run."""
        self.epochs = state["epochs"]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Count the epochs in a row that were good enough."""
        if module.global_step == module.resumed_at:
            return
        learned = float(trainer.callback_metrics["val/accuracy"]) >= self.accuracy
        if learned and self.train:
            learned = evaluate(module, "train")["train/accuracy"] >= self.accuracy
            module.train()
        self.epochs = self.epochs + 1 if learned else 0
        if self.epochs >= self.patience:
            trainer.should_stop = True
