"""The arguments of the report: key=value words, read without Hydra so that the program starts at once."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.record.status import has_status

KEYS = ("runs", "by", "out")
OUT = "out=report.html, or another file in a folder of yours"
EXAMPLE = 'python -m mechlab.report runs="runs/*/*"'


@dataclass(frozen=True)
class Request:
    """A report to make.

    Args:
        patterns: globs of run directories, or of folders that hold them.
        by: config keys whose values make the cells; none to join what differs in its seed only.
        out: the HTML file; None for report.html in the folder that holds the runs.
    """

    patterns: tuple[str, ...]
    by: tuple[str, ...] = ()
    out: Path | None = None

    @property
    def command(self) -> str:
        """The command line that makes this report."""
        words = [f'runs="{_joined(self.patterns)}"']
        words += [f"by={_joined(self.by)}"] if self.by else []
        return " ".join(["python -m mechlab.report", *words])


def parse(words: Sequence[str]) -> Request:
    """Return the request that the key=value words of a command line describe, or raise ConfigError.

    >>> parse(["runs=runs/*/*", "by=[task,model.hidden]"]).by
    ('task', 'model.hidden')
    """
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError("each argument must be key=value", got=word, fix=EXAMPLE)
        if key not in KEYS:
            raise ConfigError(f"the report has no key {key!r}", got=word, key=key, fix=did_you_mean(key, KEYS))
        if key in given:
            raise ConfigError("a key must be given once", got=word, key=key, fix=f"{key}=[A,B] names several")
        if not value:
            raise ConfigError("a key must have a value", got=word, key=key, fix=EXAMPLE)
        given[key] = value
    if "runs" not in given:
        raise ConfigError("runs must name the runs of the report", key="runs", fix=EXAMPLE)
    out = Path(given["out"]) if "out" in given else None
    if out is not None:
        _check_name(out)
    return Request(_list(given["runs"]), _list(given.get("by", "")), out)


def _check_name(out: Path) -> None:
    """Raise ConfigError unless a path can be the name of the page."""
    try:
        folder, file = out.is_dir(), out.is_file()
    except OSError as error:
        raise ConfigError("out must name a file that can be written", got=str(error), key="out", fix=OUT) from None
    if folder or not out.suffix:
        fix = f"out={out}.html" if file else f"out={out / 'report.html'}"
        raise ConfigError("out must name a file with an ending", got=str(out), key="out", fix=fix)


def check_writable(out: Path) -> None:
    """Raise ConfigError unless the page and its tables, in the folder of its name, can be written.

    Missing folders are made, as far as that is possible.
    """
    tables = out.with_suffix("")
    try:
        if tables.exists() and not tables.is_dir():
            must = f"the tables of the report need a folder beside it, {tables}, where there is a file"
            raise ConfigError(must, got=str(out), key="out", fix=f"out={out.with_stem(out.stem + '-report')}")
        tables.mkdir(parents=True, exist_ok=True)
        for folder in (out.parent, tables):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        must = f"out must lie in a folder that exists or can be made, and that is writable: {out.parent}"
        raise ConfigError(must, got=str(error), key="out", fix=OUT) from None


def find_runs(patterns: Sequence[str]) -> list[Path]:
    """Return the run directories that globs match, or that lie in the folders that they match.

    Raises:
        ConfigError: there are none.
    """
    matches: set[Path] = set()
    matched = False
    for pattern in patterns:
        folders = [Path(path) for path in glob.glob(os.path.expanduser(pattern), recursive=True)]
        matched = matched or bool(folders)
        for folder in folders:
            if has_status(folder):
                matches.add(folder)
            else:
                matches |= {inside for inside in (*folder.glob("*"), *folder.glob("*/*")) if has_status(inside)}
    if not matches:
        must = "runs must name at least one run directory: one that holds status.json"
        must = must if matched else "runs must name run directories, and this matches no file or folder"
        raise ConfigError(must, got=_joined(patterns), key="runs", fix=_near(patterns))
    return sorted(matches)


def _near(patterns: Sequence[str]) -> str:
    """Return what to type instead: where the pattern stops to match, which names there are."""
    folder, wanted = Path(patterns[0]), ""
    while folder != folder.parent and not folder.is_dir():
        folder, wanted = folder.parent, folder.name
    names = [path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._"]
    if not names or not wanted:
        return f"python -m mechlab.train makes runs; then {EXAMPLE}"
    return f"in {folder}: {did_you_mean(wanted, names)}"


def _list(text: str) -> tuple[str, ...]:
    """Return the words of `[A,B]` or `A,B`; brackets of a glob stay."""
    if text.startswith("[") and text.endswith("]") and ("," in text or text.count("[") == 1):
        text = text[1:-1]
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"[{','.join(words)}]"
