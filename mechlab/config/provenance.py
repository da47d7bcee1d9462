"""Provenance of a run: configuration, code, packages and machine, written before any compute."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from mechlab.config.repository import repository_state
from mechlab.core.errors import RunError
from mechlab.record.digests import provenance_damages
from mechlab.record.files import TEMPORARY, atomic, file_digest, read_json, read_mapping, remove, write_json, write_text
from mechlab.record.modules import package_of
from mechlab.record.sources import files, hashes

PACKAGES = (
    "mechlab",
    "torch",
    "pytorch-lightning",
    "hydra-core",
    "omegaconf",
    "numpy",
    "scipy",
    "scikit-learn",
    "safetensors",
)
NOT_RECORDED = ("code", "rerun")  # keys of a command rather than of the run


@dataclass(frozen=True)
class Origin:
    """Origin of a run: its overrides, code and command.

    Args:
        overrides: its overrides, as after `python -m mechlab.train`; None for a run of another program.
        commit: git commit of the code, or None.
        patch: its uncommitted changes, untracked files included.
        sweep: id of its sweep, or None.
        command: its command line; that of this process by default.
    """

    overrides: list[str] | None
    commit: str | None
    patch: str
    sweep: str | None = None
    command: str | None = None


def this_origin(without: Sequence[Path] = ()) -> Origin:
    """Return the origin of runs of this process: its overrides and the state of mechlab's code.

    Args:
        without: folders whose untracked files are left out, such as that of the runs.
    """
    overrides = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    return Origin(overrides, *code_state(without))


def write_provenance(
    folder: Path, config: dict[str, Any], origin: Origin, resumed: bool = False, defining: Iterable[Any] = ()
) -> None:
    """Write config.yaml, overrides.json, environment.json, sources.json and code.patch into `folder`/provenance.

    The files of a resumed run remain those of its start; resumed.json then lists the environments of the later parts,
    and resumed-N.patch and resumed-N-sources.json are the code of part N. The code of a user's package is recorded too:
    as PART-PACKAGE.patch, with the commit in the environment; or, if it is in no repository, as copies of the files
    that define the run, in the folder sources (or resumed-N-sources).

    Args:
        defining: the classes and functions that define the result.
    """
    target, later, defining = folder / "provenance", folder / "provenance" / "resumed.json", list(defining)
    if resumed and (target / "environment.json").exists():
        before = read_json(later) if later.exists() else []
        before = before if isinstance(before, list) else []
        environment = _write_code(target, f"resumed-{len(before) + 1}", origin, defining)
        write_json(later, [*before, environment])
        return
    if not resumed:
        remove(target)  # files of an earlier start
    (target / "environment.json").unlink(missing_ok=True)  # it has the digests of the others
    write_text(target / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(_recorded(config))))
    write_json(target / "overrides.json", origin.overrides)
    environment = _write_code(target, "", origin, defining)
    digests = {str(path.relative_to(target)): file_digest(path) for path in _unsealed(target)}
    write_json(target / "environment.json", {**environment, "files": digests})


def mend_provenance(folder: Path, config: dict[str, Any], origin: Origin, defining: Iterable[Any] = ()) -> None:
    """Rewrite missing or damaged files of a run's provenance with the present state; see `write_provenance`."""
    damaged, target = provenance_damages(folder), folder / "provenance"
    if not damaged:
        return
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", suffix=TEMPORARY) as temporary:
        write_provenance(Path(temporary), config, origin, defining=defining)
        (Path(temporary) / "provenance" / "sources.json").unlink()  # present hashes would hide changes of the code
        for name, error in damaged.items():
            new = Path(temporary) / "provenance" / name
            print(f"warning: {error.brief}; it is {'written again, as of now' if new.exists() else 'left out'}")
            remove(target / name)
            if new.exists():
                os.replace(new, target / name)
    digests = {str(path.relative_to(target)): file_digest(path) for path in _unsealed(target)}
    write_json(target / "environment.json", {**read_mapping(target / "environment.json"), "files": digests})


def _write_code(target: Path, part: str, origin: Origin, defining: Sequence[Any]) -> dict[str, Any]:
    """Write the patches and the hashes of the code; return the environment, with the names of these files."""
    environment = {**_environment(origin), "user_code": _record_user_code(target, part, origin, files(defining))}
    write_text(target / f"{part or 'code'}.patch", origin.patch)
    write_json(target / _name(part, "sources.json"), {"sources": hashes(defining)})
    return environment


def _unsealed(target: Path) -> Iterator[Path]:
    """Yield the files of a run's start that do not contain a digest of themselves."""
    for path in sorted(target.rglob("*")):
        later = path.relative_to(target).parts[0].startswith("resumed-")
        if path.is_file() and not later and (path.suffix != ".json" or path.name == "overrides.json"):
            yield path


def _name(part: str, name: str) -> str:
    return f"{part}-{name}" if part else name


def recorded_sources(folder: Path) -> list[dict[str, str]]:
    """Return the hashes of the sources that define a run, of its start and of each resumed part, where recorded."""
    target = folder / "provenance"
    paths = [path for path in target.glob("resumed-*-sources.json") if path.name.split("-")[1].isdecimal()]
    parts = sorted(paths, key=lambda path: int(path.name.split("-")[1]))
    return [_hashes(path) for path in (target / "sources.json", *parts) if path.exists()]


def _hashes(path: Path) -> dict[str, str]:
    sources = read_mapping(path).get("sources")
    if not isinstance(sources, dict):
        must, fix = "the file must hold hashes by name", "delete it; the run's code is then no longer compared"
        raise RunError(must, got=type(sources).__name__, key=str(path), fix=fix)
    return sources


def _recorded(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in NOT_RECORDED}


def _record_user_code(target: Path, part: str, origin: Origin, sources: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Record the code of the packages other than mechlab that define a run.

    Returns:
        By package: its repository's commit and the file of its changes, or no commit and the folder of the copies.
    """
    recorded = {}
    for package in sorted({package_of(module) for module in sources} - {"mechlab"}):
        modules = {name: path for name, path in sources.items() if package_of(name) == package}
        state = None  # a sweep's jobs run a copy of the code, which is in no repository
        if origin.sweep is None:
            state = repository_state(next(iter(modules.values())), without=[target.parents[2]])
        if state is not None:
            shared = (state.commit, state.patch) == (origin.commit, origin.patch)
            patch = f"{part or 'code'}.patch" if shared else f"{part or 'code'}-{package}.patch"
            write_text(target / patch, state.patch)
            recorded[package] = {"commit": state.commit, "patch": patch}
        else:
            copies = _name(part, "sources")
            for name, path in modules.items():
                words = name.split(".")
                place = [*words, path.name] if path.name == "__init__.py" else [*words[:-1], f"{words[-1]}.py"]
                with atomic(target.joinpath(copies, *place)) as temporary:
                    shutil.copyfile(path, temporary)
            recorded[package] = {"commit": None, "copy": copies}
    return recorded


def package_versions() -> dict[str, str | None]:
    """Return the versions of the packages that decide results."""
    return {name: _version(name) for name in PACKAGES}


def _environment(origin: Origin) -> dict[str, Any]:
    import torch

    return {
        "command": origin.command or shlex.join(["python", "-m", f"mechlab.{_program()}", *sys.argv[1:]]),
        "commit": origin.commit,
        "sweep": origin.sweep,
        "python": platform.python_version(),
        "packages": package_versions(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _program() -> str:
    """Return the name of the running program: `train` for both `python -m mechlab.train` and `mechlab train`."""
    return Path(sys.argv[0]).stem.split()[-1]


def code_state(without: Sequence[Path] = ()) -> tuple[str | None, str]:
    """Return the git commit of mechlab's own code and the patch of all changes; (None, "") outside a repository.

    Args:
        without: folders whose untracked files are left out, such as that of the runs.
    """
    state = repository_state(Path(__file__).resolve(), tracked=True, without=without)
    return (None, "") if state is None else (state.commit, state.patch)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
