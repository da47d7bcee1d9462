"""The one LightningModule: any task, any model, several optimiser steps per Lightning call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from mechlab.core.curriculum import length_at
from mechlab.core.data import Source
from mechlab.core.errors import NotFinite
from mechlab.core.evaluation import Means, example_scores
from mechlab.core.evaluation import evaluate as evaluate_batch
from mechlab.core.finite import SLOWER, check_loss
from mechlab.core.recipe import Recipe
from mechlab.core.task import Batch, Split
from mechlab.record.recorder import Recorder
from mechlab.record.stages import write_stages
from mechlab.training.promotion import Promotion
from mechlab.training.signals import SignalWatch


class TrainingModule(pl.LightningModule):
    """Trains a recipe with manual optimisation.

    Every number that is logged is a pure function of the step, so that a resumed run writes the same record.

    Args:
        recipe: task, model, optimizer and plan.
        source: the examples, on the device that training runs on.
        recorder: writes the history.
        watch: receives the stopping signals.
        log_every: steps between logged training metrics.
        weights: parameters and buffers from which an interrupted training resumes; None to begin.
    """

    def __init__(
        self,
        recipe: Recipe,
        source: Source,
        recorder: Recorder,
        watch: SignalWatch,
        log_every: int,
        weights: Mapping[str, Tensor] | None = None,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.recipe, self.source, self.recorder, self.watch, self.log_every = recipe, source, recorder, watch, log_every
        self.model = recipe.model(weights)
        self.promotion = Promotion(recipe, source)
        self.resumed_at: int | None = None
        self._validation = Means()  # over the portions of the validation split so far

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the recipe's optimizer."""
        return self.recipe.optimizer(self.model)

    def on_train_epoch_start(self) -> None:
        """Log the metrics of a training without optimiser steps, which has no other moment for it."""
        if self.recipe.max_steps == 0:
            metrics = {**evaluate(self, "train"), **evaluate(self, "val")}
            self.train()
            self.log_dict(metrics, logger=False)
            self.write(metrics)

    def training_step(self, tick: tuple[int, int], _index: int) -> None:
        """Make the optimiser steps from tick[0] up to, not including, tick[1]; end earlier on a stopping signal."""
        start, stop = tick
        optimizer = self.optimizers(use_pl_optimizer=False)
        counter = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        losses, outputs = [], None
        self.begin_step(start, optimizer)
        for done, loss, outputs in self.recipe.steps(  # noqa: B007 (used below)
            self.model, optimizer, self.source, start=start, stop=stop
        ):
            losses.append(loss)
            counter.increment_ready()  # Lightning's own wrapper counts steps so, and takes much longer over it
            counter.increment_completed()
            if self.watch.received is not None:
                break
            if done < stop:
                self.begin_step(done, optimizer)
        self.log_steps(start, torch.stack(losses), outputs, optimizer)

    def log_steps(self, start: int, losses: Tensor, outputs: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Check the losses (S,) of the optimiser steps from `start` on, and log the training metrics of the last of
        them, with its outputs (B, ...), if they are due.

        Raises:
            NotFinite: a loss is not finite.
        """
        self._check_finite(losses, start)
        done = start + len(losses)
        if done % self.log_every == 0 or done == self.recipe.max_steps:
            scores = self.source.task_at(done - 1).score(outputs, self.source.batch(done - 1))
            means = {f"train/{name}": value.mean() for name, value in scores.items()}
            rate = self.recipe.learning_rate(optimizer, done - 1)
            stage = {"train/length": length_at(self.source.stages, done - 1)} if self.source.stages else {}
            self.write({"train/loss": losses[-1], **means, "train/learning_rate": rate, **stage})

    def begin_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Record the state before an optimiser step, and begin the stage of a curriculum that begins there."""
        if self.recorder.wants(step):
            self.recorder.record(step, self.model, optimizer)
        if (stage := self.promotion.decide(self.model, step)) is not None:
            self.source.stages.append(stage)
            write_stages(self.recorder.folder, self.source.stages)
            print(f"curriculum: length {stage[1]} from step {step}", flush=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the stages of a curriculum, and for how long the present one has been accurate enough."""
        if self.source.stages:
            stages = [list(stage) for stage in self.source.stages]
            checkpoint["curriculum"] = {"stages": stages, "passed": self.promotion.passed}

    def ends_epoch(self) -> bool:
        """True if validation follows at this step: an epoch or training ends here."""
        step = self.global_step
        return step % self.recipe.steps_per_epoch == 0 or step >= self.recipe.max_steps

    def write(self, metrics: dict[str, Any]) -> None:
        """Send metrics to every logger, at the current optimiser step."""
        plain = {name: float(value) for name, value in metrics.items()}
        for logger in self.loggers:
            logger.log_metrics(plain, step=self.global_step)

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Add the metrics of a portion of the validation split."""
        self._validation.add(example_scores(self.model, self.recipe.task, batch))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        metrics = {f"val/{name}": value for name, value in self._validation.means().items()}
        self._validation = Means()
        self.check_loss(metrics, "val", self.global_step)
        self.log_dict(metrics, logger=False)
        self.write(metrics)

    def check_loss(self, metrics: dict[str, float], split: Split, step: int) -> None:
        """Raise NotFinite unless the loss among the metrics of a split is finite."""
        check_loss(metrics[f"{split}/loss"], split, step, self.model, lambda: self.source.evaluation(split))

    def _check_finite(self, losses: Tensor, start: int) -> None:
        finite = torch.isfinite(losses)
        if not finite.all():
            step = start + int((~finite).nonzero()[0])
            raise NotFinite(
                f"the training loss must be finite; it was {losses[step - start].item()} at optimiser step {step}",
                fix=SLOWER,
            )


def evaluate(module: TrainingModule, split: Split) -> dict[str, float]:
    """Return the metrics of a held-out split, e.g. `test/accuracy`: means over its examples."""
    module.eval()
    means = evaluate_batch(module.model, module.recipe.task, module.source.evaluation(split))
    return {f"{split}/{name}": value for name, value in means.items()}
