"""The recording of a run's training: the kind of history in force, checked against the analyses that read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mechlab.config.schema import HistoryConfig
from mechlab.core.analysis import Needs
from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.jobs.run_analysis import needs_exact
from mechlab.record.history import LEVELS, decade_spaced
from mechlab.record.recorder import Recorder

if TYPE_CHECKING:
    from mechlab.training.callbacks import Callback

Attached = Sequence[tuple[str, Needs]]


def history_kind(config: HistoryConfig, needs: Attached) -> str:
    """Return the least recording that satisfies the configuration and all attached analyses."""
    return max([config.kind, *(needed.history for _, needed in needs)], key=LEVELS.index)


def make_recorder(config: HistoryConfig, kind: str, recipe: Recipe, folder: Path) -> Recorder:
    """Return the recorder of a run, given its configuration and the kind of history in force."""
    import torch

    steps = config.steps if config.per_decade is None else decade_spaced(config.per_decade, recipe.max_steps)
    dtype = None if config.dtype is None else getattr(torch, config.dtype)
    return Recorder(folder, kind, recipe, config.points, config.every, steps, config.optimizer, dtype)


def check_history(
    config: HistoryConfig, kind: str, max_steps: int, needs: Attached, callbacks: Mapping[str, Callback]
) -> None:
    """Raise ConfigError unless the keys of the history fit together, and the analyses can read what is recorded.

    Args:
        config: the configuration of the history.
        kind: the kind in force, after analyses have added what they need.
        max_steps: optimiser steps of the training.
        needs: what each attached analysis needs, with its name.
        callbacks: the callbacks, by name.
    """
    _check_steps(config, max_steps)
    recorded = [name for name, callback in callbacks.items() if getattr(callback, "every", None) == "recorded"]
    if recorded and kind == "none":
        key = f"callbacks.{recorded[0]}.every"
        raise ConfigError(f"{key}=recorded needs recorded steps", got="history=none", key=key, fix="history=sparse")
    exactly = [f"analysis={name}" for name, needed in needs if needs_exact(needed)]
    exactly += ["history=replay"] * (kind == "replay")
    given, needed = [], []
    if not config.optimizer:
        given, needed = ["history.optimizer=false"], ["history.optimizer=true"]
    if config.dtype is not None:
        given, needed = [*given, f"history.dtype={config.dtype}"], [*needed, "history.dtype=null"]
    if given and exactly:
        must, key = f"{exactly[0]} needs whole states, as they were trained", given[0].partition("=")[0]
        raise ConfigError(must, got=" ".join(given), key=key, fix=" ".join(needed))


def _check_steps(config: HistoryConfig, max_steps: int) -> None:
    chosen = [name for name in ("steps", "per_decade") if getattr(config, name) is not None]
    if chosen and config.kind != "sparse":
        key, got = f"history.{chosen[0]}", f"history.kind={config.kind}"
        raise ConfigError(f"{key} chooses the steps of a sparse history", got=got, key=key, fix="history=sparse")
    if len(chosen) == 2:
        must = "one of history.steps and history.per_decade must be null"
        raise ConfigError(must, got="both", key="history.per_decade", fix="history.per_decade=null")
    if beyond := [step for step in config.steps or () if step > max_steps]:
        must = f"history.steps must be steps of the training, 0 to {max_steps}"
        fix = "leave it out: the end of training is recorded anyway"
        raise ConfigError(must, got=beyond[0], key="history.steps", fix=fix)
