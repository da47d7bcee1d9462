"""The rows of the table: expected numbers of each experiment, for each choice of which a number is published."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mechlab.config.choices import config_dir, config_groups
from mechlab.config.launch import register
from mechlab.config.schema import Expected, typed
from mechlab.record.files import read_yaml

PLAN = Path(__file__).with_name("plan.yaml")


@dataclass(frozen=True)
class Row:
    """One number of an experiment.

    Args:
        section: title of the section of the page.
        experiment: its name.
        choices: the overrides that select the number, `key=value`.
        metric: the metric, or `<analysis>/<scalar>`.
        targets: what is expected, by seed; None stands for every seed.
        takes: how long the experiment takes, in words.
    """

    section: str
    experiment: str
    choices: tuple[str, ...]
    metric: str
    targets: dict[int | None, Expected] = field(hash=False)
    takes: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the row: experiment, choices and metric."""
        return self.experiment, " ".join(self.choices), self.metric

    @property
    def quantity(self) -> str:
        """What the number is, in words."""
        return next(iter(self.targets.values())).quantity


@dataclass(frozen=True)
class Case:
    """An experiment with choices, composed.

    Args:
        experiment: its name.
        choices: the overrides.
        config: the composed configuration with its section `hydra`.
        rows: the numbers that are expected of it.
    """

    experiment: str
    choices: tuple[str, ...]
    config: DictConfig
    rows: tuple[Row, ...]


def sections(path: Path = PLAN) -> list[dict[str, Any]]:
    """Return the sections of the page, as plan.yaml has them."""
    return read_yaml(path)


def cases(plan: Sequence[Mapping[str, Any]], only: Sequence[str] = ()) -> Iterator[Case]:
    """Yield each experiment with each of its choices; `only` names experiments, all if it is empty."""
    register([config_dir()])
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        for section in plan:
            for entry in section["experiments"]:
                if not only or entry["name"] in only:
                    yield from _cases(section["title"], entry)


def _cases(section: str, entry: Mapping[str, Any]) -> Iterator[Case]:
    composed = {(): hydra.compose("train", [f"experiment={entry['name']}"], return_hydra_config=True)}
    known: dict[tuple[str, str], Row] = {}
    for choices in _choices(entry):
        chosen = tuple(word for word in choices if is_group(word.partition("=")[0]))
        if chosen not in composed:
            words = [f"experiment={entry['name']}", *chosen]
            composed[chosen] = hydra.compose("train", words, return_hydra_config=True)
        config = composed[chosen].copy()
        OmegaConf.set_struct(config, False)
        for word in choices:
            if word not in chosen:
                key, _, value = word.partition("=")
                OmegaConf.update(config, key, OmegaConf.create(f"v: {value}").v)
        shown = tuple(word for word in choices if not is_default(word, composed[()]))
        # a number that does not depend on a choice has one row for all cases
        rows = [known.setdefault((row.metric, row.quantity), row) for row in _rows(section, entry, shown, config)]
        yield Case(entry["name"], shown, config, tuple(rows))


def _choices(entry: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for words in entry.get("cases", ()):
        yield tuple(words.split())
    grid = entry.get("grid", {})
    if grid or not entry.get("cases"):
        for values in itertools.product(*grid.values()):
            yield tuple(f"{key}={value}" for key, value in zip(grid, values, strict=True))


def _rows(section: str, entry: Mapping[str, Any], choices: tuple[str, ...], config: DictConfig) -> Iterator[Row]:
    seeds = entry.get("seeds", [None])
    targets: dict[str, dict[int | None, Expected]] = {}
    for seed in seeds:
        if seed is not None:
            config.seed = seed
        HydraConfig.instance().set_config(config)
        for metric, node in dict(OmegaConf.to_container(config.expected, resolve=True)).items():
            expected = typed(Expected, node, f"expected.{metric!s}.")
            if expected.number is not None and metric.startswith(entry.get("only", "")):
                targets.setdefault(metric, {})[seed] = expected
    for metric, numbers in targets.items():
        yield Row(section, entry["name"], choices, metric, numbers, entry["takes"])


def is_group(key: str) -> bool:
    """True if a key is a config group, whose value is a choice."""
    return key in config_groups()


def is_default(word: str, config: DictConfig) -> bool:
    """True if an override gives a key the value that it has without it."""
    key, _, value = word.partition("=")
    return value_of(config, key) == as_text(OmegaConf.create(f"v: {value}").v)


def value_of(config: DictConfig, key: str) -> str:
    """Return the value of a key, or the choice of a group, as text."""
    if is_group(key):
        return as_text(config.hydra.runtime.choices.get(key))
    return as_text(OmegaConf.select(config, key))


def as_text(value: Any) -> str:
    """Return a value as text in which 0 and 0.0 are alike."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)
