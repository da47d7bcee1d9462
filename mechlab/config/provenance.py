"""What a run was made of and where: written into the run directory before any compute."""

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
NOT_RECORDED = ("code", "rerun")  # keys that are about a command rather than about the run


@dataclass(frozen=True)
class Origin:
    """Where a run comes from.

    Args:
        overrides: the words that made it, as after `python -m mechlab.train`; None where another program did.
        commit: git commit of the code, or None.
        patch: its uncommitted changes, untracked files among them.
        sweep: id of the sweep that it belongs to, or None.
        command: the command line that makes it; that of this process by default.
    """

    overrides: list[str] | None
    commit: str | None
    patch: str
    sweep: str | None = None
    command: str | None = None


def this_origin(without: Sequence[Path] = ()) -> Origin:
    """Return the overrides of this process and the state of mechlab's code.

    Args:
        without: folders whose untracked files are left out, such as the one that holds the runs.
    """
    overrides = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    return Origin(overrides, *code_state(without))


def write_provenance(
    folder: Path, config: dict[str, Any], origin: Origin, resumed: bool = False, defining: Iterable[Any] = ()
) -> None:
    """Write config.yaml, overrides.json, environment.json, sources.json and code.patch into `folder`/provenance.

    A run that goes on from a checkpoint keeps what it began with; resumed.json then lists the environments of the later
    parts, and resumed-N.patch and resumed-N-sources.json are the code of part N. The code of a user's package is kept
    too: as PART-PACKAGE.patch, with the commit in the environment; as copies of the files that define the run, in the
    folder sources (or resumed-N-sources), where no repository holds it.

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
        remove(target)  # what an earlier start left
    (target / "environment.json").unlink(missing_ok=True)  # it holds the digests of the others
    write_text(target / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(_recorded(config))))
    write_json(target / "overrides.json", origin.overrides)
    environment = _write_code(target, "", origin, defining)
    digests = {str(path.relative_to(target)): file_digest(path) for path in _unsealed(target)}
    write_json(target / "environment.json", {**environment, "files": digests})


def mend_provenance(folder: Path, config: dict[str, Any], origin: Origin, defining: Iterable[Any] = ()) -> None:
    """Write the files of a run's provenance that are missing or damaged as `write_provenance` would write them now."""
    damaged, target = provenance_damages(folder), folder / "provenance"
    if not damaged:
        return
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", suffix=TEMPORARY) as aside:
        write_provenance(Path(aside), config, origin, defining=defining)
        (Path(aside) / "provenance" / "sources.json").unlink()  # hashes as of now would hide what has changed
        for name, error in damaged.items():
            new = Path(aside) / "provenance" / name
            print(f"warning: {error.brief}; it is {'written again, as of now' if new.exists() else 'left out'}")
            remove(target / name)
            if new.exists():
                os.replace(new, target / name)
    digests = {str(path.relative_to(target)): file_digest(path) for path in _unsealed(target)}
    write_json(target / "environment.json", {**read_mapping(target / "environment.json"), "files": digests})


def _write_code(target: Path, part: str, origin: Origin, defining: Sequence[Any]) -> dict[str, Any]:
    """Write the patches and the hashes of the code; return the environment, which says where they are."""
    environment = {**_environment(origin), "user_code": _keep_user_code(target, part, origin, files(defining))}
    write_text(target / f"{part or 'code'}.patch", origin.patch)
    write_json(target / _name(part, "sources.json"), {"sources": hashes(defining)})
    return environment


def _unsealed(target: Path) -> Iterator[Path]:
    """Yield the files from when the run began that do not hold a digest of their own content."""
    for path in sorted(target.rglob("*")):
        later = path.relative_to(target).parts[0].startswith("resumed-")
        if path.is_file() and not later and (path.suffix != ".json" or path.name == "overrides.json"):
            yield path


def _name(part: str, name: str) -> str:
    return f"{part}-{name}" if part else name


def recorded_sources(folder: Path) -> list[dict[str, str]]:
    """Return the hashes of the sources that define a run, as it began and for each part that was resumed; nothing for
    parts of which none were recorded."""
    target = folder / "provenance"
    paths = [path for path in target.glob("resumed-*-sources.json") if path.name.split("-")[1].isdecimal()]
    parts = sorted(paths, key=lambda path: int(path.name.split("-")[1]))
    return [_hashes(path) for path in (target / "sources.json", *parts) if path.exists()]


def _hashes(path: Path) -> dict[str, str]:
    found = read_mapping(path).get("sources")
    if not isinstance(found, dict):
        must, fix = "the file must hold hashes by name", "delete it; the run's code is then no longer compared"
        raise RunError(must, got=type(found).__name__, key=str(path), fix=fix)
    return found


def _recorded(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in NOT_RECORDED}


def _keep_user_code(target: Path, part: str, origin: Origin, found: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Record the state of the packages beside mechlab that hold a run's sources.

    Returns:
        By package: its repository's commit and the file with its changes, or no commit and the folder with the copies.
    """
    kept = {}
    for package in sorted({package_of(module) for module in found} - {"mechlab"}):
        modules = {name: path for name, path in found.items() if package_of(name) == package}
        state = None  # a sweep's jobs run a copy of the code, which no repository holds
        if origin.sweep is None:
            state = repository_state(next(iter(modules.values())), without=[target.parents[2]])
        if state is not None:
            shared = (state.commit, state.patch) == (origin.commit, origin.patch)
            patch = f"{part or 'code'}.patch" if shared else f"{part or 'code'}-{package}.patch"
            write_text(target / patch, state.patch)
            kept[package] = {"commit": state.commit, "patch": patch}
        else:
            copies = _name(part, "sources")
            for name, path in modules.items():
                words = name.split(".")
                place = [*words, path.name] if path.name == "__init__.py" else [*words[:-1], f"{words[-1]}.py"]
                with atomic(target.joinpath(copies, *place)) as temporary:
                    shutil.copyfile(path, temporary)
            kept[package] = {"commit": None, "copy": copies}
    return kept


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
    """Return the git commit of mechlab's own code and all that differs from it; (None, "") outside a repository.

    Args:
        without: folders whose untracked files are left out, such as the one that holds the runs.
    """
    state = repository_state(Path(__file__).resolve(), tracked=True, without=without)
    return (None, "") if state is None else (state.commit, state.patch)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
