"""What a run was made of and where: written into the run directory before any compute."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mechlab.core.files import write_json, write_text

PACKAGES = ("mechlab", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy", "scipy", "scikit-learn", "safetensors")


def write_provenance(folder: Path, config: dict[str, Any], overrides: list[str]) -> None:
    """Write config.yaml, overrides.json, environment.json and code.patch into `folder`/provenance."""
    import torch

    target = folder / "provenance"
    commit, patch = code_state(Path(__file__).parent)
    write_text(target / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    write_json(target / "overrides.json", overrides)
    write_text(target / "code.patch", patch)
    environment = {
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "commit": commit,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    write_json(target / "environment.json", environment)


def code_state(folder: Path) -> tuple[str | None, str]:
    """Return the git commit of the code in `folder` and its uncommitted changes; (None, "") outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or _git(folder, "ls-files", "--error-unmatch", __file__) is None:  # installed inside some other one
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
