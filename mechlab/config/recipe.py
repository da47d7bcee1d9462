"""Construction of a recipe from a configuration, and of a Run from a run directory."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mechlab.config.build import Prepared, in_folder, prepare
from mechlab.config.schema import TrainConfig, typed
from mechlab.config.seeds import seeds_of
from mechlab.config.transfer import recorded_transfer, with_transfer
from mechlab.core.curriculum import Curriculum
from mechlab.core.ensemble import Membership
from mechlab.core.errors import ConfigError, RunError
from mechlab.core.model import SequenceModel, StaticModel
from mechlab.core.recipe import Recipe
from mechlab.core.task import FiniteTask, Task
from mechlab.record.digests import CONFIG, check_file
from mechlab.record.files import read_yaml, refuse_links
from mechlab.record.lock import complete
from mechlab.record.run import Run
from mechlab.record.run_folders import check_run_folder

RESTORE = "restore the file, or delete the run directory and train again"
DTYPES = {32: "float32", 64: "float64"}


def make_recipe(config: TrainConfig, allow: Sequence[str] | None = None) -> Recipe:
    """Return the recipe of a configuration, after checks of everything that decides the result.

    Args:
        config: the typed configuration.
        allow: packages other than mechlab that targets may come from; the configuration's own list when None.

    Raises:
        ConfigError: parts of the configuration are incompatible; nothing is computed.
    """
    import torch

    allow = config.allow_targets if allow is None else allow
    prepared = prepare(config.task, "task", Task, allow)
    task = prepared()
    model = prepare(config.model, "model", (SequenceModel, StaticModel), allow, context=1)
    check_fit(model.target, task, config.name)
    optimizer = prepare(config.optimizer, "optimizer", torch.optim.Optimizer, allow, context=1)
    _try_out(optimizer)
    trainer = config.trainer
    if trainer.batch_size is None and not isinstance(task, FiniteTask):
        must = "trainer.batch_size must be a number: the task draws examples without end"
        raise ConfigError(must, got="null", key="trainer.batch_size", fix="trainer.batch_size=64")
    recipe = Recipe(
        task=task,
        make_model=model,
        make_optimizer=optimizer,
        schedule=config.schedule,
        seed=config.seed,
        max_steps=0,
        steps_per_epoch=trainer.steps_per_epoch,
        batch_size=trainer.batch_size,
        clip=trainer.gradient_clip,
        dtype=getattr(torch, DTYPES[trainer.precision]),
        evaluation_size=trainer.eval_examples,
        overfit=trainer.overfit,
        drop_last=trainer.drop_last,
        curriculum=config.curriculum,
        member=_membership(config),
        init_std=config.init_std,
        targets=(*prepared.targets(), *model.targets(), *optimizer.targets()),
    )
    check_curriculum(config.curriculum, task, trainer.overfit)
    return with_transfer(_with_steps(recipe, config), config, allow)


def check_curriculum(curriculum: Curriculum, task: Task, overfit: bool) -> None:
    """Raise ConfigError if the task cannot be trained at each of the curriculum's lengths."""
    if not curriculum.lengths:
        return
    if isinstance(task, FiniteTask):
        must, got = "a curriculum needs a task that draws examples without end", type(task).__name__
        raise ConfigError(must, got=got, key="curriculum.lengths", fix="task=repeat_copy, or curriculum.lengths=[]")
    if overfit:
        must, fix = "a curriculum needs more than the first batch", "trainer.overfit=false"
        raise ConfigError(must, got="trainer.overfit=true", key="curriculum.lengths", fix=fix)
    for length in curriculum.lengths:
        task.at_length(length)


def _membership(config: TrainConfig) -> Membership | None:
    """Return the row of a run among those that are trained together; None where it is trained alone."""
    seeds = seeds_of(config.trainer.seeds, config.seed)
    if seeds is None:
        return None
    if config.seed not in seeds:
        raise ConfigError("seed must be one of trainer.seeds", got=config.seed, key="seed", fix=f"seed={seeds[0]}")
    return Membership(seeds.index(config.seed), len(seeds))


def check_fit(model: Any, task: Task, name: str) -> None:
    """Raise ConfigError if the model class cannot read the task's inputs, or be constructed from its ground truth."""
    fix = "model=rnn" if task.spec.kind == "sequence" else "model=mlp"
    kind, wanted = getattr(model, "kind", None), getattr(model, "ground_truth", ())
    if kind != task.spec.kind:
        raise ConfigError(
            f"the task has {task.spec.kind} inputs, so the model must be a {task.spec.kind} model",
            got=f"{name}: {model.__name__} is {'an unknown kind' if kind is None else f'a {kind} model'}",
            key="model",
            fix=fix,
        )
    reads, spec = getattr(model, "reads", "anything"), task.spec
    given = "tokens" if spec.tokens else "images" if len(spec.shape) == 3 else "vectors"
    if reads not in ("anything", given):
        must = f"{model.__name__} reads {reads}, so the task must give them"
        got = f"{name}: {given} of shape {spec.shape}"
        raise ConfigError(must, got=got, key="model", fix=f"{fix}, or choose another task")
    if reads == "images" and min(spec.shape[1:]) < model.smallest:
        must = f"{model.__name__} reads images of at least {model.smallest} by {model.smallest} pixels"
        raise ConfigError(must, got=f"{name}: images of shape {spec.shape}", key="model", fix="model=cnn")
    truth = getattr(task.ground_truth(), "kind", None) if wanted else None
    if wanted and truth not in wanted:
        raise ConfigError(
            f"{model.__name__} is built from the task's ground truth, which must be of kind {' or '.join(wanted)}",
            got=f"{name}: {'no ground truth' if truth is None else f'a ground truth of kind {truth}'}",
            key="model",
            fix=f"{fix}, or choose another task",
        )


def _try_out(optimizer: Prepared) -> None:
    """Raise ConfigError if the optimizer fails at one update of one number: torch checks ranges only when called, and
    some optimizers need more than gradients."""
    import torch

    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    built = optimizer([parameter])
    try:
        built.step()
    except (TypeError, RuntimeError) as error:
        must, got = "the optimizer must make an update from gradients alone", optimizer.target.__name__
        raise ConfigError(f"{must}: {error}", got=got, key="optimizer._target_", fix="optimizer=adam") from None


def _with_steps(recipe: Recipe, config: TrainConfig) -> Recipe:
    trainer = config.trainer
    epoch = trainer.steps_per_epoch or recipe.plan().steps_per_epoch
    if epoch is None:
        must = "trainer.steps_per_epoch must be a number: nothing else ends an epoch of endless data"
        raise ConfigError(must, got="null", key="trainer.steps_per_epoch", fix="trainer.steps_per_epoch=500")
    if trainer.max_epochs is not None:
        steps = trainer.max_epochs * epoch
    elif trainer.max_steps is not None:
        steps = trainer.max_steps
    else:
        must = "one of trainer.max_steps and trainer.max_epochs must be a number"
        raise ConfigError(must, got="null", key="trainer.max_steps", fix="trainer.max_steps=2000")
    return replace(recipe, max_steps=steps, steps_per_epoch=epoch)


def stored_config(folder: str | Path) -> dict[str, Any]:
    """Return the resolved configuration of a recorded run as plain data."""
    path = Path(folder) / CONFIG
    check_run_folder(folder)
    _warn_of_changes(Path(folder))
    must = "a run's configuration must be valid YAML"
    try:
        values = read_yaml(path)
    except RunError as error:
        raise RunError(must, got=error.got, key=str(path), fix=RESTORE) from None
    if not isinstance(values, dict):
        raise RunError(must, got="no mapping of keys", key=str(path), fix=RESTORE)
    return values


@functools.lru_cache
def _warn_of_changes(folder: Path) -> None:
    """Print a warning if a run's configuration was changed since it was written; it may have been edited on purpose."""
    try:
        check_file(folder, CONFIG)
    except RunError as error:
        print(f"warning: {error.brief}", file=sys.stderr)


def recorded_config(folder: Path) -> TrainConfig:
    """Return the configuration of a recorded run with every value checked, or raise RunError."""
    values = stored_config(folder) | {"init_from": None}  # all moments of the run are recorded
    try:
        config = typed(TrainConfig, values)
        if missing := [name for name in ("task", "model", "optimizer") if not values.get(name)]:
            raise ConfigError(f"{', '.join(missing)} must be there")
    except ConfigError as error:
        must, path = "a run's configuration must be whole", folder / "provenance" / "config.yaml"
        raise RunError(must, got=error.must, key=str(path), fix=RESTORE) from None
    return config


def load_run(folder: str | Path, at: str | int = "last", allow_targets: Sequence[str] = ()) -> Run:
    """Return the run of a run directory.

    Args:
        folder: the run directory, as its `run:` line printed it.
        at: the moment of training: "last", "best" or a recorded step.
        allow_targets: packages other than mechlab whose classes the record may name; its own list is not trusted.

    Raises:
        RunError: there is no run in the folder, its record is damaged, or it contains a link.
    """
    folder = Path(folder)
    refuse_links(folder)
    stored_config(folder)
    complete(folder)

    @functools.lru_cache(maxsize=1)
    def recipe() -> Recipe:
        config = recorded_config(folder)
        config.task = in_folder(config.task, "task", folder, allow_targets)
        taken = recorded_transfer(folder, stored_config(folder).get("init_from"), config.init_parts)
        return replace(make_recipe(config, allow_targets), initial=taken)

    return Run(folder, recipe, at)
