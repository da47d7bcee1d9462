"""The sentence that names what a figure shows: network, task and seed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from mechlab.config.choices import config_dir, user_folders

LONGEST = 24  # letters of a value


def describe(config: Mapping[str, Any], moment: str | int = "last", found: str = "") -> str:
    """Return network, task and seed of a run, with the moment of training if it is not the end, and with the sizes that
    were found if the network was searched.

    Of the parameters of network and task, the first one in their yaml is named, and every other that differs from it;
    a seed of theirs only if it is another than the run's.

    Args:
        config: the run's configuration, as recorded.
        moment: "last", "best", or an optimiser step.
        found: sizes that solving chose; see `Model.found`.
    """
    at = "" if moment == "last" else f", {moment} checkpoint" if isinstance(moment, str) else f", step {moment:,}"
    return f"{_network_and_task(config)}, seed {config.get('seed')}{at}{found and f'; found: {found}'}"


def describe_set(configs: Sequence[Mapping[str, Any]]) -> str:
    """Return what the runs of a set are of: one sentence for runs that differ in their seed only, else how many runs
    there are of each network and task."""
    kinds: dict[str, list[Any]] = {}
    for config in configs:
        kinds.setdefault(_network_and_task(config), []).append(config.get("seed"))
    if len(kinds) == 1:
        ((kind, seeds),) = kinds.items()
        different = list(dict.fromkeys(seeds))
        each = "" if len(different) == len(seeds) else f"{len(seeds)} runs of "
        return f"{each}{kind}, {_seeds(different)}"
    names: dict[str, int] = {}
    for config in configs:
        task, model = _names(config)
        names[f"{model} on {task}"] = names.get(f"{model} on {task}", 0) + 1
    return f"{len(configs)} runs: " + ", ".join(f"{n} of {name}" for name, n in names.items())


def _network_and_task(config: Mapping[str, Any]) -> str:
    task, model = _names(config)
    words = [f"{name}{_parameters(group, name, config)}" for group, name in (("model", model), ("task", task))]
    return " on ".join(words)


def _names(config: Mapping[str, Any]) -> tuple[str, str]:
    task, dash, model = str(config.get("name", "")).rpartition("-")
    return (task, model) if dash else (model, "network")


def _parameters(group: str, name: str, config: Mapping[str, Any]) -> str:
    """Return the telling parameters of the network or the task in brackets; nothing where there are none."""
    own = {key: value for key, value in (config.get(group) or {}).items() if key != "_target_"}
    node = {key: value for key, value in own.items() if (key, value) != ("seed", config.get("seed"))}
    usual = _usual(group, name)
    order = [key for key in usual if key in node] or list(node)
    shown = [
        _short(value) if key == name else f"{key.replace('_', ' ')} {_short(value)}"
        for place, (key, value) in enumerate((key, node[key]) for key in dict.fromkeys([*order, *node]))
        if value is not None and not _is_long(value) and (place == 0 or (usual and value != usual.get(key)))
    ]
    return f" ({', '.join(shown)})" if shown else ""


@cache
def _usual(group: str, name: str) -> dict[str, Any]:
    """Return the parameters of a network or task as its yaml has them, in its order; nothing where there is none."""
    for folder in (config_dir(), *user_folders(sys.argv)):
        path = folder / group / f"{name}.yaml"
        if path.is_file():
            node = OmegaConf.to_container(OmegaConf.load(path))
            own = node.get(group, {key: value for key, value in node.items() if key not in ("defaults", group)})
            above = [entry for entry in node.get("defaults", []) if isinstance(entry, str) and entry[0] not in "_/"]
            inherited = [_usual(group, entry) for entry in above]
            return {**{k: v for usual in inherited for k, v in usual.items()}, **_without_target(own)}
    return {}


def _without_target(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "_target_"}


def _seeds(seeds: Sequence[Any]) -> str:
    """Return seeds in words: 0 to 4, where they follow each other."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    numbers = sorted(seed for seed in seeds if isinstance(seed, int))
    if len(numbers) == len(seeds) and len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"seeds {numbers[0]} to {numbers[-1]}"
    return f"seeds {', '.join(map(str, numbers if len(numbers) == len(seeds) else seeds))}"


def _is_long(value: Any) -> bool:
    """True for the content of a file, and for settings of settings."""
    return isinstance(value, Mapping) or "\n" in str(value)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
