"""A frozen sweep: every job with its resolved configuration, and the code and packages that it is to run with."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mechlab.core.errors import ConfigError, RunError, did_you_mean
from mechlab.core.files import LINES_BYTES, parse_json, read_bytes, write_text
from mechlab.sweeps import code as frozen_code

FOLDER = "_sweeps"
ID = r"[0-9a-f]{10}"


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
        """The folder that holds the runs."""
        return self.folder.parent.parent

    @property
    def targets(self) -> list[str]:
        """The packages beyond mechlab whose classes the jobs' configurations name."""
        return sorted({target for job in self.jobs for target in job.config["allow_targets"]})

    def chunk(self, number: int, size: int) -> list[Job]:
        """Return the jobs of chunk `number` when there are `size` in a chunk."""
        return self.jobs[number * size : (number + 1) * size]

    def run_folder(self, job: Job) -> Path:
        """Return a job's run directory; see `below`."""
        return below(self.root, job.run)


def below(root: Path, path: str) -> Path:
    """Return `root / path`, whose parts must be plain names, and which no link may lead out of `root`.

    Raises:
        RunError: it would lie elsewhere.
    """
    folder = root / path
    plain = all(re.fullmatch(r"[\w.+-]*\w", part) for part in path.split("/"))
    if not plain or not folder.resolve().is_relative_to(root.resolve()):
        must = "a folder of a sweep must lie below the folder of the runs, without links that lead out of it"
        raise RunError(must, got=reprlib.repr(path), key=str(root), fix="remove the link, or plan the sweep again")
    return folder


def freeze(root: Path, jobs: list[Job], commit: str | None, patch: str, packages: dict[str, str | None]) -> Sweep:
    """Write a sweep's manifest and a copy of the code, and return it; freezing the same again changes nothing.

    The id is a hash of jobs, packages and code, so that changed code makes another sweep, and jobs that wait in a queue
    run the code that they were planned with. A manifest or a copy that was changed since is replaced.
    """
    if ":" in str(root.resolve()):
        must = "the path of the folder for runs must not hold a colon: Python's search path is separated by it"
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
            if not _is_whole(sweep):  # else somebody froze the same in the meantime
                print(f"replaced: the manifest and the code in {sweep.folder} were not as they had been frozen")
                _exchange(whole, sweep.folder, Path(temporary))
    return sweep


def _id(jobs: Sequence[Job], packages: dict[str, str | None], code: str) -> str:
    """Return the id of a sweep: a hash of everything that decides its results."""
    configs = json.loads(json.dumps([(job.run, {**job.config, "paths": None}) for job in jobs]))  # as in the manifest
    return hashlib.sha256(json.dumps([configs, packages, code], sort_keys=True).encode()).hexdigest()[:10]


def _is_whole(sweep: Sweep) -> bool:
    """Return whether the sweep's folder holds its manifest and its copy of the code as they were frozen."""
    try:
        _read(sweep.folder / "manifest.jsonl")
        frozen_code.check_copy(sweep.folder, sweep.code)
        return True
    except RunError:
        return False


def _exchange(new: Path, folder: Path, aside: Path) -> None:
    """Move the files of a frozen sweep into its folder, and those that are there to a folder `aside`."""
    for path in sorted(new.iterdir()):  # code, code.patch, manifest.jsonl
        target = folder / path.name
        if target.exists() or target.is_symlink():
            target.rename(aside / path.name)
        path.rename(target)


def load(name: str | Path, root: Path) -> Sweep:
    """Open a sweep by its id, its folder or its manifest.

    Raises:
        ConfigError: there is no such sweep.
        RunError: its manifest is damaged, or not the one that was frozen.
    """
    candidates = [Path(name), Path(name) / "manifest.jsonl", root / FOLDER / str(name) / "manifest.jsonl"]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        known = [folder.name for folder in (root / FOLDER).glob("[!.]*") if folder.is_dir()]
        fix = did_you_mean(str(name), known) if known else "python -m mechlab.sweep plan OVERRIDES makes one"
        raise ConfigError("a sweep must be named by its id or its manifest", got=name, key="sweep", fix=fix)
    return _read(path)


def is_sweep(words: Sequence[str], root: Path) -> bool:
    """Return whether the words on a command line name a frozen sweep, rather than overrides.

    After the sweep's name there may only be `allow_targets=[...]`.
    """
    first, *others = words
    named = Path(first).name == "manifest.jsonl" or (Path(first) / "manifest.jsonl").is_file()
    named |= "=" not in first and (Path(first).exists() or (root / FOLDER / first).exists())
    return named and all(word.startswith("allow_targets=") for word in others)


def _read(path: Path) -> Sweep:
    """Read a manifest: nothing in it is used before its kind, its form and the sweep's id have been checked."""
    folder = path.parent if re.fullmatch(ID, path.parent.name) else path.parent.resolve()
    if not re.fullmatch(ID, folder.name) or folder.parent.name != FOLDER:
        raise _refused(path, f"a manifest outside of a folder {FOLDER}/<id>")
    try:
        lines = read_bytes(path, LINES_BYTES).removesuffix(b"\n").split(b"\n")
    except RunError as error:
        raise _refused(path, error.brief) from None
    entries = [_entry(path, number, line) for number, line in enumerate(lines, start=1)]
    jobs = [Job(**{key: entry[key] for key in Job.__dataclass_fields__}) for entry in entries]
    seen: set[str] = set()
    for number, (job, entry) in enumerate(zip(jobs, entries, strict=True), start=1):
        expected = {
            "index": number - 1,
            "run": f"{job.config['name']}/{job.run_id}-s{job.config['seed']}",
            **{key: entries[0][key] for key in ("commit", "packages", "code")},
        }
        for key, value in expected.items():
            if entry[key] != value:
                raise _refused(path, f"line {number}, key {key}: {_short(entry[key])} in place of {_short(value)}")
        if job.run in seen:
            raise _refused(path, f"line {number}, key run: {_short(job.run)} for the second time")
        seen.add(job.run)
    first = entries[0]
    sweep = Sweep(folder, jobs, first["commit"], first["packages"], first["code"])
    if _id(jobs, sweep.packages, sweep.code) != sweep.id:
        raise _refused(path, f"other jobs, packages or code than those of the sweep {sweep.id}")
    below(sweep.root, f"{FOLDER}/{sweep.id}")
    return sweep


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Parse one line of a manifest and check the kind of each value that is used."""
    try:
        entry = parse_json(line, path)
    except RunError as error:
        raise _refused(path, f"line {number}: {error.got}") from None
    if not isinstance(entry, dict):
        raise _refused(path, f"line {number}: {_short(entry)}")
    for key, (kind, fits) in KINDS.items():
        value: Any = entry
        for word in key.split("."):
            if not isinstance(value, dict) or word not in value:
                raise _refused(path, f"line {number} without the key {key}")
            value = value[word]
        if not fits(value):
            raise _refused(path, f"line {number}, key {key}: {_short(value)}, which is not {kind}")
    return entry


def _refused(path: Path, got: str) -> RunError:
    must = "a manifest must hold one JSON object per line, as `mechlab.sweep plan` wrote them"
    return RunError(must, got=got, key=str(path), fix="plan it again, which writes the manifest anew")


def _short(value: Any) -> str:
    return reprlib.repr(value)


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


# What each line of a manifest must hold, and how it is checked. `index`, `run` and what is alike on all lines are
# compared with what they must equal besides.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "config": ("a configuration", lambda value: isinstance(value, dict)),
    "config.name": ("a name of letters, digits and -_.+", _matches(r"[\w.+-]*\w")),
    "config.seed": ("a seed", lambda value: type(value) is int and value >= 0),
    "config.allow_targets": (
        "a list of packages",
        lambda value: _words(value) and all(map(_matches(frozen_code.PACKAGE), value)),
    ),
    "config.trainer.accelerator": ("cpu or gpu", _matches("cpu|gpu")),
    "index": ("a whole number", lambda value: type(value) is int),
    "run_id": ("hexadecimal digits", _matches(r"[0-9a-f]{8,64}")),
    "run": ("NAME/RUN_ID-sSEED", _matches(r"[\w.+-]*\w/[0-9a-f]+-s\d+")),
    "overrides": ("a list of words", _words),
    "commit": ("a git commit or null", lambda value: value is None or _matches(r"[0-9a-f]{1,64}")(value)),
    "packages": (
        "versions by package",
        lambda value: isinstance(value, dict) and all(v is None or isinstance(v, str) for v in value.values()),
    ),
    "code": ("a SHA-256 digest", _matches(r"[0-9a-f]{64}")),
}
