"""The code of a sweep: its files, their digest, and the frozen copy in the sweep's folder."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from mechlab.core.errors import ConfigError, RunError

PACKAGE = r"[A-Za-z_]\w*(\.\w+)*"


def sources(targets: Iterable[str]) -> dict[str, Path]:
    """Return the files of mechlab, its configuration and further packages, by their paths in a copy.

    Args:
        targets: packages, modules or classes, as in `allow_targets`; their top-level packages are used.

    Raises:
        ConfigError: Python cannot import one of them.
    """
    from mechlab.config.choices import config_dir

    for target in targets:
        if not re.fullmatch(PACKAGE, target):
            raise ConfigError("allow_targets must name Python packages", got=repr(target), key="allow_targets")
    packages = {"mechlab"} | {target.split(".")[0] for target in targets}
    files = {name: path for package in packages for name, path in _package_files(package).items()}
    return files | {f"mechlab/conf/{path.relative_to(config_dir())}": path for path in _files(config_dir())}


def digest(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 of the table of the files' SHA-256 sums, sorted by path, as `sha256sum` prints it.

    slurm/sweep.sh computes the same with coreutils, before any of the copied code runs.

    Args:
        files: files by their paths in the copy.
    """
    named = sorted((os.fsencode(name), path) for name, path in files.items())
    table = hashlib.sha256()
    for name, path in named:
        table.update(hashlib.sha256(path.read_bytes()).hexdigest().encode() + b"  ./" + name + b"\n")
    return table.hexdigest()


def copy_digest(folder: Path) -> str | None:
    """Return the digest of all files of a copy; None if it is missing or has other entries than files and folders.

    Bytecode is included, since Python would execute it in place of the source. Sweeps run without writing any.
    """
    files = {}
    if folder.is_symlink():
        return None
    for path in _entries(folder):
        kind = path.lstat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            return None
        if stat.S_ISREG(kind):
            files[str(path.relative_to(folder))] = path
    return digest(files) if files else None


def write_copy(files: Mapping[str, Path], folder: Path, expected: str) -> None:
    """Copy files to their paths below a new folder.

    Raises:
        RunError: the copy's digest is not the expected one: a file changed in the meantime.
    """
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    if copy_digest(folder) != expected:
        raise RunError("the code must not change while a sweep is planned", fix="repeat the command")


def check_copy(folder: Path, expected: str) -> None:
    """Raise RunError unless a sweep's copy of the code is unchanged.

    Args:
        folder: the sweep's folder.
        expected: the digest in its manifest.

    Raises:
        RunError: a file of the copy was changed, added or removed.
    """
    if copy_digest(folder / "code") != expected:
        must, fix = "the sweep's copy of the code must be as it was frozen", "plan the sweep again: that replaces it"
        raise RunError(must, got="changed, added or missing files", key=str(folder / "code"), fix=fix)


def check_running(targets: Iterable[str], expected: str, sweep: str) -> None:
    """Raise ConfigError unless this process runs the code with which a sweep was planned.

    Args:
        targets: as in `sources`.
        expected: the digest in the manifest.
        sweep: the sweep's id.

    Raises:
        ConfigError: it runs other code, such as a checkout that was edited since.
    """
    if digest(sources(targets)) != expected:
        must = "a job must run the code that its sweep was planned with"
        fix = f"python -m mechlab.sweep run {sweep} runs the sweep's own copy (without --index); or plan again"
        raise ConfigError(must, got=f"other code in {Path(__file__).parents[1]}", key="code", fix=fix)


def environment(folder: Path) -> dict[str, str]:
    """Return environment variables with which Python imports the sweep's copy of the code, and does not change it."""
    others = [path for path in sys.path if path and "site-packages" in path]
    return {"PYTHONPATH": ":".join([str((folder / "code").resolve()), *others]), "PYTHONDONTWRITEBYTECODE": "1"}


def _package_files(package: str) -> dict[str, Path]:
    """Return the files of a package, or of a single-file module, by their paths relative to Python's search path."""
    spec = importlib.util.find_spec(package)
    if spec is None or not (spec.submodule_search_locations or spec.has_location):
        must, fix = "allow_targets must name importable packages", "install it, or plan from the folder with it"
        raise ConfigError(must, got=package, key="allow_targets", fix=fix)
    if not spec.submodule_search_locations:
        return {Path(spec.origin).name: Path(spec.origin)}
    folder = Path(next(iter(spec.submodule_search_locations)))
    return {f"{package}/{path.relative_to(folder)}": path for path in _files(folder)}


def _files(folder: Path) -> Iterable[Path]:
    return [path for path in _entries(folder) if path.is_file() and "__pycache__" not in path.parts]


def _entries(folder: Path) -> Iterable[Path]:
    return sorted(folder.rglob("*"))
