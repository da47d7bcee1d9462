"""The state of code under version control: its commit, and a patch of all changes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE_BYTES = 2**20  # size above which an untracked file is left out of a patch
PATCH_BYTES = 8 * 2**20  # total size of untracked files above which further ones are left out
NAMED = 20  # number of left-out files that are named
SECONDS = 20  # time limit of a call of git
RUN = "provenance/environment.json"  # a folder with this file is a run
MADE = {"_multirun", "_sets", "_sweeps"}  # folders beside the runs


@dataclass(frozen=True)
class RepositoryState:
    """The state of a repository.

    Args:
        commit: the commit that is checked out.
        patch: all changes, untracked files included, for `git apply`. Its first lines name the untracked files that
            are left out.
        folder: the top folder of the repository.
    """

    commit: str
    patch: str
    folder: Path


def repository_state(file: Path, tracked: bool = False, without: Sequence[Path] = ()) -> RepositoryState | None:
    """Return the state of the repository of a source file, or None if it is in none.

    Ignored and installed files are in none. Untracked runs and sweeps are left out of the patch.

    Args:
        tracked: True if the file must be tracked.
        without: further folders whose untracked files are left out of the patch.
    """
    git = _Git(file.parent)
    commit, top = git("rev-parse", "HEAD"), git("rev-parse", "--show-toplevel")
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    kinds = ["--cached"] if tracked else ["--cached", "--others", "--exclude-standard"]
    held = git("ls-files", *kinds, "--error-unmatch", "--", file.name) is not None
    if commit is None or top is None or installed or not held:
        return None
    folder = Path(top.strip())
    return RepositoryState(commit.strip(), _patch(_Git(folder), folder, without), folder)


def _patch(git: _Git, folder: Path, without: Sequence[Path]) -> str:
    """Return a patch of all changes. Untracked files are added to a copy of the index, never to the user's."""
    options = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD")
    names, left_out = _untracked(git, folder, without)
    index = git("rev-parse", "--git-path", "index")
    if not names or index is None:
        return _text(left_out, git(*options))
    with _copied(folder / index.strip()) as copy:
        aside = _Git(folder, copy)
        aside("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul", given="\0".join(names))
        return _text(left_out, aside(*options))


def _text(left_out: list[str], patch: str | None) -> str:
    """Return a patch in Unicode; invalid bytes are replaced."""
    return "".join([*left_out, patch or ""]).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _untracked(git: _Git, folder: Path, without: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the untracked files to include, code first, and lines that name those that are too large."""
    listing = git("ls-files", "--others", "--exclude-standard", "-z") or ""
    elsewhere = [Path(path).resolve() for path in without]
    untracked = [
        name for name in listing.split("\0") if name and not name.endswith("/")
    ]  # a folder is another repository
    elsewhere += [folder / name.removesuffix(RUN) for name in untracked if name.endswith(RUN)]
    untracked = [name for name in untracked if not MADE & set(Path(name).parts)]
    untracked = [name for name in untracked if not any((folder / name).is_relative_to(path) for path in elsewhere)]
    names, large, size = [], [], 0
    for name in sorted(untracked, key=lambda name: (Path(name).suffix not in (".py", ".yaml"), name)):
        try:
            bytes_ = (folder / name).lstat().st_size
        except OSError:
            continue
        if bytes_ > FILE_BYTES or size + bytes_ > PATCH_BYTES:
            large.append(f"# left out: {name!r}, {bytes_} bytes\n")
        else:
            names.append(name)
            size += bytes_
    more = [f"# left out: {len(large) - NAMED} more files\n"] if len(large) > NAMED else []
    return names, [*large[:NAMED], *more]


@contextlib.contextmanager
def _copied(index: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as aside:
        copy = Path(aside) / "index"
        shutil.copyfile(index, copy)
        yield copy


class _Git:
    """Calls git in a folder; a call that fails returns None.

    Args:
        index: a file to use in place of the repository's index.
    """

    def __init__(self, folder: Path, index: Path | None = None):
        self.folder = folder
        own = {} if index is None else {"GIT_INDEX_FILE": str(index)}
        self.environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1", **own}

    def __call__(self, *arguments: str, given: str = "") -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(self.folder), *arguments],
                input=os.fsencode(given),
                capture_output=True,
                timeout=SECONDS,
                env=self.environment,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
        return None if done.returncode else os.fsdecode(done.stdout)
