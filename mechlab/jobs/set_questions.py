"""The questions about sets of runs that a multirun or a sweep names: asked at its end, or as commands to type."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlab.config.configured import default_node
from mechlab.config.recipe import stored_config
from mechlab.core.errors import ConfigError
from mechlab.core.printable import quoted
from mechlab.core.set_analysis import config_value
from mechlab.jobs.analyses import prepare_sets
from mechlab.jobs.sets import ask_set
from mechlab.record import sets

GLOBS = 6  # configurations that a command names one by one


@dataclass(frozen=True)
class SetQuestion:
    """An analysis of a set, with its parameters, and the runs that it is asked of.

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
        """Return the command line that asks the question."""
        default = default_node(self.name) or {}
        given = {key: value for key, value in self.node.items() if default.get(key, ...) != value}
        words = [quoted("run=", _globs(self.folders)), f"analysis={self.name}"]
        words += [quoted(f"analysis.{self.name}.{key}=", _hydra(value)) for key, value in given.items()]
        words += [quoted("allow_targets=[", ",".join(self.allow), "]")] if self.allow else []
        return " ".join(["python -m mechlab.analyze", *words])


def set_questions(jobs: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[SetQuestion]:
    """Return the questions about sets that jobs name, each about the runs that name it and agree as it demands.

    Args:
        jobs: the run directory of each job, and its configuration, of which `analysis` and `allow_targets` are read.
    """
    groups: dict[str, tuple[str, Any, tuple[str, ...], dict[Path, None]]] = {}
    analyses: dict[str, Any] = {}
    for folder, config in jobs:
        allow = tuple(config.get("allow_targets") or ())
        for name, node in (config.get("analysis") or {}).items():
            text = json.dumps([name, node, allow], sort_keys=True, default=str)
            if text not in analyses:
                analyses[text] = prepare_sets({name: node}, allow).get(name)
            if analyses[text] is None:
                continue
            recorded, run = stored_config(folder), sets.run_name(folder)
            agreed = [config_value(run, recorded, key) for key in analyses[text][1].needs.equal]
            key = f"{text} {json.dumps(agreed, sort_keys=True, default=str)}"
            groups.setdefault(key, (name, node, allow, {}))[3][folder] = None
    return [SetQuestion(name, node, allow, tuple(folders)) for name, node, allow, folders in groups.values()]


def ask_at_end(jobs: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Path]:
    """Ask what the jobs of a finished multirun or sweep name about sets of runs; return the folders of the answers.

    A question whose demands the runs do not meet is not asked, which is printed with the reason.
    """
    folders = []
    for question in set_questions(jobs):
        prepared, analysis = prepare_sets({question.name: question.node}, question.allow)[question.name]
        try:
            folders.append(ask_set(question.name, prepared, analysis, question.folders, None, question.allow))
        except ConfigError as error:
            print(f"not asked: {error}", file=sys.stderr, flush=True)
    return folders


def print_commands(jobs: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Print the commands that ask what jobs name about sets of runs."""
    for question in set_questions(jobs):
        print(f"  set    {question.command()}", flush=True)


def _globs(folders: Sequence[Path]) -> str:
    """Return a glob, or a list of some, that matches the runs and further seeds of their configurations."""
    globs = list(dict.fromkeys(f"{folder.parent}/{folder.name.rpartition('-s')[0]}-s*" for folder in folders))
    if len(globs) > GLOBS:
        globs = list(dict.fromkeys(f"{folder.parent}/*" for folder in folders))
    return globs[0] if len(globs) == 1 else f"[{','.join(globs)}]"


def _hydra(value: Any) -> str:
    return "null" if value is None else json.dumps(value, default=str) if not isinstance(value, str) else value
