"""Short names of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechlab.record.run import Run

DECIDING = ("task", "model", "optimizer", "schedule", "curriculum", "init", "trainer", "history")  # how the keys begin


def run_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: network and task if runs differ in them, the config keys in which those of the same
    network and task differ, and the seed; with the name of the folder where these are equal."""
    if len(runs) == 1:
        return [f"seed {runs[0].seed}"]
    configs = [dict(_flat(run.config)) for run in runs]
    kinds = [str(config.get("name", "")) for config in configs]
    names = []
    for run, config, kind in zip(runs, configs, kinds, strict=True):
        same = [other for other, name in zip(configs, kinds, strict=True) if name == kind]
        task, _, model = kind.rpartition("-")
        words = [f"{model} on {task}"] if len(set(kinds)) > 1 else []
        words += [f"{key}={value}" for key, value in config.items() if _varies(key, same)]
        names.append(", ".join([*words, f"seed {run.seed}"]))
    return [
        name if names.count(name) == 1 else f"{name} ({run.folder.name})" for run, name in zip(runs, names, strict=True)
    ]


def _varies(key: str, configs: Sequence[Mapping[str, Any]]) -> bool:
    return key.startswith(DECIDING) and len({repr(config.get(key)) for config in configs}) > 1


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the dotted keys of a configuration, and their values."""
    pairs: list[tuple[str, Any]] = []
    for key, value in config.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return pairs
