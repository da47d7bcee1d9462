"""Analyses of sets of runs that the jobs of a multirun or sweep name: run at its end, or printed as commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlab.config.configured import default_node
from mechlab.config.recipe import stored_config
from mechlab.core.errors import MechlabError
from mechlab.core.printable import quoted
from mechlab.core.set_analysis import config_value
from mechlab.jobs.analyses import prepare_sets
from mechlab.jobs.sets import run_set_analysis
from mechlab.record import sets

GLOBS = 6  # configurations that a command names one by one


@dataclass(frozen=True)
class PlannedSet:
    """An analysis of a set with its parameters, and the runs that it is about.

    Args:
        name: the analysis.
        node: its configuration.
        allow: packages beyond mechlab whose classes the configuration may name.
        folders: run directories.
    """

    name: str
    node: Mapping[str, Any]
    allow: tuple[str, ...]
    folders: tuple[Path, ...]

    def command(self) -> str:
        """Return the command line that runs the analysis."""
        default = default_node(self.name) or {}
        given = {key: value for key, value in self.node.items() if default.get(key, ...) != value}
        words = [quoted("run=", _globs(self.folders)), f"analysis={self.name}"]
        words += [quoted(f"analysis.{self.name}.{key}=", _hydra(value)) for key, value in given.items()]
        words += [quoted("allow_targets=[", ",".join(self.allow), "]")] if self.allow else []
        return " ".join(["python -m mechlab.analyze", *words])


def planned_sets(jobs: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[PlannedSet]:
    """Return the analyses of sets that jobs name, each with the runs that name it and agree in what must be equal.

    Args:
        jobs: the run directory of each job, and its configuration, of which `analysis` and `allow_targets` are read.
    """
    groups: dict[str, tuple[str, Any, tuple[str, ...], dict[Path, None]]] = {}
    analyses: dict[str, Any] = {}
    for folder, config in jobs:
        allow = tuple(config.get("allow_targets") or ())
        for name, node in (config.get("analysis") or {}).items():
            if "_target_" not in node:  # parameters that an experiment sets of an analysis that is not chosen
                continue
            text = json.dumps([name, node, allow], sort_keys=True, default=str)
            if text not in analyses:
                analyses[text] = prepare_sets({name: node}, allow).get(name)
            if analyses[text] is None:
                continue
            recorded, run = stored_config(folder), sets.run_name(folder)
            agreed = [config_value(run, recorded, key) for key in analyses[text][1].needs.equal]
            key = f"{text} {json.dumps(agreed, sort_keys=True, default=str)}"
            groups.setdefault(key, (name, node, allow, {}))[3][folder] = None
    return [PlannedSet(name, node, allow, tuple(folders)) for name, node, allow, folders in groups.values()]


def run_planned_sets(jobs: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Path]:
    """Run the analyses of sets that the jobs of a finished multirun or sweep name; return the folders of the answers.

    Where the runs are not what an analysis needs, the reason is printed.
    """
    folders = []
    for planned in planned_sets(jobs):
        prepared, analysis = prepare_sets({planned.name: planned.node}, planned.allow)[planned.name]
        try:
            folders.append(run_set_analysis(planned.name, prepared, analysis, planned.folders, None, planned.allow))
        except MechlabError as error:
            print(f"not run: {error}", file=sys.stderr, flush=True)
    return folders


def print_commands(jobs: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Print the commands that run the analyses of sets that jobs name."""
    for planned in planned_sets(jobs):
        print(f"  set    {planned.command()}", flush=True)


def _globs(folders: Sequence[Path]) -> str:
    """Return a glob, or a list of some, that matches the runs and further seeds of their configurations."""
    globs = list(dict.fromkeys(f"{folder.parent}/{folder.name.rpartition('-s')[0]}-s*" for folder in folders))
    if len(globs) > GLOBS:
        globs = list(dict.fromkeys(f"{folder.parent}/*" for folder in folders))
    return globs[0] if len(globs) == 1 else f"[{','.join(globs)}]"


def _hydra(value: Any) -> str:
    return "null" if value is None else json.dumps(value, default=str) if not isinstance(value, str) else value
