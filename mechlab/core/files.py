"""Files that are either whole or not there: written to a temporary name, synced and renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mechlab.core.errors import RunError

TEMPORARY = ".tmp"
SEAL = "sha256"  # the key of a JSON file under which the digest of all its other content stands


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, sync it and rename it to `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o644)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed writers left under `folder`; nobody may be writing there."""
    for path in list(folder.rglob(f".*{TEMPORARY}")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)  # it may have gone with its folder


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically; numbers that are not finite become null, as JSON has no name for them.

    A mapping also gets the digest of its content, under the key SEAL.
    """
    plain = _plain(value)
    if isinstance(plain, dict):
        plain = {**plain, SEAL: _content_digest(plain)}
    write_text(path, json.dumps(plain, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file without its digest, or raise RunError with the file's name and how to mend it.

    Raises:
        RunError: there is no such file, it holds no JSON, or its content does not match the digest that it holds.
    """
    path = Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError("the file must exist", got="no such file", key=str(path)) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        fix = "delete the file and repeat the command that wrote it"
        raise RunError("the file must hold valid JSON", got=str(error), key=str(path), fix=fix) from None
    if not isinstance(value, dict) or SEAL not in value:
        return value
    seal = value.pop(SEAL)
    if seal != _content_digest(value):
        fix = "restore the file, or delete it and repeat the command that wrote it"
        raise RunError("the file must match the digest in it", got="other content", key=str(path), fix=fix)
    return value


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content_digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a scalar of numpy or torch
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
