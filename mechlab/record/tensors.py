"""Tensors on disk: safetensors files with one JSON string of metadata, which includes the digest of the whole file."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mechlab.core.errors import RunError
from mechlab.core.precision import in_precision
from mechlab.record.files import atomic, parse_json

METADATA_KEY = "mechlab"  # a single key: the order of several differs between processes, and the bytes with it
COMPLEX = ":complex"  # follows the name of a complex tensor: the format has no name for double precision
_NO_DIGEST = "0" * 64  # placeholder in the file while its digest is computed
_verified: set[tuple[str, int, int, int]] = set()  # files whose digest this process has compared


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Any = None) -> None:
    """Write named tensors atomically; `metadata` is anything that JSON can hold. Complex tensors are stored as real
    ones (..., 2), with `:complex` after their name, and read as they were."""
    plain = {name: value.cpu().contiguous().clone() for name, value in real_parts(tensors).items()}
    about = json.dumps({"content": metadata, "sha256": _NO_DIGEST}, sort_keys=True)
    content = memoryview(safetensors.torch.save(plain, {METADATA_KEY: about}))
    start = 8 + int.from_bytes(content[:8], "little")
    header = bytes(content[:start])
    digest = hashlib.sha256(content).hexdigest()
    with atomic(path) as temporary, open(temporary, "wb") as file:  # save_file would hide an OSError, as of a full disk
        file.write(header.replace(_NO_DIGEST.encode(), digest.encode()))
        file.write(content[start:])


def load_tensors(path: str | Path, names: list[str] | None = None) -> dict[str, Tensor]:
    """Read tensors by name (all of them by default), or raise RunError when the file is missing or damaged."""
    with open_tensors(path) as file:
        tensors = dict(named(key, file.get_tensor(key)) for key in file.keys() if names is None or _name(key) in names)  # noqa: SIM118
    return tensors if names is None else {name: tensors[name] for name in names}


def named(key: str, stored: Tensor, dtype: torch.dtype | None = None) -> tuple[str, Tensor]:
    """Return the name and the value of a tensor, or of some of its rows, given its key in the file and what is stored
    there.

    Args:
        dtype: of floating values, or of the parts of complex ones, where it is not the stored one.
    """
    if dtype is not None:
        stored = in_precision(stored, dtype)
    return _name(key), stored if key == _name(key) else torch.view_as_complex(stored)


def real_parts(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as a file holds them: complex ones as real ones (..., 2), with `:complex` after their name."""
    real = {}
    for name, tensor in tensors.items():
        value = tensor.detach().resolve_conj().resolve_neg()
        real |= {f"{name}{COMPLEX}": torch.view_as_real(value)} if value.is_complex() else {name: value}
    return real


def _name(key: str) -> str:
    return key.removesuffix(COMPLEX)


def load_metadata(path: str | Path) -> Any:
    """Read the metadata that `save_tensors` wrote; the rest of the file is not read, nor compared with its digest."""
    with _opened(path) as file:
        return _metadata(path, file)[0]


def open_tensors(path: str | Path) -> Any:
    """Open a safetensors file for reading parts of it (a context manager).

    The first time in a process, the whole file is compared with the digest in it, where there is one.

    Raises:
        RunError: the file is missing or damaged.
    """
    file = _opened(path)
    about = os.stat(path)
    known = (str(path), about.st_ino, about.st_size, about.st_mtime_ns)
    if known not in _verified:
        _verify(Path(path), _metadata(path, file)[1])
        _verified.add(known)
    return file


def _opened(path: str | Path) -> Any:
    if not Path(path).is_file():
        raise RunError("the file must exist", got="no such file", key=str(path))
    try:
        return safetensors.safe_open(str(path), framework="pt")
    except (safetensors.SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from None


def _metadata(path: str | Path, file: Any) -> tuple[Any, str | None]:
    """Return what `save_tensors` was given and the file's digest; None in files from before there was one."""
    texts = file.metadata() or {}
    value = parse_json(texts.get(METADATA_KEY, "null").encode(), path)
    keys = value.keys() & {"content", "sha256"} if isinstance(value, dict) else set()
    if len(keys) == 2:
        return value["content"], str(value["sha256"])
    if keys or (texts and METADATA_KEY not in texts):
        raise _damaged(path, "its metadata are not those that were written")
    return value, None


def _verify(path: Path, digest: str | None) -> None:
    if digest is None:
        return
    with open(path, "rb") as file:
        size = file.read(8)
        header = file.read(int.from_bytes(size, "little"))
        computed = hashlib.sha256(size + header.replace(digest.encode(), _NO_DIGEST.encode()))
        while block := file.read(2**20):
            computed.update(block)
    if computed.hexdigest() != digest:
        raise _damaged(path, "its content does not match the digest in it")


def _damaged(path: str | Path, got: str) -> RunError:
    fix = "restore the file, or repeat the command that trained the run"
    return RunError("the file must be a whole safetensors file", got=got, key=str(path), fix=fix)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, running no code from it; raise RunError when it is damaged in any place."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise ValueError(f"{bad} has another checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        got, fix = f"{type(error).__name__}: {error}", "choose another moment of the run, or train it again"
        raise RunError("the file must be a whole checkpoint", got=got, key=str(path), fix=fix) from None
