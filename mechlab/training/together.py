"""Fit runs that differ in their seeds alone as one batched model; each leaves an ordinary run directory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from torch import Tensor

from mechlab.core.ensemble import Ensemble, Member
from mechlab.core.errors import NotFinite
from mechlab.core.recipe import Recipe
from mechlab.record.files import remove_temporaries
from mechlab.record.recorder import Recorder
from mechlab.record.tensors import load_checkpoint
from mechlab.training.checkpoints import Checkpoints, ResumePoint, resume_groups, resume_point
from mechlab.training.data import Ticks
from mechlab.training.fit import FitSettings, Fitted, analysis_callbacks, finish_fit, quieten, run_data
from mechlab.training.mend import mend_history, open_logs
from mechlab.training.module import TrainingModule, evaluate
from mechlab.training.progress import ShowProgress
from mechlab.training.signals import Preempted, SignalWatch


@dataclass(frozen=True)
class RunToFit:
    """The arguments of `fit` for one run."""

    folder: Path
    recipe: Recipe
    recorder: Recorder
    callbacks: Mapping[str, Callback]
    loggers: Sequence[Logger] = ()


@dataclass
class MemberTrainer:
    """The attributes of a Lightning trainer that the module and callbacks of one run read."""

    optimizers: list[torch.optim.Optimizer]
    loggers: list[Logger]
    module: TrainingModule
    checkpoints: Checkpoints
    global_step: int = 0
    callback_metrics: dict[str, float] = field(default_factory=dict)
    should_stop: bool = False

    def save_checkpoint(self, path: Path) -> None:
        """Write a checkpoint under the names that Lightning gives its parts."""
        content = {
            "global_step": self.global_step,
            "pytorch-lightning_version": pl.__version__,
            "state_dict": _cloned(self.module.state_dict()),
            "optimizer_states": [_cloned(optimizer.state_dict()) for optimizer in self.optimizers],
            "callbacks": {self.checkpoints.state_key: self.checkpoints.state_dict()},
        }
        torch.save(content, path)


class FittedMember:
    """One run on its way: its module, optimizer, callbacks and logs.

    Args:
        run: the run.
        settings: how to train.
        point: the checkpoint to go on from; None to begin.
        watch: receives the stopping signals.
        now: returns the time by which checkpoints are due, the same for all runs.
    """

    def __init__(self, run: RunToFit, settings: FitSettings, point: ResumePoint | None, watch: SignalWatch, now: Any):
        self.run, self.error, self.preempted = run, None, None
        step, params = (point.step, point.params) if point else (0, None)
        self.device = "cuda" if settings.accelerator == "gpu" else "cpu"
        recipe, recorder = run.recipe, run.recorder
        if point:
            mend_history(recorder, step, point.ended, self.device, torch.get_num_threads(), params)
        self.source = recipe.source(self.device)
        self.module = TrainingModule(recipe, self.source, recorder, watch, settings.log_every, params).to(self.device)
        self.optimizer = recipe.optimizer(self.module.model)
        self.table, self.tensorboard = open_logs(run.folder, point)
        self.checkpoints = Checkpoints(run.folder / "checkpoints", settings.checkpoint_every, now)
        loggers = [self.tensorboard, self.table, *run.loggers]
        self.trainer = MemberTrainer([self.optimizer], loggers, self.module, self.checkpoints, step)
        self.module.trainer = self.trainer
        self.analysing = analysis_callbacks(run.callbacks, run.folder)
        self.hooks = [*self.analysing.values(), self.checkpoints]
        if point:
            content = load_checkpoint(point.path)
            self.optimizer.load_state_dict(content["optimizer_states"][0])
            self.checkpoints.load_state_dict(content["callbacks"][self.checkpoints.state_key])
            self.module.resumed_at = step
        if not (point and point.ended):
            recorder.begin(step, self.device)

    @property
    def training(self) -> bool:
        """True if the run still trains: it has not failed."""
        return self.error is None

    def attempt(self, work: Any, *arguments: Any) -> None:
        """Call a function for the run; a number that is not finite ends this run and no other."""
        if not self.training:
            return
        try:
            work(*arguments)
        except NotFinite as error:
            self.error = error
        except Preempted as preempted:  # by the last of the hooks, which has saved
            self.preempted = preempted

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of all callbacks, as a Lightning trainer does."""
        for callback in self.hooks:
            getattr(callback, hook)(self.trainer, self.module, *arguments)

    def validate(self) -> None:
        """Log the metrics of the validation split."""
        metrics = evaluate(self.module, "val")
        self.module.check_loss(metrics, "val", self.trainer.global_step)
        self.trainer.callback_metrics = metrics
        self.module.write(metrics)

    def finish(self, seconds: float) -> Fitted | NotFinite:
        """Return the outcome; evaluate the network and save its weights unless training has failed."""
        if self.error is not None:
            return self.error
        loggers, step = (self.tensorboard, self.table, *self.run.loggers), self.trainer.global_step
        try:
            return finish_fit(self.run.folder, self.module, self.table, loggers, step, seconds)
        except NotFinite as error:
            return error


def fit_together(runs: Sequence[RunToFit], settings: FitSettings) -> list[Fitted | NotFinite]:
    """Train runs as members of one ensemble, evaluate, and leave in each run directory what `fit` leaves.

    All runs log, validate, record and save at the steps at which a single run does. Interrupted runs resume from the
    newest step at which most of them have a checkpoint; the others are trained after them.

    Args:
        runs: some or all members of an ensemble; their recipes name its size and their rows.
        settings: how to train, for all of them.

    Returns:
        The outcome of each run: a loss or parameter that is not finite fails its run alone.

    Raises:
        Preempted: a stopping signal arrived; checkpoints were written.
    """
    quieten()
    for run in runs:
        remove_temporaries(run.folder)
    newest = [resume_point(run.folder / "checkpoints") for run in runs]
    ended = {i: point for i, point in enumerate(newest) if point and point.ended}
    going = [i for i in range(len(runs)) if i not in ended]
    groups = resume_groups([runs[i].folder / "checkpoints" for i in going])
    watch, clock = SignalWatch(), [time.monotonic()]

    def members_at(points: Mapping[int, ResumePoint | None]) -> dict[int, FittedMember]:
        return {i: FittedMember(runs[i], settings, point, watch, lambda: clock[0]) for i, point in points.items()}

    members, started = members_at(ended), time.monotonic()
    for group in groups:
        training = members_at({going[place]: point for place, point in group.items()})
        with watch.installed():
            _train(list(training.values()), settings, clock)
        members |= training
    return [members[i].finish(time.monotonic() - started) for i in range(len(runs))]


def _train(members: list[FittedMember], settings: FitSettings, clock: list[float]) -> None:
    """Make all optimiser steps that are left, and what is due at their boundaries."""
    first, recipe = members[0], members[0].run.recipe
    if first.trainer.global_step:
        print(f"resuming from step {first.trainer.global_step} of {recipe.max_steps}", flush=True)
    data = run_data(recipe, first.source, settings, first.analysing.values(), first.run.recorder)
    data.trainer = first.trainer
    by_row = {m.run.recipe.member.row: Member(m.module.model, m.optimizer) for m in members}
    sample = first.source.batch(first.trainer.global_step)
    ensemble = Ensemble(recipe.member.size, by_row, recipe.make_optimizer, sample, recipe.task.spec)
    progress = ShowProgress()
    progress.on_train_start(first.trainer, first.module)
    try:
        _each(members, FittedMember.call, "on_train_start")
        while first.trainer.global_step < recipe.max_steps and any(m.training for m in members):
            for start, stop in Ticks(data):
                done = _tick(members, ensemble, start, stop)
                clock[0] = time.monotonic()
                progress.on_train_batch_end(first.trainer, first.module)
                _each(members, FittedMember.call, "on_train_batch_end", None, start)
            if done == recipe.max_steps or done % recipe.steps_per_epoch == 0:
                _each(members, FittedMember.validate)
                _each(members, FittedMember.call, "on_train_epoch_end")
    finally:
        progress.on_train_end(first.trainer, first.module)
        ensemble.release()


def _tick(members: list[FittedMember], ensemble: Ensemble, start: int, stop: int) -> int:
    """Make the optimiser steps start, ..., stop - 1 of all members, log what is due, and return the steps done; stop
    early, at a step boundary, when a signal came."""
    recipe, watch = members[0].run.recipe, members[0].module.watch
    rows = [member.run.recipe.member.row for member in members]
    losses: list[Tensor] = []
    for member in members:
        member.module.train()
    for step in range(start, stop):
        for member in members:
            if member.training:
                member.module.begin_step(step, member.optimizer)
        batches = {row: member.source.batch(step) for row, member in zip(rows, members, strict=True)}
        rate = recipe.learning_rate(members[0].optimizer, step)
        loss, outputs = ensemble.update(batches, rate, recipe.clip)
        losses.append(loss)
        if watch.received is not None:
            break
    done = start + len(losses)
    for row, member in zip(rows, members, strict=True):
        member.trainer.global_step = done
        member.attempt(member.module.log_steps, start, torch.stack(losses)[:, row], outputs[row], member.optimizer)
    return done


def _each(members: list[FittedMember], work: Any, *arguments: Any) -> None:
    """Call a function for every run, then stop if a stopping signal has arrived."""
    for member in members:
        member.attempt(work, member, *arguments)
    if preempted := [member.preempted for member in members if member.preempted is not None]:
        raise preempted[0]


def _cloned(value: Any) -> Any:
    """Return a copy of nested mappings and lists whose tensors share no memory with the ensemble."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {name: _cloned(item) for name, item in value.items()}
    return [_cloned(item) for item in value] if isinstance(value, list) else value
