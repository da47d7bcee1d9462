"""Tensors on disk: safetensors with one JSON string of metadata."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mechlab.core.errors import RunError
from mechlab.core.files import atomic

METADATA_KEY = "mechlab"  # a single key: the order of several differs between processes, and the bytes with it
COMPLEX = ":complex"  # follows the name of a complex tensor: the format has no name for double precision


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Any = None) -> None:
    """Write named tensors atomically; `metadata` is anything that JSON can hold. Complex tensors are stored as real
    ones (..., 2), with `:complex` after their name, and read as they were."""
    plain = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().clone()
        plain |= {f"{name}{COMPLEX}": torch.view_as_real(value)} if value.is_complex() else {name: value}
    content = safetensors.torch.save(plain, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    with atomic(path) as temporary:
        temporary.write_bytes(content)  # save_file would hide an OSError, such as a full disk


def load_tensors(path: str | Path, names: list[str] | None = None) -> dict[str, Tensor]:
    """Read tensors by name (all of them by default), or raise RunError when the file is missing or damaged."""
    with open_tensors(path) as file:
        found = dict(named(key, file.get_tensor(key)) for key in file.keys() if names is None or _name(key) in names)  # noqa: SIM118
    return found if names is None else {name: found[name] for name in names}


def named(key: str, stored: Tensor) -> tuple[str, Tensor]:
    """Return the name and the value of a tensor, or of some of its rows, given its key in the file and what is stored
    there."""
    return _name(key), stored if key == _name(key) else torch.view_as_complex(stored)


def _name(key: str) -> str:
    return key.removesuffix(COMPLEX)


def load_metadata(path: str | Path) -> Any:
    """Read the metadata that `save_tensors` wrote."""
    with open_tensors(path) as file:
        return json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))


def open_tensors(path: str | Path) -> Any:
    """Open a safetensors file for reading parts of it (a context manager), or raise RunError."""
    if not Path(path).is_file():
        raise RunError("the file must exist", got="no such file", key=str(path))
    try:
        return safetensors.safe_open(str(path), framework="pt")
    except (safetensors.SafetensorError, OSError) as error:
        fix = "delete the file and repeat the command that wrote it"
        raise RunError("the file must be a whole safetensors file", got=str(error), key=str(path), fix=fix) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, running no code from it; raise RunError when it is damaged in any place."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise ValueError(f"{bad} has another checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever damage does to a reader
        got, fix = f"{type(error).__name__}: {error}", "ask for another moment of the run, or train it again"
        raise RunError("the file must be a whole checkpoint", got=got, key=str(path), fix=fix) from None
