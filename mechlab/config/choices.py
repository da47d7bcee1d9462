"""The folders of the configuration, and the choices of its groups."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mechlab.core.config_folder import config_dir
from mechlab.core.errors import RunError
from mechlab.record.files import read_yaml


def user_folders(arguments: list[str]) -> list[Path]:
    """Return the configuration folders that a command line adds with --config-dir."""
    folders = []
    for i, argument in enumerate(arguments):
        if argument in ("--config-dir", "-cd") and i + 1 < len(arguments):
            folders.append(Path(arguments[i + 1]))
        elif argument.startswith("--config-dir="):
            folders.append(Path(argument.removeprefix("--config-dir=")))
    return folders


def config_groups() -> list[str]:
    """Return mechlab's config groups."""
    return ["callbacks", *(path.name for path in config_dir().iterdir() if path.is_dir() and path.name != "hydra")]


def choices(group: str) -> dict[str, Path]:
    """Return the files of a group's choices by name, those of this command's configuration folders among them."""
    folder_name = "analysis" if group == "callbacks" else group  # every analysis is a callback too
    folders = [config_dir(), *user_folders(sys.argv)]
    return {path.stem: path for folder in folders for path in sorted(folder.glob(f"{folder_name}/*.yaml"))}


def choices_with(key: str) -> list[str]:
    """Return `GROUP=NAME` for every choice whose file sets a config key.

    >>> choices_with("task.index")
    ['task=tomita']
    """
    group, _, rest = key.partition(".")
    if group in ("analysis", "callbacks"):
        name = rest.partition(".")[0]
        return [f"{'+' * (group == 'callbacks')}{group}={name}"] if name in choices(group) else []
    return [f"{group}={name}" for name in choices(group) if rest and key in set(_keys(group, name))]


def _keys(group: str, name: str) -> Iterator[str]:
    """Yield the config keys that the file of a choice sets, and those that it inherits from others of its group."""
    files = choices(group)
    if name not in files:
        return
    values: Any = None
    with contextlib.suppress(RunError):
        values = read_yaml(files[name])
    if isinstance(values, dict):
        is_global = "# @package _global_" in files[name].read_text(encoding="utf-8")
        yield from paths(values, "" if is_global else f"{group}.")
        parents = values.get("defaults") or ()
        yield from (
            key for parent in parents if isinstance(parent, str) and parent != name for key in _keys(group, parent)
        )


def paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a nested mapping, sections among them."""
    for name, item in values.items():
        yield f"{prefix}{name}"
        if isinstance(item, dict):
            yield from paths(item, f"{prefix}{name}.")
