"""A frozen sweep: every job with its resolved configuration, and the code and packages that it is to run with."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mechlab.core.errors import ConfigError, RunError, did_you_mean
from mechlab.core.files import read_json_lines, write_text

FOLDER = "_sweeps"


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        index: its place in the manifest.
        run: its run directory, relative to the folder that holds the runs.
        run_id: the identity of its configuration.
        overrides: what made it, as words after `python -m mechlab.train`.
        config: the resolved configuration.
    """

    index: int
    run: str
    run_id: str
    overrides: list[str]
    config: dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A frozen sweep.

    Args:
        folder: `<root>/_sweeps/<id>`.
        jobs: its jobs.
        commit: git commit of the code, or None.
        packages: versions of the packages that decide results.
    """

    folder: Path
    jobs: list[Job]
    commit: str | None
    packages: dict[str, str | None]

    @property
    def id(self) -> str:
        """The sweep's id."""
        return self.folder.name

    @property
    def root(self) -> Path:
        """The folder that holds the runs."""
        return self.folder.parent.parent

    def chunk(self, number: int, size: int) -> list[Job]:
        """Return the jobs of chunk `number` when there are `size` in a chunk."""
        return self.jobs[number * size : (number + 1) * size]


def freeze(root: Path, jobs: list[Job], commit: str | None, patch: str, packages: dict[str, str | None]) -> Sweep:
    """Write a sweep's manifest and a copy of the code, and return it; freezing the same again changes nothing.

    The id is a hash of jobs, packages and code, so that changed code makes another sweep, and jobs that wait in a queue
    run the code that they were planned with.
    """
    from mechlab.config.launch import config_dir

    names = {"mechlab"} | {name.split(".")[0] for job in jobs for name in job.config["allow_targets"]}
    files = {name: path for package in names for name, path in _sources(package).items()}
    files |= {f"mechlab/conf/{path.relative_to(config_dir())}": path for path in _files(config_dir())}
    configs = [(job.run, {**job.config, "paths": None}) for job in jobs]
    digest = hashlib.sha256(json.dumps([configs, packages], sort_keys=True).encode())
    for name, path in sorted(files.items()):
        digest.update(name.encode() + path.read_bytes())
    sweep = Sweep(root / FOLDER / digest.hexdigest()[:10], jobs, commit, packages)
    if not (sweep.folder / "manifest.jsonl").exists():
        sweep.folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=sweep.folder.parent, prefix=".") as temporary:
            whole = Path(temporary) / sweep.id
            for name, path in files.items():
                (whole / "code" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, whole / "code" / name)
            write_text(whole / "code.patch", patch)
            lines = (json.dumps(asdict(job) | {"commit": commit, "packages": packages}) for job in jobs)
            write_text(whole / "manifest.jsonl", "\n".join(lines) + "\n")
            try:
                whole.rename(sweep.folder)
            except OSError:
                if not (sweep.folder / "manifest.jsonl").exists():  # else somebody froze the same in the meantime
                    raise
    return sweep


def load(name: str | Path, root: Path) -> Sweep:
    """Open a sweep by its id, its folder or its manifest.

    Raises:
        ConfigError: there is no such sweep.
        RunError: its manifest is damaged.
    """
    candidates = [Path(name), Path(name) / "manifest.jsonl", root / FOLDER / str(name) / "manifest.jsonl"]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        known = [folder.name for folder in (root / FOLDER).glob("[!.]*") if folder.is_dir()]
        fix = did_you_mean(str(name), known) if known else "python -m mechlab.sweep plan OVERRIDES makes one"
        raise ConfigError("a sweep must be named by its id or its manifest", got=name, key="sweep", fix=fix)
    try:
        lines = read_json_lines(path.resolve())
        jobs = [Job(**{key: line[key] for key in Job.__dataclass_fields__}) for line in lines]
        return Sweep(path.parent, jobs, lines[0]["commit"], lines[0]["packages"])
    except (RunError, ValueError, KeyError, IndexError, TypeError) as error:
        must, fix = "a manifest must hold one JSON object per line", "delete the sweep's folder and plan it again"
        raise RunError(must, got=getattr(error, "brief", repr(error)), key=str(path), fix=fix) from None


def is_sweep(words: Sequence[str], root: Path) -> bool:
    """Tell whether the words on a command line name one frozen sweep, rather than overrides."""
    return len(words) == 1 and "=" not in words[0] and (Path(words[0]).exists() or (root / FOLDER / words[0]).exists())


def _sources(package: str) -> dict[str, Path]:
    """Return the files of a package, or of a module that is one file, by their paths where Python looks."""
    spec = importlib.util.find_spec(package)
    if spec is None or not (spec.submodule_search_locations or spec.has_location):
        must, fix = "allow_targets must name packages that Python finds", "install it, or plan from the folder with it"
        raise ConfigError(must, got=package, key="allow_targets", fix=fix)
    if not spec.submodule_search_locations:
        return {Path(spec.origin).name: Path(spec.origin)}
    folder = Path(next(iter(spec.submodule_search_locations)))
    return {f"{package}/{path.relative_to(folder)}": path for path in _files(folder)}


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def code_path(sweep: Sweep) -> str:
    """Return the PYTHONPATH with which the sweep's own copy of the code is found first."""
    code = str((sweep.folder / "code").resolve())
    others = [path for path in sys.path if path and "site-packages" in path]
    return ":".join([code, *others])
