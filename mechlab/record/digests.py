"""Digests of the files of a run that carry results: recorded at the end of training, compared when a file is read.

JSON and safetensors files contain their own digest (`record.files.write_json`, `record.tensors.save_tensors`), and a
finding those of the files in its folder. Three files list the digests of all others, and so which files must exist:
provenance/environment.json for the rest of the provenance, digests.json for everything that training writes, and
over_training.json beside the findings of an analysis at several steps for the curves that were made of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mechlab.core.errors import MechlabError, RunError
from mechlab.record import answers
from mechlab.record.files import file_digest, read_json, read_mapping, write_json
from mechlab.record.result import NUMBER, fits
from mechlab.record.status import read_status

DIGESTS, RESULT = "digests.json", "result.json"
CONFIG, METRICS, WEIGHTS = "provenance/config.yaml", "metrics.csv", "checkpoints/weights.safetensors"
OF_TRAINING = (METRICS, WEIGHTS, "checkpoints/best.ckpt", "history/**/*", "tb/events*")
ENVIRONMENT = "provenance/environment.json"
CURVES = f"{answers.FOLDER}/*/{answers.MOMENTS}/over_training.json"
AGAIN = "repeat the command that trained the run: it restores what the record allows; or train it anew with rerun=true"


def write_digests(run: Path, steps: int, seconds: float) -> None:
    """Write digests.json, whose presence marks the end of training.

    Args:
        run: the run directory.
        steps: optimiser steps done.
        seconds: how long the last process trained.
    """
    write_json(run / DIGESTS, {"steps": steps, "seconds": seconds, "files": _present(run)})


def update_digests(run: Path, names: Collection[str]) -> None:
    """Record the digests of files that have been rewritten; all other digests are unchanged.

    Args:
        run: the run directory.
        names: recorded names of the files. If one is in history/ or tb/, all of that folder are renewed: its files may
            have been split differently.
    """
    recorded = read_digests(run)
    if recorded is None or not names:
        return
    folders = tuple(f"{name.partition('/')[0]}/" for name in names if name.startswith(("history/", "tb/")))
    renewed = {name: digest for name, digest in _present(run).items() if name in names or name.startswith(folders)}
    unchanged = {name: digest for name, digest in recorded["files"].items() if name not in names}
    write_json(run / DIGESTS, {**recorded, "files": unchanged | renewed})


def write_curve_digests(run: Path, answer: str, events: Path | None) -> None:
    """Record the digests of the table and figure that an analysis at several steps gave, and of its curves in tb/.

    Args:
        run: the run directory.
        answer: the folder's name of the answer in analyses/.
        events: the file of the curves, if there is one.
    """
    folder = run / answers.FOLDER / answer / answers.MOMENTS
    paths = [path for path in sorted(folder.glob("over_training.*")) if path.suffix != ".json"]
    paths += [events] if events is not None else []
    files = {str(path.relative_to(run)): file_digest(path) for path in paths}
    write_json(folder / "over_training.json", {"files": files})


def changed_files(run: Path, files: Mapping[str, str]) -> list[str]:
    """Return the names of the files that are missing or differ from their digests."""
    return [name for name, digest in files.items() if not (run / name).is_file() or file_digest(run / name) != digest]


def read_digests(run: Path) -> dict[str, Any] | None:
    """Return what `write_digests` wrote: steps, seconds and files; None if it is missing or damaged."""
    try:
        content = read_json(run / DIGESTS)
    except MechlabError:
        return None
    whole = isinstance(content, dict) and fits(content.get("steps"), NUMBER) and fits(content.get("seconds"), NUMBER)
    return content if whole and isinstance(content.get("files"), dict) else None


def has_digests(run: Path) -> bool:
    """True if digests of the run's files were recorded; earlier versions did not record them."""
    return bool(_recorded(run))


def check_file(run: Path, name: str) -> None:
    """Compare one file of a run with its recorded digest, where there is one.

    Raises:
        RunError: the file is not as it was written.
    """
    digest = (_recorded(run) | _curve_digests(run)).get(name)
    if digest is not None and (run / name).is_file() and file_digest(run / name) != digest:
        raise _changed(run / name)


def missing_files(run: Path) -> Iterator[RunError]:
    """Yield an error for every file of a run that its digests list and that is not there; no content is compared."""
    yield from (_missing(run / name) for name in _recorded(run) if not os.path.lexists(os.path.join(run, name)))


def damages(run: Path) -> Iterator[RunError]:
    """Yield an error for every file of a run that is missing, or not as it was written."""
    from mechlab.record.tensors import load_checkpoint, open_tensors  # torch takes over a second to import

    for path in [*sorted(run.glob("*.json")), *run.glob("history/*.json")]:
        yield from _errors(read_json, path)
    yield from provenance_damages(run).values()
    if read_status(run)["status"] == "done" and has_digests(run) and not (run / DIGESTS).exists():
        yield _missing(run / DIGESTS)
    yield from _differing(run, (read_digests(run) or {"files": {}})["files"]).values()
    if (run / DIGESTS).exists():
        yield from (_missing(path) for path in _after_training(run) if not path.exists())
    else:  # training has not ended: each file is compared with the digest in it
        for path in sorted(run.glob("history/**/*.safetensors")):
            yield from _errors(open_tensors, path)
    for path in sorted(run.glob("checkpoints/*.ckpt")):
        yield from _errors(load_checkpoint, path)
    for pattern in ("*", f"*/{answers.MOMENTS}/*"):
        for path in sorted(run.glob(f"{answers.FOLDER}/{pattern}/{answers.FINDING}")):
            yield from _errors(answers.read_finding, path.parent)
    for path in sorted(run.glob(CURVES)):
        yield from _errors(read_json, path)
    fix = "run it again: python -m mechlab.analyze run=RUN analysis=NAME at=all"
    yield from _differing(run, _curve_digests(run), fix).values()


def provenance_damages(run: Path) -> dict[str, RunError]:
    """Return an error for every file of the provenance that is missing, or not as it was written, by its name there."""
    target, errors = run / "provenance", {}
    for path in sorted(target.glob("*.json")):
        for error in _errors(read_json, path):
            errors[path.name] = error
    if (target / "config.yaml").exists() and not (run / ENVIRONMENT).exists():
        errors["environment.json"] = _missing(run / ENVIRONMENT)
    return errors | _differing(target, _provenance_digests(run))


def _after_training(run: Path) -> Iterator[Path]:
    """Yield the files that are written once training has ended: status, result, and the findings that it holds."""
    yield from (run / "status.json", run / RESULT)
    try:
        findings = read_mapping(run / RESULT).get("findings")
    except MechlabError:
        return
    yield from (run / answers.FOLDER / name / answers.FINDING for name in findings or ())


def _differing(folder: Path, files: Mapping[str, str], fix: str = AGAIN) -> dict[str, RunError]:
    paths = {name: folder / name for name in changed_files(folder, files)}
    return {name: _changed(path, fix) if path.is_file() else _missing(path, fix) for name, path in paths.items()}


def _present(run: Path) -> dict[str, str]:
    paths = (path for pattern in OF_TRAINING for path in sorted(run.glob(pattern)))
    return {str(path.relative_to(run)): file_digest(path) for path in paths if path.is_file()}


def _recorded(run: Path) -> dict[str, str]:
    """Return the recorded digests by path in the run directory."""
    digests = dict((read_digests(run) or {}).get("files", {}))
    return digests | {f"provenance/{name}": digest for name, digest in _provenance_digests(run).items()}


def _provenance_digests(run: Path) -> dict[str, str]:
    try:
        files = read_mapping(run / ENVIRONMENT).get("files")
    except MechlabError:
        files = None
    return files if isinstance(files, dict) else {}


def _curve_digests(run: Path) -> dict[str, str]:
    """Return the recorded digests of curves over training by path in the run directory."""
    digests: dict[str, str] = {}
    for path in run.glob(CURVES):
        with contextlib.suppress(MechlabError):
            files = read_mapping(path).get("files")
            digests |= files if isinstance(files, dict) else {}
    return digests


def _missing(path: Path, fix: str = AGAIN) -> RunError:
    return RunError("every file of the record must be there", got="no such file", key=str(path), fix=fix)


def _changed(path: Path, fix: str = AGAIN) -> RunError:
    return RunError("every file of the record must be as it was written", got="other content", key=str(path), fix=fix)


def _errors(read: Any, path: Path) -> Iterator[RunError]:
    try:
        read(path)
    except RunError as error:
        yield error
