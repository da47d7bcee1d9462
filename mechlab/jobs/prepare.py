"""Check and build everything that a training configuration names, before any compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from mechlab.config.build import all_without_files, prepare, without_files
from mechlab.config.describe import describe
from mechlab.config.identity import identity as identity_of
from mechlab.config.lightning_options import refused_callback
from mechlab.config.provenance import Origin
from mechlab.config.recipe import make_recipe
from mechlab.config.schema import Expected, TrainConfig, typed
from mechlab.config.transfer import check_transfer, transfer_digest
from mechlab.core.analysis import Needs
from mechlab.core.device import set_up_device
from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.memory import check_recipe
from mechlab.core.recipe import Recipe
from mechlab.core.task import SPLITS
from mechlab.jobs.analyses import (
    PreparedAnalyses,
    PreparedSets,
    check_analysis,
    check_sets,
    prepare_analyses,
    prepare_sets,
)
from mechlab.jobs.recording import check_history, history_kind, make_recorder
from mechlab.record.recorder import Recorder, check_size
from mechlab.record.saved_state import SavedState
from mechlab.record.sources import defining

if TYPE_CHECKING:
    from mechlab.training.callbacks import AnalysisCallback, Callback
    from mechlab.training.fit import FitSettings, Logger


@dataclass
class Setup:
    """A run whose configuration has been checked and built.

    Args:
        config: the typed configuration.
        values: the configuration as plain data, with the content of files in place of their paths.
        recipe: what is trained.
        analyses: the analyses to run at the end of training.
        sets: the analyses of sets of runs, which are run at the end of a multirun or sweep.
        callbacks: the analyses and Lightning callbacks to run while training, by name.
        loggers: Lightning loggers beyond TensorBoard and metrics.csv.
        expected: published numbers to compare with.
        run_id: the run's identity.
        recorder: writes the history into the run directory.
        announcement: the size of the history to come, and the accuracy of a constant guess, where there is one.
        origin: command line and code version; those of this process if None.
    """

    config: TrainConfig
    values: dict[str, Any]
    recipe: Recipe
    analyses: PreparedAnalyses
    sets: PreparedSets
    callbacks: dict[str, Callback]
    loggers: list[Logger]
    expected: dict[str, Expected]
    run_id: str
    recorder: Recorder
    announcement: str
    origin: Origin | None = None

    @property
    def folder(self) -> Path:
        """The run directory."""
        return Path(self.config.paths.root) / self.config.name / f"{self.run_id}-s{self.config.seed}"

    @property
    def device(self) -> str:
        """The device that training runs on, as torch names it."""
        return "cuda" if self.config.trainer.accelerator == "gpu" else "cpu"

    @property
    def may_stop_early(self) -> bool:
        """True if training may end before its last step: by accuracy, by time, or by a callback."""
        trainer = self.config.trainer
        changing = not all(runs_analysis(callback) for callback in self.callbacks.values())
        return trainer.stop_at is not None or trainer.max_time is not None or changing

    def fit_settings(self) -> FitSettings:
        """Return the trainer keys that are not part of the recipe."""
        from mechlab.training.fit import FitSettings

        trainer = self.config.trainer
        return FitSettings(**{name: getattr(trainer, name) for name in FitSettings.__dataclass_fields__})

    def defining(self) -> list[Any]:
        """Return what defines the result: the classes of the recipe, the classes of callbacks that may change or end
        training, and the names of the allowed packages, which these may refer to."""
        changing = [type(callback) for callback in self.callbacks.values() if not runs_analysis(callback)]
        stopping = []
        if self.config.trainer.stop_at is not None:
            from mechlab.training.callbacks import StopWhenLearned

            stopping = [StopWhenLearned]
        return [*defining(self.recipe), *changing, *self.config.allow_targets, *stopping]


def prepare_run(
    values: dict[str, Any],
    masked: Mapping[str, Any] | None = None,
    identity: str | None = None,
    origin: Origin | None = None,
) -> Setup:
    """Check and build what a configuration names; nothing is written.

    Args:
        values: the configuration as plain data, interpolations resolved.
        masked: the same with the seed masked before interpolations were resolved (see `config.identity.masked`), for
            the run's identity; None when `identity` is known.
        identity: the run's identity.
        origin: command line and code version of the run; those of this process by default.

    Raises:
        ConfigError: something is wrong or does not fit together.
    """
    import torch

    config = typed(TrainConfig, values)
    _check_offered(config.callbacks)
    config.task = without_files(config.task, "task", config.allow_targets)
    config.model = without_files(config.model, "model", config.allow_targets)
    for group in ("analysis", "callbacks"):
        setattr(config, group, all_without_files(getattr(config, group), group, config.allow_targets))
    expected = {name: typed(Expected, node, f"expected.{name}.") for name, node in config.expected.items()}
    if not re.fullmatch(r"[\w.+-]*\w", config.name):
        raise ConfigError("name must be letters, digits and -_.+ only: it is a folder", got=config.name, key="name")
    torch.set_num_threads(config.trainer.threads)
    set_up_device(config.trainer.accelerator)
    _check_time(config.trainer.max_time)
    recipe = make_recipe(config)
    check_recipe(recipe)
    check_transfer(recipe, config)
    task_name = config.name.rpartition("-")[0]
    analyses = prepare_analyses(config.analysis, config.allow_targets, task_name, recipe)
    sets = prepare_sets(config.analysis, config.allow_targets)
    check_sets(sets, analyses, task_name, recipe)
    callbacks = _prepare_callbacks(config, describe(values), task_name, recipe)
    loggers = _prepare_loggers(config)
    check_examples(recipe)
    metrics = _metrics(recipe)
    _check_objective(config, recipe, analyses, metrics)
    needs = _needs(analyses, sets, callbacks)
    kind = history_kind(config.history, needs)
    check_history(config.history, kind, recipe.max_steps, needs, callbacks)
    if identity is None:
        changing = [name for name, callback in callbacks.items() if not runs_analysis(callback)]
        identity = identity_of(masked, kind, transfer_digest(recipe, config), changing)
    folder = Path(config.paths.root) / config.name / f"{identity}-s{config.seed}"
    recipe = replace(recipe, saved=SavedState(folder / "work" / "solve.safetensors"))
    recorder = make_recorder(config.history, kind, recipe, folder / "history")
    size = check_size(recorder, config.history.limit_gb)
    guess = f"a constant guess has accuracy {recipe.task.chance():.3g}" if "accuracy" in metrics else None
    return Setup(
        config=config,
        values={
            **values,
            "task": config.task,
            "analysis": config.analysis,
            "callbacks": config.callbacks,
            "published": {},  # whole tables, from which `expected` has what is of this run
        },
        recipe=recipe,
        analyses=analyses,
        sets=sets,
        callbacks=callbacks,
        loggers=loggers,
        expected={name: entry for name, entry in expected.items() if _is_of_run(name, entry, sets)},
        run_id=identity,
        recorder=recorder,
        announcement="; ".join(part for part in (size, guess) if part is not None),
        origin=origin,
    )


def runs_analysis(callback: Callback) -> TypeGuard[AnalysisCallback]:
    """True if a callback runs an analysis, which leaves training as it is."""
    from mechlab.training.callbacks import AnalysisCallback

    return isinstance(callback, AnalysisCallback)


def _prepare_callbacks(config: TrainConfig, subject: str, task_name: str, recipe: Recipe) -> dict[str, Callback]:
    if not config.callbacks:
        return {}
    from mechlab.training.callbacks import AnalysisCallback, Callback

    callbacks = {}
    for name, node in config.callbacks.items():
        key = f"callbacks.{name}"
        callback = prepare(node, key, Callback, config.allow_targets)()
        if isinstance(callback, AnalysisCallback):
            check_analysis(callback.analysis, name, task_name, recipe, key)
            callback.subject = subject
        callbacks[name] = callback
    return callbacks


def _check_offered(callbacks: Mapping[str, Any]) -> None:
    """Raise ConfigError for callbacks of Lightning that would not work, or would change what is recorded."""
    for name, node in callbacks.items():
        target = str(node.get("_target_")) if isinstance(node, Mapping) else ""
        refusal = refused_callback(target) if target.startswith(("pytorch_lightning.", "lightning.")) else None
        if refusal is not None:
            must = f"{target.rpartition('.')[2]} is not offered: {refusal.reason}"
            raise ConfigError(must, got=target, key=f"callbacks.{name}._target_", fix=refusal.fix)


def _prepare_loggers(config: TrainConfig) -> list[Logger]:
    if not config.loggers:
        return []
    from mechlab.training.fit import Logger

    nodes = config.loggers.items()
    return [prepare(node, f"loggers.{name}", Logger, config.allow_targets)() for name, node in nodes]


def _needs(
    analyses: PreparedAnalyses, sets: PreparedSets, callbacks: Mapping[str, Callback]
) -> list[tuple[str, Needs]]:
    """Return what each attached analysis needs of the run, with its name."""
    needs = [(name, analysis.needs) for name, (_, analysis) in analyses.items()]
    needs += [(name, of_set.needs.each) for name, (_, of_set) in sets.items()]
    return needs + [(name, item.analysis.needs) for name, item in callbacks.items() if runs_analysis(item)]


def _is_of_run(name: str, entry: Expected, sets: PreparedSets) -> bool:
    """True if an expected number is known, and is compared with a run rather than with a set of runs."""
    return entry.number is not None and name.partition("/")[0] not in sets


def check_examples(recipe: Recipe) -> None:
    """Raise ConfigError unless the task's inputs are as its spec describes them."""
    try:
        recipe.task.check_inputs(recipe.source().evaluation("val", 2).inputs)
    except ConfigError as error:
        must = f"the task's examples must be as its spec describes them: {error.must}"
        fix = "correct inputs, kind, shape or tokens of the TaskSpec"
        raise ConfigError(must, got=error.got, key="task", fix=fix) from None


def _metrics(recipe: Recipe) -> list[str]:
    """Return the names of the task's scores, such as accuracy."""
    import torch

    from mechlab.core.model import outputs_of

    batch = recipe.source().evaluation("val", 2)
    with torch.no_grad():
        return list(recipe.task.score(outputs_of(recipe.architecture(), batch.inputs), batch))


def _check_objective(config: TrainConfig, recipe: Recipe, analyses: PreparedAnalyses, scores: Sequence[str]) -> None:
    """Raise ConfigError unless the objective names a metric that the run will have."""
    names = {f"{split}/{name}" for split in SPLITS for name in ("loss", *scores)}
    if config.trainer.stop_at is not None and "val/accuracy" not in names:
        must = "trainer.stop_at needs a task that scores accuracy"
        raise ConfigError(
            must, got=f"scores: {', '.join(scores) or 'none'}", key="trainer.stop_at", fix="trainer.stop_at=null"
        )
    if recipe.curriculum.next_length([]) is not None and "val/accuracy" not in names:
        must, fix = "a curriculum needs a task that scores accuracy", "curriculum.steps=[...], a step for each length"
        raise ConfigError(must, got=f"scores: {', '.join(scores) or 'none'}", key="curriculum.lengths", fix=fix)
    if config.objective not in names and config.objective.partition("/")[0] not in analyses:
        fix = did_you_mean(config.objective, names)
        raise ConfigError("objective must be a metric of the run", got=config.objective, key="objective", fix=fix)


def _check_time(max_time: str | None) -> None:
    if max_time is not None and not re.fullmatch(r"\d{1,6}:\d\d:\d\d:\d\d", max_time):
        must, fix = "trainer.max_time must be DD:HH:MM:SS", "trainer.max_time=00:01:30:00 for 90 minutes"
        raise ConfigError(must, got=repr(max_time), key="trainer.max_time", fix=fix)
