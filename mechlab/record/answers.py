"""The folders of answers (results of analyses) in a run directory, and their replacement: a process that is killed
at any moment leaves the old or the new one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mechlab.core.errors import MechlabError, RunError
from mechlab.record import result
from mechlab.record.files import file_digest

FOLDER = "analyses"
FINDING = "finding.json"
MOMENTS = "moments"  # answers about other moments of training lie in this folder, below the answer about its end
SHOWN = 25  # items of a parameter that are listed as a difference
NEW, OLD = ".new", ".old"  # endings of the two halves of a replacement


def place(run: Path, name: str, parameters: Mapping[str, Any], configured: Mapping[str, Any], seed: int | None) -> Path:
    """Return the folder of an answer: `analyses/<name>` with the configured parameters and the run's own seed, else
    `analyses/<name>@<hash of parameters and seed>`.

    Args:
        run: the run directory.
        name: the analysis.
        parameters: those of the answer, with the class that answers.
        configured: those of the run's own configuration, or else the analysis's defaults.
        seed: root seed of the analysis's randomness; None for the run's.
    """
    if seed is None and _plain(parameters) == _plain(configured):
        return run / FOLDER / name
    text = json.dumps({"parameters": _plain(parameters), "seed": seed}, sort_keys=True)
    return run / FOLDER / f"{name}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def differences(parameters: Mapping[str, Any], configured: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """Return what distinguishes an answer from the one with the configured parameters: parameters by name, the seed.

    A long list is represented by its length and hash.
    """
    given, usual = _plain(parameters), _plain(configured)
    differing = {key: shortened(value) for key, value in given.items() if key not in usual or usual[key] != value}
    return differing if seed is None else {**differing, "seed": seed}


def replace(folder: Path, new: Path) -> None:
    """Put the finished folder `new` in the place of `folder`, whose answers about other moments remain.

    Wherever the process is killed, `complete` ends what was begun.
    """
    complete_at(folder)
    new.rename(_half(folder, NEW))
    complete_at(folder)


def complete(run: Path) -> None:
    """End the replacements that a killed process began anywhere in a run directory; the run must be claimed."""
    while half := next(_halves(run), None):
        complete_at(half.with_name(half.name[1:].removesuffix(NEW).removesuffix(OLD)))


def is_complete(run: Path) -> bool:
    """True if no replacement was begun and not ended."""
    return next(_halves(run), None) is None


def complete_at(folder: Path) -> None:
    """End a replacement that was begun at one folder, if there is one.

    Its steps are: folder -> old, new -> folder, moments from old to folder, old removed.
    """
    new, old = _half(folder, NEW), _half(folder, OLD)
    if new.exists() and not folder.exists():
        new.rename(folder)
    _remove_old(old, folder)
    if new.exists():
        folder.rename(old)
        new.rename(folder)
        _remove_old(old, folder)


def _remove_old(old: Path, folder: Path) -> None:
    if not old.exists():
        return
    if not folder.exists():
        old.rename(folder)
        return
    if (old / MOMENTS).exists():
        (old / MOMENTS).rename(folder / MOMENTS)
    shutil.rmtree(old)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an answer, by its path in the answer's folder."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / FINDING)
    return {str(path.relative_to(folder)): file_digest(path) for path in paths}


def read_finding(folder: Path) -> dict[str, Any]:
    """Read the finding of an answer.

    Raises:
        RunError: it is missing or damaged, or one of the files that belong to it is.
    """
    finding = result.read_finding(folder / FINDING)
    for name, digest in finding.get("files", {}).items():
        path = folder / name
        if not path.is_file():
            raise RunError("every file of an answer must be there", got="no such file", key=str(path), fix=_again(path))
        if file_digest(path) != digest:
            must = "every file of an answer must be as it was written"
            raise RunError(must, got="other content", key=str(path), fix=_again(path))
    return finding


def read_findings(run: Path, damaged: list[MechlabError] | None = None) -> dict[str, dict[str, Any]]:
    """Read the findings about the end of training by the name of their folder: `<name>` or `<name>@<hash>`.

    Args:
        run: the run directory.
        damaged: gets the errors of findings that cannot be read; the first of them is raised if this is None.
    """
    findings = {}
    for path in sorted(run.glob(f"{FOLDER}/*/{FINDING}")):
        try:
            findings[path.parent.name] = read_finding(path.parent)
        except MechlabError as error:
            if damaged is None:
                raise
            damaged.append(error)
    return findings


def summary(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return what result.json holds of a finding: scalars, claims, notes if there are some, and what differs from the
    configured parameters."""
    names = ("scalars", "claims", *(name for name in ("notes", "differs") if finding.get(name)))
    return {name: finding[name] for name in names}


def _half(folder: Path, ending: str) -> Path:
    return folder.with_name(f".{folder.name}{ending}")


def _halves(run: Path) -> Iterator[Path]:
    for pattern in (f"{FOLDER}/.*", f"{FOLDER}/*/{MOMENTS}/.*"):
        yield from (path for path in run.glob(pattern) if path.name.endswith((NEW, OLD)))


def _again(path: Path) -> str:
    return f"run it again: python -m mechlab.analyze run=RUN analysis={path.parent.name.partition('@')[0]}"


def shortened(value: Any) -> Any:
    """Return a value for display: a long list as its length and hash."""
    if not isinstance(value, list) or len(value) <= SHOWN:
        return value
    return f"{len(value)} items, sha256 {hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:8]}"


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
