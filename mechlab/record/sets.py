"""Answers about sets of runs: `<root>/_sets/<hash>/<analysis>/`, beside set.json: the runs, and what was read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlab.core.errors import MechlabError, RunError
from mechlab.record import answers
from mechlab.record.files import file_digest, read_mapping
from mechlab.record.result import read_result, read_set

FOLDER = "_sets"
SET = "set.json"

COMPARED = ("published", "corrected", "tolerance", "source")  # of an expected number


def run_name(run: Path) -> str:
    """Return a run directory relative to the folder that holds the runs: `<task>-<model>/<run_id>-s<seed>`."""
    return f"{run.parent.name}/{run.name}"


def root_of(runs: Sequence[Path]) -> Path:
    """Return the folder that holds the runs.

    Raises:
        RunError: they lie in several.
    """
    roots = {run.parent.parent.resolve(): run.parent.parent for run in runs}
    if len(roots) > 1:
        got = ", ".join(map(str, sorted(roots.values())[:3]))
        raise RunError("the runs of a set must lie below one folder", got=got, key="run", fix="copy them into one")
    return next(iter(roots.values()))


def digests_of(run: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of each file of a run that matches the patterns, by its path in the run directory.

    Of result.json only metrics and findings are hashed, since it also holds the run's path.
    """
    files = {}
    for path in sorted({path for pattern in patterns for path in run.glob(pattern) if path.is_file()}):
        name = path.relative_to(run).as_posix()
        files[name] = _digest_of_result(run) if name == "result.json" else file_digest(path)
    return files


def place(root: Path, about: Mapping[str, Any]) -> Path:
    """Return the folder of an answer, `<root>/_sets/<hash>/<analysis>`; the hash is that of all that set.json holds, of
    expected numbers without the words about them."""
    expected = {key: {name: value[name] for name in COMPARED} for key, value in about["expected"].items()}
    text = json.dumps({**about, "expected": expected}, sort_keys=True, default=str)
    return root / FOLDER / hashlib.sha256(text.encode()).hexdigest()[:10] / about["analysis"]


def read_answer(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of set.json and of finding.json of an answer.

    Raises:
        RunError: something of it is missing or damaged.
    """
    about = read_set(folder.parent / SET)
    patterns = about["reads"] if isinstance(about["reads"], list) else [about["reads"]]
    for word in (*about["runs"], *patterns):
        if not isinstance(word, str) or word.startswith("/") or ".." in word.split("/"):
            must = "a set must name runs and files below the folder of the runs"
            raise RunError(must, got=word, key=str(folder.parent / SET), fix="remove the folder of the set")
    return about, answers.read_finding(folder)


def answers_about(root: Path, runs: Sequence[str]) -> Iterator[Path]:
    """Yield the folders of all answers below a root whose runs are all among the given ones, ordered by analysis.

    Args:
        root: the folder that holds the runs.
        runs: as `run_name` has them.
    """
    wanted, folders = set(runs), []
    for path in root.glob(f"{FOLDER}/[!.]*/{SET}"):
        try:
            about = read_mapping(path)
            inside = set(about["runs"]) <= wanted
            folder = path.parent / str(about["analysis"])
        except (MechlabError, KeyError, TypeError):
            continue
        if inside and (folder / answers.FINDING).is_file() and folder.parent == path.parent:
            folders.append((folder.name, -len(about["runs"]), folder))
    yield from (folder for *_, folder in sorted(folders))


def is_current(root: Path, about: Mapping[str, Any]) -> bool:
    """True if the files from which a finding was computed are unchanged."""
    runs = about["runs"].items()
    return all(digests_of(root / run, about["reads"]) == read["files"] for run, read in runs)


def _digest_of_result(run: Path) -> str:
    result = read_result(run)
    counted = {"metrics": result["metrics"], "findings": result.get("findings", {})}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
