"""An analysis of several runs at once, such as the mean over seeds of everything that was measured."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mechlab.core.analysis import Finding, Needs
from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.artifacts import Artifacts
    from mechlab.record.run import Run

RUN_ID = "run_id"  # stands for everything in a configuration that decides the result, except the seed
SHOWN = 4  # values that an error names


@dataclass(frozen=True)
class SetNeeds:
    """The requirements of an analysis on a set of runs.

    Args:
        runs: the smallest number of finished runs.
        each: what every run must have, as an analysis of one run needs it.
        analyses: analyses of which every run must have a finding, with the parameters of its own configuration.
        files: what else is read of each run: files or globs, relative to the run directory. The finding is stored under
            a hash of them and of the findings of `analyses`. Of result.json, metrics and findings count.
        varies: config keys that must have at least two values among the runs.
        failed: whether failed runs are analysed too; they have a configuration and a status, and maybe nothing else.
        equal: config keys (or sections, such as "task") that must have the same value in all runs; "run_id" stands for
            everything that decides the result, except the seed. At the end of a multirun the analysis is run once for
            each group of runs that agree in these keys.
    """

    runs: int = 2
    each: Needs = field(default_factory=Needs)
    analyses: tuple[str, ...] = ()
    files: tuple[str, ...] = ("result.json",)
    varies: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()
    failed: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """All files that are read of each run, as globs relative to the run directory."""
        return (*self.files, *(f"analyses/{name}/finding.json" for name in self.analyses))


class SetAnalysis(ABC):
    """An analysis of a set of runs. Subclasses take their parameters in the constructor and store them unchanged."""

    needs: ClassVar[SetNeeds] = SetNeeds()
    version: ClassVar[int] = 1

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a configuration with what files hold in place of their paths; see
        `Task.without_files`."""
        return dict(arguments)

    @abstractmethod
    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save arrays and tables into `out`, and return scalars and claims.

        Args:
            runs: finished runs, and failed ones if `needs.failed`, ordered by name, run id and seed. Only their
                configurations and what `needs` names may be read.
            out: the folder of the finding.
            rng: the source of all randomness.
        """

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw figures by name from the saved artifacts alone; none by default."""
        return {}

    def check(self, name: str, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise ConfigError if there are too few runs, or if they do not vary or agree as they must.

        Args:
            name: of the analysis.
            configs: the configuration of each run by its run directory, relative to the folder that holds the runs.
        """
        if len(configs) < self.needs.runs:
            raise ConfigError(
                f"analysis={name} needs at least {self.needs.runs} finished runs",
                got=len(configs),
                key="run",
                fix='a glob that matches more runs, such as "run=runs/TASK-MODEL/*"',
            )
        for key in self.needs.equal:
            values = {json.dumps(config_value(run, config, key), default=str) for run, config in configs.items()}
            if len(values) > 1:
                raise ConfigError(
                    f"analysis={name} needs runs that agree in {_words(key)}",
                    got=f"{len(values)} values: {_brief(values)}",
                    key="run",
                    fix="a glob that matches runs of one value, or the command once for each",
                )
        for key in self.needs.varies:
            values = {json.dumps(config_value(run, config, key), default=str) for run, config in configs.items()}
            if len(values) < 2:
                raise ConfigError(
                    f"analysis={name} needs runs that differ in {_words(key)}",
                    got=f"one value: {_brief(values)}",
                    key="run",
                    fix="train more runs with python -m mechlab.train -m, or choose a glob that matches more",
                )


def config_value(run: str, config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a config key, or the section of that name; None where there is none.

    Args:
        run: the run directory, `<task>-<model>/<run_id>-s<seed>`.
        config: the run's configuration.
        key: dotted key, or "run_id".
    """
    if key == RUN_ID:
        return run.rpartition("-s")[0]
    value: Any = config
    for word in key.split("."):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value


def _words(key: str) -> str:
    return "everything that decides the result but the seed (run_id)" if key == RUN_ID else key


def _brief(values: set[str]) -> str:
    shown = sorted(value if len(value) <= 60 else f"{value[:57]}..." for value in values)
    return ", ".join(shown[:SHOWN]) + (", ..." if len(shown) > SHOWN else "")
