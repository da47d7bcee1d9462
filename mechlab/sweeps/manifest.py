"""Frozen sweeps: jobs with resolved configurations, the code, and the versions of packages."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mechlab.core.errors import ConfigError, RunError, did_you_mean
from mechlab.record.files import write_text
from mechlab.sweeps import code as frozen_code
from mechlab.sweeps.entries import manifest_error, read_entries

FOLDER = "_sweeps"
ID = r"[0-9a-f]{10}"


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        index: its index in the manifest.
        run: its run directory, relative to the folder of all runs.
        run_id: the identity of its configuration.
        overrides: its overrides, as words after `python -m mechlab.train`.
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
        code: digest of the copy of the code; see mechlab.sweeps.code.
    """

    folder: Path
    jobs: list[Job]
    commit: str | None
    packages: dict[str, str | None]
    code: str

    @property
    def id(self) -> str:
        """The sweep's id."""
        return self.folder.name

    @property
    def root(self) -> Path:
        """The folder of all runs."""
        return self.folder.parent.parent

    @property
    def targets(self) -> list[str]:
        """The packages other than mechlab whose classes the jobs' configurations name."""
        return sorted({target for job in self.jobs for target in job.config["allow_targets"]})

    def chunk(self, number: int, size: int) -> list[Job]:
        """Return the jobs of chunk `number` with `size` jobs per chunk."""
        return self.jobs[number * size : (number + 1) * size]

    def run_folder(self, job: Job) -> Path:
        """Return a job's run directory; see `below`."""
        return below(self.root, job.run)


def below(root: Path, path: str) -> Path:
    """Return `root / path`, whose parts must be plain names, and which must lie inside `root` after following links.

    Raises:
        RunError: it lies elsewhere.
    """
    folder = root / path
    plain = all(re.fullmatch(r"[\w.+-]*\w", part) for part in path.split("/"))
    if not plain or not folder.resolve().is_relative_to(root.resolve()):
        must = "a folder of a sweep must lie below the folder of the runs, without links that lead out of it"
        raise RunError(must, got=reprlib.repr(path), key=str(root), fix="remove the link, or plan the sweep again")
    return folder


def freeze(root: Path, jobs: list[Job], commit: str | None, patch: str, packages: dict[str, str | None]) -> Sweep:
    """Return a sweep after writing its manifest and a copy of the code; repeating this changes nothing.

    The id is a hash of jobs, packages and code, so that changed code makes another sweep, and jobs that wait in a queue
    run the code with which they were planned. A manifest or a copy that was changed since is replaced.
    """
    if ":" in str(root.resolve()):
        must = "the path of the folder for runs must not have a colon, which separates Python's search path"
        raise ConfigError(must, got=root.resolve(), key="paths.root", fix="paths.root=DIR")
    files = frozen_code.sources({target for job in jobs for target in job.config["allow_targets"]})
    code = frozen_code.digest(files)
    sweep = Sweep(root / FOLDER / _id(jobs, packages, code), jobs, commit, packages, code)
    if _is_whole(sweep):
        return sweep
    sweep.folder.parent.mkdir(parents=True, exist_ok=True)
    below(root, f"{FOLDER}/{sweep.id}")
    with tempfile.TemporaryDirectory(dir=sweep.folder.parent, prefix=".") as temporary:
        whole = Path(temporary) / sweep.id
        frozen_code.write_copy(files, whole / "code", code)
        write_text(whole / "code.patch", patch)
        same = {"commit": commit, "packages": packages, "code": code}
        lines = (json.dumps(asdict(job) | same) for job in jobs)
        write_text(whole / "manifest.jsonl", "\n".join(lines) + "\n")
        try:
            whole.rename(sweep.folder)
        except OSError:
            if not sweep.folder.is_dir():
                raise
            if not _is_whole(sweep):  # else another process froze the same in the meantime
                print(f"replaced: the manifest and the code in {sweep.folder}, which had been changed")
                _exchange(whole, sweep.folder, Path(temporary))
    return sweep


def _id(jobs: Sequence[Job], packages: dict[str, str | None], code: str) -> str:
    """Return the id of a sweep: a hash of everything that decides its results."""
    configs = json.loads(json.dumps([(job.run, {**job.config, "paths": None}) for job in jobs]))  # as in the manifest
    return hashlib.sha256(json.dumps([configs, packages, code], sort_keys=True).encode()).hexdigest()[:10]


def _is_whole(sweep: Sweep) -> bool:
    """Return True if the sweep's manifest and its copy of the code are there and unchanged."""
    try:
        _read(sweep.folder / "manifest.jsonl")
        frozen_code.check_copy(sweep.folder, sweep.code)
        return True
    except RunError:
        return False


def _exchange(new: Path, folder: Path, aside: Path) -> None:
    """Move the files of a frozen sweep into its folder, and its old files to the folder `aside`."""
    for path in sorted(new.iterdir()):  # code, code.patch, manifest.jsonl
        target = folder / path.name
        if target.exists() or target.is_symlink():
            target.rename(aside / path.name)
        path.rename(target)


def load(name: str | Path, root: Path) -> Sweep:
    """Return the sweep of an id, a folder or a manifest.

    Raises:
        ConfigError: there is no such sweep.
        RunError: its manifest is damaged or was changed.
    """
    candidates = [Path(name), Path(name) / "manifest.jsonl", root / FOLDER / str(name) / "manifest.jsonl"]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        known = [folder.name for folder in (root / FOLDER).glob("[!.]*") if folder.is_dir()]
        fix = did_you_mean(str(name), known) if known else "python -m mechlab.sweep plan OVERRIDES makes one"
        raise ConfigError("a sweep must be named by its id or its manifest", got=name, key="sweep", fix=fix)
    return _read(path)


def is_sweep(words: Sequence[str], root: Path) -> bool:
    """Return True if the words of a command line name a frozen sweep, False if they are overrides.

    After the sweep's name only `allow_targets=[...]` is allowed.
    """
    first, *others = words
    named = Path(first).name == "manifest.jsonl" or (Path(first) / "manifest.jsonl").is_file()
    named |= "=" not in first and (Path(first).exists() or (root / FOLDER / first).exists())
    return named and all(word.startswith("allow_targets=") for word in others)


def _read(path: Path) -> Sweep:
    """Return the sweep of a manifest, after checks of its lines and of the sweep's id."""
    folder = path.parent if re.fullmatch(ID, path.parent.name) else path.parent.resolve()
    if not re.fullmatch(ID, folder.name) or folder.parent.name != FOLDER:
        raise manifest_error(path, f"a manifest outside of a folder {FOLDER}/<id>")
    lines = read_entries(path)
    jobs = [Job(**{key: line[key] for key in Job.__dataclass_fields__}) for line in lines]
    sweep = Sweep(folder, jobs, *(lines[0][key] for key in ("commit", "packages", "code")))
    if _id(jobs, sweep.packages, sweep.code) != sweep.id:
        raise manifest_error(path, f"other jobs, packages or code than those of the sweep {sweep.id}")
    below(sweep.root, f"{FOLDER}/{sweep.id}")
    return sweep
