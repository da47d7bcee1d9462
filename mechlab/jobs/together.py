"""The runs that one configuration makes with `trainer.seeds`: prepared, and checked to be trainable as one model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from mechlab.core.ensemble import KEY, ONE_BY_ONE, Ensemble, Member
from mechlab.core.errors import ConfigError
from mechlab.core.memory import check_memory, training_bytes
from mechlab.core.model import outputs_of
from mechlab.core.recipe import Recipe
from mechlab.jobs.prepare import Setup, prepare_run, runs_analysis


def prepare_runs(configs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[Setup]:
    """Check and build all runs that a command makes: one, or one for each of trainer.seeds.

    Args:
        configs: of each run, as `prepare_run` takes them: the configuration, and the same with its seed masked.

    Raises:
        ConfigError: something is wrong, does not fit together, or cannot be trained as one model.
    """
    setups = [prepare_run(values, masked) for values, masked in configs]
    if setups[0].recipe.member is not None:
        check_together(setups)
    return setups


def check_together(setups: Sequence[Setup]) -> None:
    """Raise ConfigError unless these runs can be trained as one batched model."""
    config, recipes = setups[0].config.trainer, [setup.recipe for setup in setups]
    for name in ("stop_at", "max_time"):
        if getattr(config, name) is not None:
            must = "runs that are trained together all make the same optimiser steps"
            raise ConfigError(must, got=f"trainer.{name}={getattr(config, name)}", key=KEY, fix=f"trainer.{name}=null")
    if changing := [name for name, callback in setups[0].callbacks.items() if not runs_analysis(callback)]:
        must = "callbacks of runs that are trained together must run an analysis: others may change training"
        raise ConfigError(must, got=", ".join(changing), key=f"callbacks.{changing[0]}", fix=ONE_BY_ONE)
    if recipes[0].curriculum.next_length([]) is not None:
        must = "runs that are trained together see data of one length: promotion may come at other steps"
        raise ConfigError(must, got="a curriculum that goes by accuracy", key=KEY, fix="curriculum.steps=[0,...]")
    if recipes[0].max_steps == 0:
        raise ConfigError("runs that are trained together must train", got="0 steps", key=KEY, fix=ONE_BY_ONE)
    if len({_updates(recipe) for recipe in recipes}) > 1 or len({setup.run_id for setup in setups}) > 1:
        must = "runs that are trained together must differ in nothing but what is drawn with their seeds"
        raise ConfigError(must, got="other steps, batches or learning rates", key=KEY, fix=ONE_BY_ONE)
    if (size := training_bytes(recipes[0])) is not None:
        check_memory(2 * len(recipes) * size, f"{len(recipes)} networks", KEY, "fewer seeds at once")
    _check_model(recipes[0])
    _try_update(recipes)


def _updates(recipe: Recipe) -> tuple[object, ...]:
    """Return what the optimiser updates of a recipe depend on, beside examples and weights."""
    optimizer = recipe.optimizer(recipe.architecture())
    settings = repr(sorted(optimizer.defaults.items()))
    return (settings, recipe.schedule, recipe.max_steps, recipe.steps_per_epoch, recipe.batch_size, recipe.clip)


def _check_model(recipe: Recipe) -> None:
    """Raise ConfigError if a model draws random numbers or changes its buffers while it trains."""
    must = "networks that are trained together must be functions of their parameters"
    if recipe.draws_noise:
        raise ConfigError(must, got="dropout or other noise", key="model", fix=f"train without it, or {ONE_BY_ONE}")
    model = recipe.architecture().train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    with torch.no_grad():
        outputs_of(model, recipe.source().batch(0).inputs)
    if changed := [name for name, value in model.named_buffers() if not torch.equal(value, before[name])]:
        raise ConfigError(must, got=f"buffers that change: {', '.join(changed)}", key="model", fix=ONE_BY_ONE)


def _try_update(recipes: Sequence[Recipe]) -> None:
    """Make the first update on the CPU, and raise ConfigError if torch cannot do so for all networks at once."""
    sources = [recipe.source() for recipe in recipes]
    models = [recipe.model() for recipe in recipes]
    networks = {row: Member(model, recipes[0].optimizer(model)) for row, model in enumerate(models)}
    sample, spec = sources[0].batch(0), recipes[0].task.spec
    ensemble = Ensemble(len(recipes), networks, recipes[0].make_optimizer, sample, spec)
    batches = {row: source.batch(0) for row, source in enumerate(sources)}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "There is a performance drop")  # torch would take networks one by one
            ensemble.update(batches, 0.0)
    except (RuntimeError, NotImplementedError, UserWarning) as error:
        must = "torch must have a batching rule for each operation of networks that are trained together"
        raise ConfigError(must, got=str(error).splitlines()[0], key="model", fix=ONE_BY_ONE) from None
