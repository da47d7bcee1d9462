"""A link inside a run directory is refused, whatever it points to: nothing outside of the directory is read, written or
removed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_runs import write_run

from mechlab import load_run, runs
from mechlab.core.errors import RunError
from mechlab.record.files import open_regular, read_json, refuse_links, remove, remove_temporaries
from mechlab.record.lock import RunLock, is_held
from mechlab.report import report
from mechlab.reporting.request import parse

PRECIOUS = "a user's own file"
PLACES = ("analyses/probe", "checkpoints", "tb", "history", "provenance/more", "analyses/probe/plane.svg", ".lock",
          "analyses/probe/moments", "checkpoints/.x.tmp", ".x.tmp")  # fmt: skip


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's, with files named as those that commands write or remove."""
    folder = tmp_path / "outside"
    for name in ("finding.json", "last.ckpt", "weights.safetensors", "00000000-00000001.safetensors", ".x.tmp"):
        write(folder / name, PRECIOUS)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def untouched(folder: Path) -> bool:
    return len(list(folder.iterdir())) == 5 and all(path.read_text() == PRECIOUS for path in folder.iterdir())


def linked(root: Path, place: str, outside: Path) -> Path:
    """Return a finished run with a link in some place, to a file or folder outside."""
    run = write_run(root / "runs", "tomita", "gru", 3, 8, 0)
    path = run / place
    if path.exists():
        remove(path)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(outside if "." not in place.rpartition("/")[2] else outside / "last.ckpt")
    return run


def claimed(run: Path) -> None:
    with RunLock(run):
        pass


@pytest.mark.parametrize("place", PLACES)
def test_a_run_with_a_link_is_neither_claimed_nor_read(tmp_path: Path, place: str, outside: Path) -> None:
    run = linked(tmp_path, place, outside)
    for use in (claimed, load_run):
        with pytest.raises(RunError, match="link") as caught:
            use(run)
        assert place in caught.value.key
    assert not is_held(run)
    assert untouched(outside)


@pytest.mark.parametrize("place", PLACES)
def test_garbage_behind_a_link_is_left_alone(
    tmp_path: Path, place: str, outside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    linked(tmp_path, place, outside)
    good = write_run(tmp_path / "runs", "tomita", "gru", 3, 9, 0)
    for name in ("last.ckpt", "weights.safetensors"):
        write(good / "checkpoints" / name, "x")
    monkeypatch.setattr(sys, "argv", ["runs", "gc", str(tmp_path / "runs"), "--yes"])
    with pytest.raises(SystemExit, match="0"):
        runs.main()
    out = capsys.readouterr().out
    assert "left alone" in out and "link" in out
    assert not (good / "checkpoints" / "last.ckpt").exists()
    assert untouched(outside)


def test_the_run_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    run = write_run(tmp_path / "elsewhere", "tomita", "gru", 3, 8, 0)
    (tmp_path / "runs").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run").symlink_to(run)
    for folder in (tmp_path / "run", tmp_path / "runs" / "tomita-gru" / run.name):
        claimed(folder)
        assert load_run(folder).results["seed"] == 0


def test_a_failed_run_behind_a_link_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run = write_run(tmp_path / "elsewhere", "tomita", "gru", 3, 8, 0)
    write(run / "status.json", '{"status": "failed"}')
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "b").symlink_to(run)
    monkeypatch.setattr(sys, "argv", ["runs", "gc", str(tmp_path / "runs"), "--yes", "--failed"])
    with pytest.raises(SystemExit, match="0"):
        runs.main()
    assert "left alone" in capsys.readouterr().out and (run / "result.json").exists()


@pytest.mark.ci
def test_the_report_shows_nothing_of_a_run_with_a_link(tmp_path: Path, outside: Path) -> None:
    run = linked(tmp_path, "analyses/probe", outside)
    write_run(tmp_path / "runs", "tomita", "gru", 3, 9, 0)
    page = report(parse([f"runs={tmp_path}/runs"])).read_text()
    assert "a link to" in page and run.name in page
    assert "1 of 2 runs finished" in page


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_only_regular_files_are_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "status.json"
    make(path)
    for read in (read_json, lambda path: open_regular(path, "r+", os.O_RDWR)):
        with pytest.raises(RunError, match="regular file") as caught:
            read(path)
        assert caught.value.key == str(path)


def test_a_pipe_is_refused_in_a_run(tmp_path: Path) -> None:
    (tmp_path / "tb").mkdir()
    os.mkfifo(tmp_path / "tb" / "events")
    with pytest.raises(RunError, match="special file"):
        refuse_links(tmp_path)


def test_removing_temporaries_removes_links_and_not_what_they_point_to(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".x.tmp").symlink_to(outside)
    (tmp_path / "run" / "below").symlink_to(outside)
    remove_temporaries(tmp_path / "run")
    assert not (tmp_path / "run" / ".x.tmp").is_symlink()
    assert untouched(outside)
