"""The one LightningModule: any task, any model, several optimiser steps per Lightning call."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from mechlab.core.data import Source
from mechlab.core.errors import NotFinite
from mechlab.core.recipe import Recipe
from mechlab.core.step import aligned_outputs, example_losses
from mechlab.core.task import Batch, Split
from mechlab.training.data import portions
from mechlab.training.recorder import Recorder
from mechlab.training.signals import SignalWatch


class TrainingModule(pl.LightningModule):
    """Trains a recipe with manual optimisation.

    Every number that is logged is a pure function of the step, so that a resumed run writes the same record.

    Args:
        recipe: task, model, optimizer and plan.
        source: the examples, on the device that training runs on.
        recorder: keeps the history.
        watch: tells when a signal asks to stop.
        log_every: steps between logged training metrics.
    """

    def __init__(self, recipe: Recipe, source: Source, recorder: Recorder, watch: SignalWatch, log_every: int):
        super().__init__()
        self.automatic_optimization = False
        self.recipe, self.source, self.recorder, self.watch, self.log_every = recipe, source, recorder, watch, log_every
        self.model = recipe.model()
        self.resumed_at: int | None = None
        self._totals = Totals()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the recipe's optimizer."""
        return self.recipe.optimizer(self.model)

    def training_step(self, tick: tuple[int, int], _index: int) -> None:
        """Make the optimiser steps start, ..., stop - 1; stop early, at a step boundary, when a signal came."""
        start, stop = tick
        optimizer = self.optimizers(use_pl_optimizer=False)
        counter = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        losses, outputs = [], None
        for step in range(start, stop):
            if self.recorder.wants(step):
                self.recorder.record(step, self.model, optimizer)
            loss, outputs = self.recipe.update(self.model, optimizer, self.source, step)
            losses.append(loss)
            counter.increment_ready()  # Lightning's own wrapper counts steps so, and takes much longer over it
            counter.increment_completed()
            if self.watch.received is not None:
                break
        self._check_finite(torch.stack(losses), start)
        done = start + len(losses)
        if done % self.log_every == 0 or done == self.recipe.max_steps:
            scores = self.recipe.task.score(outputs, self.source.batch(done - 1))
            means = {name: value.mean() for name, value in scores.items()}
            rate = self.recipe.learning_rate(optimizer, done - 1)
            self.write(
                {"train/loss": losses[-1], **{f"train/{k}": v for k, v in means.items()}, "train/learning_rate": rate}
            )

    def write(self, metrics: dict[str, Any]) -> None:
        """Send metrics to every logger, at the current optimiser step."""
        plain = {name: float(value) for name, value in metrics.items()}
        for logger in self.loggers:
            logger.log_metrics(plain, step=self.global_step)

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Add a portion of the validation split to the running totals."""
        self._totals.add(self, batch)

    def on_validation_epoch_end(self) -> None:
        """Log the means over the validation split."""
        means = {f"val/{name}": value for name, value in self._totals.means().items()}
        self._totals = Totals()
        self.log_dict(means, logger=False)
        self.write(means)

    def _check_finite(self, losses: Tensor, start: int) -> None:
        finite = torch.isfinite(losses)
        if not finite.all():
            step = start + int((~finite).nonzero()[0])
            raise NotFinite(
                f"the training loss must be finite; it was {losses[step - start].item()} at optimiser step {step}",
                fix="lower optimizer.lr, or set trainer.gradient_clip=1.0",
            )


class Totals:
    """Sums of per-example metrics over the portions of a split."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, module: TrainingModule, batch: Batch) -> None:
        """Evaluate a portion with the module's model."""
        task = module.recipe.task
        outputs = aligned_outputs(module.model, batch, task.spec)
        values = {"loss": example_losses(outputs, batch, task.spec), **task.score(outputs, batch)}
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0) + value.sum()
        self._count += len(batch)

    def means(self) -> dict[str, float]:
        """Return each metric's mean over all examples."""
        return {name: float(total / self._count) for name, total in self._sums.items()}


@torch.no_grad()
def evaluate(module: TrainingModule, split: Split) -> dict[str, float]:
    """Return the metrics of a held-out split, e.g. `test/accuracy`, as means over its examples."""
    totals = Totals()
    module.eval()
    for batch in portions(module.source.evaluation(split)):
        totals.add(module, batch)
    return {f"{split}/{name}": value for name, value in totals.means().items()}
