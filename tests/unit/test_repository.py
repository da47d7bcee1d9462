"""The state of code under version control, as it is recorded with a run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mechlab.config import repository
from mechlab.config.repository import repository_state


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    own = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit and one file changed since."""
    folder = tmp_path / "checkout"
    (folder / "lab").mkdir(parents=True)
    (folder / "lab" / "task.py").write_text("x = 1\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    (folder / "lab" / "task.py").write_text("x = 2\n")
    return folder


def test_a_patch_makes_the_commit_what_is_there(checkout: Path, tmp_path: Path) -> None:
    """Changed, staged and untracked files of all kinds; the user's index stays as it is."""
    (checkout / "lab" / "staged.py").write_text("y = 1\n")
    git(checkout, "add", "lab/staged.py")
    for name, content in (("new task.py", b"z = '\xc3\xa4'\n"), ("*.py", b"w = 1\n"), ("-x", b"v\n"), ("a.log", b"no")):
        (checkout / "lab" / name).write_bytes(content)
    index, status = (checkout / ".git" / "index").read_bytes(), git(checkout, "status", "--porcelain")
    state = repository_state(checkout / "lab" / "task.py")
    assert ((checkout / ".git" / "index").read_bytes(), git(checkout, "status", "--porcelain")) == (index, status)
    assert (state.commit, state.folder) == (git(checkout, "rev-parse", "HEAD").strip(), checkout)
    git(tmp_path, "clone", str(checkout), "clone")
    (tmp_path / "patch").write_text(state.patch, encoding="utf-8")
    git(tmp_path / "clone", "apply", str(tmp_path / "patch"))
    found = {path.name: path.read_bytes() for path in (tmp_path / "clone" / "lab").iterdir()}
    assert found == {path.name: path.read_bytes() for path in (checkout / "lab").iterdir() if path.name != "a.log"}


def test_binary_and_large_files_are_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "FILE_BYTES", 1000)
    (checkout / "picture.bin").write_bytes(bytes(range(256)))
    (checkout / "latin.txt").write_bytes(b"na\xefve\n")
    (checkout / "large.csv").write_text("1" * 1001)
    patch = repository_state(checkout / "lab" / "task.py").patch
    assert patch.startswith("# left out: 'large.csv', 1001 bytes\ndiff --git")
    assert "Binary files /dev/null and b/picture.bin differ" in patch and "na\ufffdve" in patch


def test_a_patch_stays_small_whatever_lies_about(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code comes first, and runs are left out."""
    monkeypatch.setattr(repository, "PATCH_BYTES", 100)
    for name in ("runs/anything", "other/a-b/0-s0/provenance/environment.json", "other/a-b/0-s0/provenance/code.patch"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("of a run")
    (checkout / "other" / "_sweeps").mkdir()
    (checkout / "other" / "_sweeps" / "code.py").write_text("of a run")
    for i in range(30):
        (checkout / f"a{i}.txt").write_text("t" * 60)
    (checkout / "z.py").write_text("z = 1\n")
    patch = repository_state(checkout / "lab" / "task.py", without=[checkout / "runs"]).patch
    assert "+z = 1" in patch and patch.count("+++ b/a") == 1 and "of a run" not in patch
    assert patch.count("# left out: 'a") == 20 and "# left out: 9 more files\n" in patch


def test_what_a_repository_does_not_hold_has_no_state(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text("")
    (checkout / "new.py").write_text("")
    (checkout / "a.log").write_text("")
    inside = checkout / "env" / "site-packages" / "lab.py"
    inside.parent.mkdir(parents=True)
    inside.write_text("")
    assert all(repository_state(path) is None for path in (tmp_path / "alone.py", checkout / "a.log", inside))
    assert repository_state(checkout / "new.py") is not None
    assert repository_state(checkout / "new.py", tracked=True) is None
