"""The identity of a run: a hash of the configuration that decides its result, without the seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from mechlab.config.build import prepare, without_files
from mechlab.config.schema import HistoryConfig, TrainerConfig, typed
from mechlab.core.constraints import ConstraintError, check, hints_of
from mechlab.core.curriculum import Curriculum
from mechlab.core.schedule import Schedule
from mechlab.core.task import Task

SEED = "<seed>"


def masked(cfg: DictConfig) -> dict[str, Any]:
    """Return a composed configuration as plain data, its seed masked before interpolations are resolved: values that
    follow from the seed (`task.seed=${seed}`) then differ from values that merely equal it."""
    copy = OmegaConf.merge(cfg)
    OmegaConf.set_struct(copy, False)
    copy.seed = SEED
    return OmegaConf.to_container(copy, resolve=True)


def identity(
    values: Mapping[str, Any], history_kind: str, initial: str | None = None, training_callbacks: Sequence[str] = ()
) -> str:
    """Return the identity of a configuration, 10 hexadecimal digits, the same for all seeds.

    It is a hash of task, model, optimizer, history, the trainer keys that change bits and the callbacks that may change
    training, each typed by its schema (1e3 and 1000 are equal), with defaults filled in and with the content of files
    in place of their paths.

    Args:
        values: the configuration as plain data, its seed masked; see `masked`.
        history_kind: the recording in force, after analyses have added what they need.
        initial: digest of the weights that training takes from another run; see `transfer_digest`.
        training_callbacks: names of the callbacks that may change training: all but those that run an analysis.
    """
    allow = values["allow_targets"]
    task = without_files(values["task"], "task", allow)
    model = without_files(values["model"], "model", allow)
    parts = {
        "task": prepare(task, "task", Task, allow, lenient=True).identity(),
        "model": prepare(model, "model", nn.Module, allow, context=1, lenient=True).identity(),
        "optimizer": prepare(values["optimizer"], "optimizer", Optimizer, allow, context=1, lenient=True).identity(),
        "schedule": _schedule(typed(Schedule, values["schedule"], "schedule.")),
        "trainer": _deciding(values["trainer"], TrainerConfig),
        "history": _deciding(values["history"], HistoryConfig) | {"kind": history_kind},
        "initial": initial,
    }
    if (std := values.get("init_std")) is not None:
        parts["init_std"] = float(std)
    if curriculum := typed(Curriculum, values["curriculum"], "curriculum.").identity():
        parts["curriculum"] = curriculum
    if training_callbacks:
        nodes = {name: values["callbacks"][name] for name in training_callbacks}
        prepared = [prepare(node, f"callbacks.{name}", object, allow, lenient=True) for name, node in nodes.items()]
        parts["callbacks"] = [callback.identity() for callback in prepared]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {name: value for name, value in asdict(schedule).items() if name != "factors" or value}


def _deciding(values: dict[str, Any], schema: type) -> dict[str, Any]:
    hints = hints_of(schema.__init__)
    deciding = [item for item in fields(schema) if item.metadata.get("decides")]
    checked = {item.name: _loosely(values[item.name], hints[item.name]) for item in deciding}
    omitted = [item.name for item in deciding if item.metadata.get("unless", ...) == checked[item.name]]
    return {name: value for name, value in checked.items() if name not in omitted}


def _loosely(value: Any, hint: Any) -> Any:
    try:
        return check(value, hint)
    except ConstraintError:
        return value
