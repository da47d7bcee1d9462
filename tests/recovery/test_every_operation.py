"""A process that is killed before any single operation on the files of a run loses nothing: the same command ends in
the same record. Every operation in continuous integration, some of them by default."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from operations import KilledAt
from records import COPY, check_places, record, run_folder
from warm_process import command

from mechlab.config.recipe import load_run

SMALL = (
    *COPY,
    "+callbacks=spectrum",
    "callbacks.spectrum.analysis.draws=5",
    "analysis.spectrum.draws=5",
    "trainer.max_steps=22",
    "trainer.steps_per_epoch=11",
    "trainer.chunk=4",
    "trainer.log_every=6",
    "trainer.checkpoint_every=7",
    "trainer.eval_examples=20",
    "history=full",
)
ASK = ("analysis=spectrum", "analysis.spectrum.draws=5")
SOME = 2  # operations that are tried by default: the first and the last


def operations(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.ci
def test_a_whole_run_killed_at_some_operations(tmp_path: Path) -> None:
    kill_at_each(tmp_path, SOME)


@pytest.mark.ci
def test_a_whole_run_killed_at_every_operation(tmp_path: Path) -> None:
    kill_at_each(tmp_path, None)


@pytest.mark.ci
def test_an_answer_replaced_killed_at_some_operations(tmp_path: Path) -> None:
    replace_killed_at_each(tmp_path, SOME)


@pytest.mark.ci
def test_an_answer_replaced_killed_at_every_operation(tmp_path: Path) -> None:
    replace_killed_at_each(tmp_path, None)


def kill_at_each(tmp_path: Path, some: int | None) -> None:
    """Kill a whole run (training, callback, analysis, result) before each of its operations, and repeat the command."""
    whole = tmp_path / "whole"
    whole.mkdir()
    assert command("train", *SMALL, folder=whole, before=KilledAt(tmp_path / "log")).exit == 0
    wanted, every = record(whole), operations(tmp_path / "log")
    check_places(wanted)
    assert len(every) > 60
    for nth in chosen(len(every), some):
        folder = tmp_path / f"killed-{nth}"
        folder.mkdir()
        done = command("train", *SMALL, folder=folder, before=KilledAt(tmp_path / "log", nth))
        assert done.exit == -signal.SIGKILL, f"{nth}: {every[nth - 1]}: {done.text}"
        done = command("train", *SMALL, folder=folder)
        assert done.exit == 0, f"killed before operation {nth} ({every[nth - 1]}): {done.text}"
        assert "warning" not in done.text, f"killed before operation {nth} ({every[nth - 1]}): {done.text}"
        found = record(folder)
        for name in wanted:
            assert found[name] == wanted[name], f"{name} differs when killed before operation {nth}: {every[nth - 1]}"
        shutil.rmtree(folder)


def replace_killed_at_each(tmp_path: Path, some: int | None) -> None:
    """Kill the replacement of an answer, with answers about other moments beside it, before each of its operations. The
    run can be opened at once, with the one answer or the other; repeating the command ends in the new one."""
    assert command("train", *SMALL, folder=tmp_path).exit == 0
    run = run_folder(tmp_path)
    assert command("analyze", f"run={run}", *ASK, "at=[0,11]", folder=tmp_path).exit == 0
    age(run / "analyses" / "spectrum")  # as if an earlier version had answered
    shutil.copytree(run, tmp_path / "before")
    earlier = load_run(run).findings["spectrum"]
    line = ("analyze", f"run={run}", *ASK)
    assert command(*line, folder=tmp_path, before=KilledAt(tmp_path / "log")).exit == 0
    wanted, every = files(run / "analyses"), operations(tmp_path / "log")
    later = load_run(run).findings["spectrum"]
    assert later != earlier
    for nth in chosen(len(every), some):
        shutil.rmtree(run)
        shutil.copytree(tmp_path / "before", run)
        done = command(*line, folder=tmp_path, before=KilledAt(tmp_path / "log", nth))
        assert done.exit == -signal.SIGKILL, f"{nth}: {every[nth - 1]}: {done.text}"
        opened = load_run(run)
        assert opened.findings["spectrum"] in (earlier, later), f"{nth}: {every[nth - 1]}"
        assert opened.artifacts("spectrum").arrays("spectrum")
        assert sorted(path.name for path in (run / "analyses" / "spectrum" / "moments").iterdir())[:2] == ["0", "11"]
        done = command(*line, folder=tmp_path)
        assert done.exit == 0, f"killed before operation {nth} ({every[nth - 1]}): {done.text}"
        assert files(run / "analyses") == wanted, f"{nth}: {every[nth - 1]}"


def chosen(count: int, some: int | None) -> list[int]:
    """Return which operations to kill before: all of them, or some spread over all."""
    if some is None:
        return list(range(1, count + 1))
    return sorted({1 + round(i * (count - 1) / (some - 1)) for i in range(some)})


def age(answer: Path) -> None:
    """Make an answer one of an earlier version of the analysis, with an artifact that later ones do not have."""
    from mechlab.record.answers import digests
    from mechlab.record.files import read_json, write_json

    finding = read_json(answer / "finding.json")
    (answer / "earlier.csv").write_text("a\n1\n")
    inside = {name: digest for name, digest in digests(answer).items() if not name.startswith("moments")}
    write_json(answer / "finding.json", {**finding, "version": 0, "files": inside})


def files(folder: Path) -> dict[str, Any]:
    """Return the content of every file in a folder."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: json.loads(data) if name.endswith(".json") else data for name, data in found.items()}
