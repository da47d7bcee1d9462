"""Cells: runs that differ in their seed only, or that agree in the keys of `by`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.printable import as_command
from mechlab.record.answers import shortened
from mechlab.reporting.record import ExpectedNumber, Record, ReportedClaim
from mechlab.statistics.bootstrap import Summary, summarise

ONCE = ("code", "rerun")  # keys of a command rather than of the run that it makes

NAMES = ("task", "model")  # parts of a run's name, used beside its config keys
INCIDENTAL = ("seed", "name", "task._target_", "model._target_")  # averaged over, or known from NAMES
ABSENT = "–"


@dataclass
class Cell:
    """Runs that are averaged.

    Args:
        number: from 1, in the order of the report.
        records: the runs, by seed.
    """

    number: int
    records: list[Record]
    _values: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @property
    def task(self) -> str:
        """The name of the task, or the names of all."""
        return ", ".join(dict.fromkeys(record.task for record in self.records))

    @property
    def model(self) -> str:
        """The name of the model, or the names of all."""
        return ", ".join(dict.fromkeys(record.model for record in self.records))

    @cached_property
    def done(self) -> list[Record]:
        """The runs whose numbers count."""
        return [record for record in self.records if record.counts]

    @cached_property
    def figures(self) -> list[Path]:
        """The figures saved by its representative: the first finished run, which has the lowest seed."""
        return self.done[0].figures if self.done else []

    @cached_property
    def numbers(self) -> dict[str, Summary]:
        """Every metric and scalar over the runs that have it."""
        names = dict.fromkeys(name for record in self.done for name in record.numbers)
        return {name: summarise([run.numbers[name] for run in self.done if name in run.numbers]) for name in names}

    @cached_property
    def claims(self) -> dict[tuple[str, str], list[ReportedClaim]]:
        """Every claim, by (analysis, slug), of the runs that make it."""
        keys = dict.fromkeys(key for record in self.done for key in record.claims)
        return {key: [run.claims[key] for run in self.done if key in run.claims] for key in keys}

    @cached_property
    def expected(self) -> dict[str, list[ExpectedNumber]]:
        """Every expected number, by metric, of the runs that were compared with it."""
        keys = dict.fromkeys(key for record in self.done for key in record.expected)
        return {key: [run.expected[key] for run in self.done if key in run.expected] for key in keys}

    def value(self, key: str) -> str:
        """Return the value of a config key, `task` or `model` in words: all values, if the runs differ in it."""
        if key not in self._values:
            self._values[key] = ", ".join(dict.fromkeys(shown(value_of(record, key)) for record in self.records))
        return self._values[key]

    def commands(self) -> list[str]:
        """Return the commands that make the runs; those that differ in their seed only are made by one."""
        seeds: dict[tuple[str, ...] | str, list[Record]] = {}
        for record in self.records:
            if record.overrides is not None:
                words = tuple(word for word in record.overrides if _key(word) not in ONCE)
                key: Any = words if _seeds_together(words) else tuple(word for word in words if not _sets_seed(word))
            else:
                key = as_command(record.environment.get("command") or f"not recorded: {record.folder}")
            seeds.setdefault(key, []).append(record)
        return [_command(key, records) for key, records in seeds.items()]


def make_cells(records: Iterable[Record], by: Sequence[str]) -> list[Cell]:
    """Group runs into cells, ordered by task, model and what else differs.

    Raises:
        ConfigError: a key of `by` is one that no run has.
    """
    records = list(records)
    known = {*NAMES, *(key for record in records for key in record.config)}
    for key in by:
        if key not in known:
            must = "by must name task, model or config keys of the runs"
            raise ConfigError(must, got=key, key="by", fix=did_you_mean(key, known))
    groups: dict[Any, list[Record]] = {}
    for record in records:
        key = tuple(shown(value_of(record, name)) for name in by) if by else _without_seed(record.folder)
        groups.setdefault(key, []).append(record)
    ordered = [sorted(group, key=_seed_order) for group in groups.values()]
    keys = varying(ordered)
    ordered.sort(key=lambda group: (group[0].task, group[0].model, [_order(value_of(group[0], key)) for key in keys]))
    return [Cell(number, group) for number, group in enumerate(ordered, 1)]


def varying(groups: Sequence[Sequence[Record]]) -> list[str]:
    """Return what differs between groups of runs: `task`, `model`, and config keys of which they have several values.

    A key that only some groups have, all of them with one value, comes with the task or model that has it.
    """
    keys = dict.fromkeys(key for group in groups for record in group for key in record.config)
    candidates = [key for key in keys if key not in INCIDENTAL and not key.startswith("paths.")]

    def differs(key: str) -> bool:
        sets = [tuple(sorted({shown(value_of(run, key)) for run in group} - {ABSENT})) for group in groups]
        return len({values for values in sets if values}) > 1

    return [key for key in (*NAMES, *candidates) if differs(key)]


def value_of(record: Record, key: str) -> Any:
    """Return the value of a config key, `task` or `model`; ABSENT where the run has none."""
    return getattr(record, key) if key in NAMES else record.config.get(key, ABSENT)


def shown(value: Any) -> str:
    """Return a config value as text: strings unchanged, long lists shortened, everything else as JSON."""
    value = shortened(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _key(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def _sets_seed(word: str) -> bool:
    return _key(word) == "seed"


def _seeds_together(words: Iterable[str]) -> bool:
    """True if one command without -m makes the runs of all seeds."""
    return any(_key(word) == "trainer.seeds" and not word.endswith("=null") for word in words)


def _command(key: tuple[str, ...] | str, records: list[Record]) -> str:
    if isinstance(key, str):
        return key
    if _seeds_together(key):
        return shlex.join(["python", "-m", "mechlab.train", *key])
    seeds = [str(record.seed) for record in records]
    given = any(_sets_seed(word) for record in records for word in record.overrides or ())
    words = [*key, *([f"seed={','.join(seeds)}"] if given or len(seeds) > 1 else [])]
    return shlex.join(["python", "-m", "mechlab.train", *(["-m"] if len(seeds) > 1 else []), *words])


def _without_seed(folder: Path) -> tuple[str, str]:
    stem, dash, seed = folder.name.rpartition("-s")
    return str(folder.parent), stem if dash and seed.isdigit() else folder.name


def _seed_order(record: Record) -> tuple:
    return _order(record.seed), str(record.folder)


def _order(value: Any) -> tuple:
    """Numbers by size, before words by letters."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, value, ""
    return 1, 0, shown(value)
