"""Atomic writing and guarded reading of files.

A file is written to a temporary name, synced and renamed. Only regular files of limited size and depth are read, since
a record may be damaged or come from somebody else."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from mechlab.core.errors import RunError

TEMPORARY = ".tmp"
SEAL = "sha256"  # the key of a JSON file that holds the digest of all its other content
JSON_BYTES = 64 * 2**20
LINES_BYTES = 2**30  # of a manifest of a hundred thousand jobs
TABLE_BYTES = 2**28
YAML_BYTES = 4 * 2**20
SECTION_LETTERS = 10_000  # of a section of YAML that is parsed once for all records that have it
DEPTH = 64  # containers within containers
TOO_DEEP = f"more than {DEPTH} containers within each other"
LONG_NUMBER = "a whole number of thousands of digits"
INTEGER_BITS = 14_000  # of a whole number in YAML: Python prints one of 4,300 digits at most
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REPEAT = "delete the file and repeat the command that wrote it"


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, sync it and rename it to `path`.

    Raises:
        RunError: there is a folder of that name.
    """
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
        try:
            os.replace(temporary, path)
        except IsADirectoryError:
            raise RunError("the file must be a regular file", got="a folder", key=str(path), fix="remove it") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(folder: str | Path, key: str | None = None) -> Iterator[None]:
    """Convert an OSError in the block, which writes into `folder`, into a RunError that names the remedy.

    Args:
        folder: the folder.
        key: the config key that names it; the folder by default.
    """
    try:
        yield
    except OSError as error:
        raise not_writable(folder, error, key) from error


def not_writable(folder: str | Path, error: Exception, key: str | None = None) -> RunError:
    """Return the error for the user where a file could not be written."""
    if isinstance(error, BrokenPipeError):  # no file: the program that printed lines go to has ended
        must, fix = "what is printed must be read to its end", "repeat the command: it resumes from the present record"
        return RunError(must, got=str(error), key="standard output", fix=fix)
    full = getattr(error, "errno", None) in FULL or "PytorchStreamWriter" in str(error)
    fix = "make room on the disk: space, inodes or quota" if full else "change its permissions, or choose another one"
    must = "the folder must be writable"
    if key is None:
        must, fix = (
            "the run directory must be writable",
            f"{fix}; then repeat the command: it resumes from the present record",
        )
    return RunError(must, got=str(error), key=key or str(folder), fix=fix)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed writers left under `folder`; no process may be writing there."""
    for path in list(folder.rglob(f".*{TEMPORARY}")):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file, a folder with its content, or a link (not its target); a missing path is not an error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refuse_links(folder: str | Path) -> None:
    """Raise RunError if anything below a run directory is a link, or another file that is not regular.

    A process that writes or removes files of a run would otherwise do so at the target of the link. The directory
    itself may be a link.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not entry.is_file(follow_symlinks=False):
                        _refuse_link(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # removed meanwhile by the process that wrote it
            continue
        except OSError as error:
            must = "every folder of a run must be readable"
            raise RunError(must, got=str(error), key=str(folder), fix="change its permissions") from None


def _refuse_link(path: str) -> None:
    mode = os.lstat(path).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    got = f"a link to {os.readlink(path)}" if stat.S_ISLNK(mode) else "a special file"
    fix = "put the file or folder itself in its place, or remove it"
    raise RunError("below a run directory there must be files and folders only", got=got, key=path, fix=fix)


def open_regular(
    path: str | Path, mode: str = "r", flags: int = os.O_RDONLY, most: int | None = None, **options: Any
) -> IO[Any]:
    """Open a file of a record, without following a link and without waiting for another program.

    Args:
        path: the file.
        mode: as `open` takes it.
        flags: as `os.open` takes them; they must fit the mode.
        most: largest permitted size in bytes.
        options: further arguments of `open`.

    Raises:
        RunError: it is a link, not a regular file, or too large.
        OSError: it cannot be opened.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            _not_regular(path)
        raise
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        _not_regular(path)
    if most is not None and about.st_size > most:
        os.close(handle)
        must, got = f"the file must have at most {most:,} bytes", f"{about.st_size:,}"
        raise RunError(must, got=got, key=str(path), fix=REPEAT)
    return open(handle, mode, **options)


def _not_regular(path: str | Path) -> None:
    kind = "a link" if os.path.islink(path) else "a folder" if os.path.isdir(path) else "a special file"
    raise RunError("the file must be a regular file", got=kind, key=str(path), fix="remove it") from None


def read_bytes(path: str | Path, most: int) -> bytes:
    """Read a file of at most so many bytes, or raise RunError with the file's name and the remedy."""
    try:
        with open_regular(path, "rb", most=most) as file:
            return file.read(most)
    except FileNotFoundError:
        raise RunError("the file must exist", got="no such file", key=str(path)) from None
    except OSError as error:
        fix = "change its permissions"
        raise RunError("the file must be readable", got=str(error), key=str(path), fix=fix) from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically; characters that UTF-8 cannot encode (unpaired surrogates) are escaped."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically; see `json_text`."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return the text of a JSON file; numbers that are not finite become null, since JSON cannot express them.

    A mapping also gets the digest of its content, under the key SEAL.
    """
    plain = _plain(value)
    if isinstance(plain, dict):
        plain = {**plain, SEAL: _content_digest(plain)}
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"


def read_json(path: str | Path) -> Any:
    """Read a JSON file of limited size and depth, without the digest of its content.

    Raises:
        RunError: it is missing, not valid, too large or too deep, or its content does not match the digest in it.
    """
    value = parse_json(read_bytes(path, JSON_BYTES), path)
    if not isinstance(value, dict) or SEAL not in value:
        return value
    seal = value.pop(SEAL)
    if seal != _content_digest(value):
        must = "the file must match the digest in it"
        raise RunError(must, got="other content", key=str(path), fix=f"restore the file, or {REPEAT}")
    return value


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with open_regular(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content_digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_mapping(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object; see `read_json`."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise RunError("the file must hold a JSON object", got=type(value).__name__, key=str(path), fix=REPEAT)
    return value


def read_json_lines(path: str | Path) -> list[Any]:
    """Read a file with one JSON value per line; see `read_json`."""
    return [parse_json(line, path) for line in read_bytes(path, LINES_BYTES).splitlines()]


def parse_json(content: bytes, path: str | Path) -> Any:
    """Parse JSON text; `path` names its source in the RunError for text that is not valid or too deep."""
    return _parsed("JSON", json.loads, content, path)


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file that holds plain data, or raise RunError with the file's name and the remedy.

    Its size and depth are limited, and it must have no aliases: a few lines of them can stand for gigabytes.
    """
    return _parsed("YAML", _load_yaml, read_bytes(path, YAML_BYTES), path)


def _parsed(language: str, load: Callable[[str], Any], content: bytes, path: str | Path) -> Any:
    try:
        value = load(content.decode("utf-8"))
        _check_depth(value)
    except RecursionError:
        got = TOO_DEEP
    except ValueError as error:
        got = LONG_NUMBER if "set_int_max_str_digits" in str(error) else str(error)
    else:
        return value
    raise RunError(f"the file must hold valid {language}", got=got, key=str(path), fix=REPEAT) from None


def _check_depth(value: Any) -> None:
    level: list[Any] = [[value]]
    for _ in range(DEPTH + 1):
        inside = (item for box in level for item in (box.values() if isinstance(box, dict) else box))
        level = [item for item in inside if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def _load_yaml(text: str) -> Any:
    """Return the value of a YAML text, by its top-level sections where it has some: many records share most of them."""
    parts = [part for part in re.split(r"^(?=\w)", text, flags=re.MULTILINE) if part]
    if len(parts) > 1 and max(map(len, parts)) < SECTION_LETTERS:
        with contextlib.suppress(ValueError):
            sections = [_load_section(part) for part in parts]
            if all(isinstance(section, dict) and len(section) == 1 for section in sections):
                return {key: _copy(value) for section in sections for key, value in section.items()}
    return _load_whole_yaml(text)


@functools.lru_cache(maxsize=1024)
def _load_section(text: str) -> Any:
    return _load_whole_yaml(text)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _load_whole_yaml(text: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):  # first, since composing is recursive and follows aliases
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"an alias, *{event.anchor}, which no record has")
            if getattr(event, "tag", None) is not None:
                raise ValueError(f"a tag, {event.tag}, which no record has")
            starts, ends = (yaml.CollectionStartEvent, yaml.CollectionEndEvent)
            depth += isinstance(event, starts) - isinstance(event, ends)
            if depth > DEPTH:
                raise ValueError(TOO_DEEP)
        value = yaml.load(text, loader)
    except (yaml.YAMLError, ArithmeticError, LookupError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    _check_plain(value)
    return value


def _check_plain(value: Any) -> None:
    """Raise ValueError if a value holds anything but text, numbers, truth values and null in mappings and lists."""
    if isinstance(value, dict | list):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_plain(item)
    elif isinstance(value, int) and value.bit_length() > INTEGER_BITS:
        raise ValueError(LONG_NUMBER)
    elif value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"{value!r}, which is neither text nor a number")


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
