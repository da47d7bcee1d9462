"""Fit a recipe in a run directory, from the start or from where it was interrupted."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment

from mechlab.core.data import Source
from mechlab.core.finite import check_parameters
from mechlab.core.recipe import Recipe
from mechlab.record.files import remove_temporaries
from mechlab.record.recorder import Recorder
from mechlab.record.stages import write_stages
from mechlab.record.tensors import save_tensors
from mechlab.training.callbacks import AnalysisCallback, StopWhenLearned
from mechlab.training.checkpoints import Checkpoints, resume_point
from mechlab.training.data import RunData
from mechlab.training.mend import mend_history, open_logs
from mechlab.training.metrics_csv import MetricsCSV
from mechlab.training.module import TrainingModule, evaluate
from mechlab.training.progress import ShowProgress
from mechlab.training.signals import SignalWatch
from mechlab.training.tensorboard import RunTensorBoard


@dataclass(frozen=True)
class FitSettings:
    """The trainer's settings that are not part of the recipe."""

    accelerator: str = "cpu"
    max_time: str | None = None
    chunk: int = 50
    log_every: int = 50
    checkpoint_every: int = 2000
    stop_at: float | None = None
    stop_patience: int = 3
    stop_on: str = "val"


@dataclass(frozen=True)
class Fitted:
    """The outcome of a fit.

    Args:
        metrics: final metrics by name.
        steps: optimiser steps done.
        seconds: how long this process trained.
        tensorboard: the run's TensorBoard events.
        loggers: all loggers, that one among them.
    """

    metrics: dict[str, float]
    steps: int
    seconds: float
    tensorboard: RunTensorBoard
    loggers: tuple[Logger, ...]

    def log(self, analysis: str, scalars: Mapping[str, float | None], figures: Mapping[str, Figure]) -> None:
        """Log the finding of an analysis at the end of training; scalars that are None were not finite."""
        numbers = {f"{analysis}/{name}": value for name, value in scalars.items() if value is not None}
        for logger in self.loggers:
            logger.log_metrics(numbers, self.steps)
            logger.save()
        for name, figure in figures.items():
            self.tensorboard.log_figure(analysis, name, figure, self.steps)

    def log_hyperparameters(self, hyperparameters: Mapping[str, Any]) -> None:
        """Log what the HParams page shows."""
        self.tensorboard.log_final(hyperparameters)


def fit(
    folder: Path,
    recipe: Recipe,
    recorder: Recorder,
    settings: FitSettings,
    callbacks: Mapping[str, Callback],
    loggers: Sequence[Logger] = (),
) -> Fitted:
    """Train, evaluate, and leave weights, checkpoints, metrics and history in the run directory.

    Args:
        folder: the run directory; training resumes from a checkpoint in it.
        recipe: what to train.
        recorder: writes the history into the same directory.
        settings: how to train.
        callbacks: analyses and Lightning callbacks, by name.
        loggers: Lightning loggers beyond TensorBoard and metrics.csv.

    Raises:
        Preempted: a stopping signal arrived; a checkpoint was written.
        NotFinite: a loss was not finite, or the parameters at the end.
    """
    quieten()
    remove_temporaries(folder)
    device = "cuda" if settings.accelerator == "gpu" else "cpu"
    checkpoint = resume_point(folder / "checkpoints")
    step, weights, stages = 0, None, None
    if checkpoint:
        step, weights, stages = checkpoint.step, checkpoint.params, checkpoint.stages
        mend_history(recorder, step, checkpoint.ended, device, torch.get_num_threads(), weights, stages)
    watch, source = SignalWatch(), recipe.source(device, stages)
    module = TrainingModule(recipe, source, recorder, watch, settings.log_every, weights)
    table, tensorboard = open_logs(folder, checkpoint)
    seconds = 0.0
    if checkpoint is None or not checkpoint.ended:
        if checkpoint:
            print(f"resuming from step {step} of {recipe.max_steps}", flush=True)
            module.resumed_at, module.promotion.passed = step, checkpoint.passed
        recorder.begin(step, device)
        if source.stages:
            write_stages(recorder.folder, source.stages)
        analysing = analysis_callbacks(callbacks, folder)
        data = run_data(recipe, source, settings, analysing.values(), recorder)
        checkpoints = Checkpoints(folder / "checkpoints", settings.checkpoint_every)
        stop = []
        if settings.stop_at is not None:
            stop = [StopWhenLearned(settings.stop_at, settings.stop_patience, train=settings.stop_on == "both")]
        others = [callback for name, callback in callbacks.items() if name not in analysing]
        # what may end training comes before analyses, which draw at the end
        hooks = [_Signals(watch), ShowProgress(bool(stop)), *others, *stop, *analysing.values(), checkpoints]
        trainer = _trainer(recipe, settings, hooks, [tensorboard, table, *loggers])
        started = time.monotonic()
        trainer.fit(module, data, ckpt_path=checkpoint.path if checkpoint else None, weights_only=True)
        step, seconds = trainer.global_step, time.monotonic() - started
        if step < recipe.max_steps:
            learned = bool(stop) and stop[0].epochs >= stop[0].patience
            print(f"training stops at step {step} of {recipe.max_steps}: {_reason(settings, learned)}", flush=True)
    return finish_fit(folder, module.to(device), table, (tensorboard, table, *loggers), step, seconds)


def finish_fit(
    folder: Path,
    module: TrainingModule,
    table: MetricsCSV,
    loggers: tuple[Logger, ...],
    step: int,
    seconds: float,
) -> Fitted:
    """Evaluate a trained network, save its weights, and log the metrics of the test split.

    Args:
        folder: the run directory.
        module: the network, on the device of its training.
        table: what training has logged.
        loggers: all loggers, TensorBoard first.
        step: optimiser steps done.
        seconds: how long this process trained.

    Raises:
        NotFinite: a parameter or a held-out loss is not finite.
    """
    check_parameters(module.model, step)
    metrics = table.latest("train/") | evaluate(module, "val") | evaluate(module, "test")
    for split in ("val", "test"):
        module.check_loss(metrics, split, step)
    save_tensors(folder / "checkpoints" / "weights.safetensors", module.model.state_dict(), {"step": step})
    if module.recipe.saved is not None:
        module.recipe.saved.remove()
    fitted = Fitted(metrics, step, seconds, loggers[0], loggers)
    final = {name: value for name, value in metrics.items() if name.startswith("test/")}
    for logger in fitted.loggers:
        logger.log_metrics(final, step)
        logger.save()
    return fitted


def analysis_callbacks(callbacks: Mapping[str, Callback], folder: Path) -> dict[str, AnalysisCallback]:
    """Return the callbacks that run an analysis, after setting the name and the run directory of each."""
    analysing = {name: callback for name, callback in callbacks.items() if isinstance(callback, AnalysisCallback)}
    for name, callback in analysing.items():
        callback.attach(name, folder)
    return analysing


def run_data(
    recipe: Recipe, source: Source, settings: FitSettings, analysing: Collection[AnalysisCallback], recorder: Recorder
) -> RunData:
    """Return the ranges of steps to train on, cut where logging, checkpoints and analyses are due."""
    intervals = {settings.chunk, settings.log_every, settings.checkpoint_every}
    intervals |= {callback.every for callback in analysing if isinstance(callback.every, int)}
    recorded = any(callback.every == "recorded" for callback in analysing)
    return RunData(recipe, source, intervals, recorder.stored_steps() if recorded else ())


def _reason(settings: FitSettings, learned: bool) -> str:
    """Return words about why training ended before its last step."""
    if learned:
        splits = "training and validation" if settings.stop_on == "both" else "validation"
        patience = settings.stop_patience
        epochs = "an epoch" if patience == 1 else f"{patience} epochs in a row"
        return f"{splits} accuracy was at least {settings.stop_at:g} in {epochs} (trainer.stop_at)"
    return (
        "a callback ended it" if settings.max_time is None else f"trainer.max_time={settings.max_time}, or a callback"
    )


def _trainer(recipe: Recipe, settings: FitSettings, callbacks: list[Callback], loggers: list[Logger]) -> pl.Trainer:
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=1,
        deterministic=settings.accelerator == "gpu",  # the CPU's kernels are, and torch's switch slows them down
        max_steps=recipe.max_steps or -1,
        max_epochs=-1 if recipe.max_steps else 1,  # Lightning calls no hook at all for max_steps=0
        max_time=settings.max_time,
        callbacks=callbacks,
        logger=loggers,
        plugins=[LightningEnvironment()],  # without it, Lightning takes over SLURM's signals and ends with status 0
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def quieten() -> None:
    """Silence Lightning's remarks on choices that are made here on purpose."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for text in ("many workers", "callbacks used to create the checkpoint", "treespec, LeafSpec", "`srun` command"):
        warnings.filterwarnings("ignore", f".*{text}")


class _Signals(Callback):
    """Replaces Lightning's own signal handlers, which are installed after on_fit_start: with them a SIGTERM would end
    the process with status 0. Lightning puts back the handlers from before when the fit ends."""

    def __init__(self, watch: SignalWatch):
        self.watch = watch

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.watch.install()
