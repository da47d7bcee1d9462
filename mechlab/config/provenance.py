"""What a run was made of and where: written into the run directory before any compute."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mechlab.core.files import file_digest, read_json, write_json, write_text

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
DIGESTED = ("config.yaml", "overrides.json", "code.patch")  # files whose digests environment.json holds


@dataclass(frozen=True)
class Origin:
    """Where a run comes from.

    Args:
        overrides: the words that made it, as after `python -m mechlab.train`; None where another program did.
        commit: git commit of the code, or None.
        patch: its uncommitted changes.
        sweep: id of the sweep that it belongs to, or None.
        command: the command line that makes it; that of this process by default.
    """

    overrides: list[str] | None
    commit: str | None
    patch: str
    sweep: str | None = None
    command: str | None = None


def write_provenance(folder: Path, config: dict[str, Any], origin: Origin, resumed: bool = False) -> None:
    """Write config.yaml, overrides.json, environment.json and code.patch into `folder`/provenance.

    A run that goes on from a checkpoint keeps what it began with; resumed.json then lists the environments of the later
    parts, and resumed-N.patch is the code of part N.
    """
    target = folder / "provenance"
    later = target / "resumed.json"
    if resumed and (target / "environment.json").exists():
        before = read_json(later) if later.exists() else []
        parts = [*(before if isinstance(before, list) else []), _environment(origin)]
        write_text(target / f"resumed-{len(parts)}.patch", origin.patch)
        write_json(later, parts)
        return
    (target / "environment.json").unlink(missing_ok=True)  # it holds the digests of the others
    write_text(target / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    write_json(target / "overrides.json", origin.overrides)
    write_text(target / "code.patch", origin.patch)
    files = {path.name: file_digest(path) for path in sorted(target.iterdir()) if path.name in DIGESTED}
    write_json(target / "environment.json", {**_environment(origin), "files": files})


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


def code_state(folder: Path) -> tuple[str | None, str]:
    """Return the git commit of the code in `folder` and its uncommitted changes; (None, "") outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if (
        commit is None or _git(folder, "ls-files", "--error-unmatch", __file__) is None
    ):  # installed inside some other one
        return None, ""
    return commit.strip(), _git(folder, "diff", "HEAD") or ""


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
