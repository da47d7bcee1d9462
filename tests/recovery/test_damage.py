"""Damaged files and a full disk lose nothing that was whole before: a run goes on, or says what to do."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from faults import STEP, Fault
from records import Uninterrupted, arguments, finishes_like, killed, record, run_folder, status
from warm_process import Command, command

from mechlab.config.recipe import load_run
from mechlab.core.errors import ReplayDiffers, RunError
from mechlab.record.history import History
from mechlab.record.recorder import Recorder
from mechlab.training.checkpoints import resume_point
from mechlab.training.mend import mend_history

TASK = "repeat_copy"


def truncate(path: Path) -> None:
    """Cut a file in half."""
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """Flip one byte of a checkpoint's largest tensor."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        data = archive.read(largest)
    content = bytearray(path.read_bytes())
    content[content.index(data) + len(data) // 2] ^= 0xFF
    path.write_bytes(content)


def empty(path: Path) -> None:
    """Leave nothing of a file but its name."""
    os.truncate(path, 0)


@pytest.mark.parametrize(
    "damage", [flip, pytest.param(truncate, marks=pytest.mark.ci), pytest.param(empty, marks=pytest.mark.ci)]
)
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    damage: Callable[[Path], None], tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    damage(run_folder(tmp_path) / "checkpoints" / "last.ckpt")
    out = finishes_like(uninterrupted(TASK), TASK, tmp_path)
    assert "warning: last.ckpt is damaged, now called damaged.ckpt; resuming from previous.ckpt at step 32" in out


def test_after_a_fall_back_a_damaged_checkpoint_never_replaces_the_good_one(
    tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    truncate(run_folder(tmp_path) / "checkpoints" / "last.ckpt")
    killed(TASK, Fault("pytorch_lightning.Trainer.save_checkpoint", nth=3), tmp_path)  # best, last, and then last again
    finishes_like(uninterrupted(TASK), TASK, tmp_path)


def test_when_both_checkpoints_are_damaged_nothing_is_lost_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    run = run_folder(tmp_path)
    for name in ("last.ckpt", "previous.ckpt"):
        truncate(run / "checkpoints" / name)
    kept = ("checkpoints/*", "history/*", "metrics.csv", "tb/*")
    before = {path: path.read_bytes() for pattern in kept for path in run.glob(pattern)}
    done = command("train", *arguments(TASK), folder=tmp_path)
    assert done.exit == 1
    assert "error: one of the checkpoints must be readable" in done.err
    assert "last.ckpt: " in done.err and "previous.ckpt: " in done.err and "fix:" in done.err
    assert "Traceback" not in done.err
    assert {path: path.read_bytes() for pattern in kept for path in run.glob(pattern)} == before
    assert status(tmp_path)["status"] == "failed"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("mechlab.record.shards.write_shard", nth=4, does="full"),
        Fault("tensorboard.summary.writer.record_writer.RecordWriter.write", nth=16, does="full"),  # in its own thread
        *(
            pytest.param(fault, marks=pytest.mark.ci)
            for fault in (
                Fault("pytorch_lightning.Trainer.save_checkpoint", nth=4, does="full"),
                Fault(STEP, nth=30, does="small"),
                Fault("os.fsync", nth=30, does="full"),
                Fault("mechlab.training.metrics_csv.MetricsCSV.save", nth=6, does="full"),
                Fault("mechlab.training.fit.save_tensors", does="full"),
            )
        ),
    ],
    ids=str,
)
def test_a_full_disk_leaves_the_last_good_state(fault: Fault, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    done = command("train", *arguments(TASK), folder=tmp_path, before=fault)
    assert done.exit == 1, done.text
    assert "error: the run directory must be writable" in done.err
    assert "make room on the disk" in done.err
    assert "Traceback" not in done.err
    assert status(tmp_path)["status"] == "failed"
    assert "OSError" in status(tmp_path)["traceback"]
    point = resume_point(run_folder(tmp_path) / "checkpoints")
    assert point is not None and point.step >= 8
    finishes_like(uninterrupted(TASK), TASK, tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder whose runs/ is a file system of its own with little room; only root can have one."""
    runs = tmp_path / "runs"
    runs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(runs)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system needs the right to mount")
    yield tmp_path
    subprocess.run(["umount", str(runs)], check=True)


@pytest.mark.ci
@pytest.mark.parametrize("small_disk", ["size=256k", "nr_inodes=20"], indirect=True)
def test_a_disk_that_is_really_full_leaves_the_last_good_state(small_disk: Path, uninterrupted: Uninterrupted) -> None:
    done = command("train", *arguments(TASK), folder=small_disk)
    assert done.exit == 1, done.text
    assert "No space left on device" in done.err and "make room on the disk" in done.err
    assert "Traceback" not in done.err
    assert status(small_disk)["status"] == "failed"
    subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=1000", str(small_disk / "runs")], check=True)
    finishes_like(uninterrupted(TASK), TASK, small_disk)


@pytest.mark.ci
@pytest.mark.parametrize("small_disk", ["size=192k"], indirect=True)
def test_a_full_disk_with_figures_in_tensorboard_is_told_in_a_sentence(small_disk: Path) -> None:
    done = command("train", *arguments("tomita"), folder=small_disk)
    assert done.exit == 1, done.text
    assert "No space left on device" in done.err and "Traceback" not in done.err
    assert status(small_disk)["status"] == "failed" and "No space left" in status(small_disk)["reason"]


def test_a_run_directory_that_is_moved_while_training_is_asked_back(
    tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    running = Command("train", *arguments(TASK), folder=tmp_path, before=Fault(STEP, nth=30, does="wait"))
    while not list(tmp_path.glob("runs/*/*/checkpoints/previous.ckpt")):
        time.sleep(0.02)
    time.sleep(0.1)  # until it waits
    run = run_folder(tmp_path)
    run.rename(tmp_path / "moved")
    (tmp_path / "go").touch()
    done = running.wait()
    assert done.exit == 1, done.text
    assert "error: the run directory must stay where it is" in done.err and "moved or removed" in done.err
    assert "room on the disk" not in done.err and "Traceback" not in done.err
    assert not (run / "status.json").exists()
    if run.exists():
        shutil.rmtree(run)
    (tmp_path / "moved").rename(run)
    finishes_like(uninterrupted(TASK), TASK, tmp_path)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param("status.json", empty, marks=pytest.mark.ci),
        pytest.param("result.json", truncate, marks=pytest.mark.ci),
        ("analyses/spectrum/finding.json", truncate),
    ],
)
def test_a_damaged_json_of_a_finished_run_is_made_again(
    name: str, damage: Callable[[Path], None], tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    task = "repeat_copy and spectrum" if "finding" in name else TASK
    assert command("train", *arguments(task), folder=tmp_path).exit == 0
    damage(run_folder(tmp_path) / name)
    out = finishes_like(uninterrupted(task), task, tmp_path)
    assert "resuming" not in out


def test_records_that_end_in_the_middle_of_something_are_cut(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    run = run_folder(tmp_path)
    with open(run / "metrics.csv", "a") as file:
        file.write("4")
    [events] = (run / "tb").iterdir()
    with open(events, "ab") as file:
        file.write(events.read_bytes()[:20])
    (run / "history" / "00000045-00000047.safetensors").write_bytes(b"not a shard")
    finishes_like(uninterrupted(TASK), TASK, tmp_path)


def test_a_damaged_table_of_metrics_is_written_again_from_tensorboard(
    tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    table = run_folder(tmp_path) / "metrics.csv"
    table.write_text("no,such\ntable,here\n")
    done = command("train", *arguments(TASK), folder=tmp_path)
    assert done.exit == 0, done.text
    assert "warning: metrics.csv must be a table with a column `step`" in done.out
    assert single_precision(table.read_text()) == single_precision(uninterrupted(TASK)["metrics"])


def single_precision(table: str) -> list[dict[str, float]]:
    """Return the filled cells of a table, as TensorBoard keeps numbers."""
    rows = csv.DictReader(table.splitlines())
    return [{name: torch.tensor(float(cell)).item() for name, cell in row.items() if cell} for row in rows]


@pytest.mark.parametrize("damage", [truncate, pytest.param(Path.unlink, marks=pytest.mark.ci)])
def test_a_damaged_shard_of_the_history_is_trained_again(
    damage: Callable[[Path], None], tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    shards = sorted((run_folder(tmp_path) / "history").glob("*.safetensors"))
    for shard in (shards[0], shards[2]):
        damage(shard)
    out = finishes_like(uninterrupted(TASK), TASK, tmp_path)
    assert "recorded steps are missing: training 0 to " in out


def test_a_damaged_shard_stays_where_training_again_gives_something_else(tmp_path: Path) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    run, recipe = run_folder(tmp_path), load_run(run_folder(tmp_path)).recipe
    shard = sorted((run / "history").glob("*.safetensors"))[1]
    truncate(shard)
    before = shard.read_bytes()
    other = Recorder(run / "history", "full", dataclasses.replace(recipe, clip=1e-3), points=2)
    with pytest.raises(ReplayDiffers, match="rerun=true"):
        mend_history(other, 40, False, "cpu", 1)
    assert shard.read_bytes() == before and not list(run.rglob(".*.tmp"))


def test_a_damaged_shard_is_refused_by_name_when_read(tmp_path: Path) -> None:
    assert command("train", *arguments(TASK), folder=tmp_path).exit == 0
    shard = sorted((run_folder(tmp_path) / "history").glob("*.safetensors"))[1]
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    with pytest.raises(RunError, match=rf"whole safetensors file[\s\S]*{shard.name}"):
        History(shard.parent).params(3)


def test_an_interrupted_run_without_a_status_is_read_at_its_last_checkpoint(tmp_path: Path) -> None:
    killed(TASK, Fault(STEP, nth=45), tmp_path)
    run = run_folder(tmp_path)
    (run / "status.json").unlink()
    assert load_run(run).model() is not None


def test_damaged_weights_of_a_finished_run_are_read_from_its_history_and_restored(
    tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    assert command("train", *arguments(TASK), folder=tmp_path).exit == 0
    run = run_folder(tmp_path)
    truncate(run / "checkpoints" / "weights.safetensors")
    assert command("runs", "gc", "runs", "--yes", folder=tmp_path).exit == 0
    done = command("analyze", f"run={run}", "analysis=spectrum", folder=tmp_path)
    assert done.exit == 0, done.text
    assert "weights.safetensors; the weights are read from the record of training" in done.out
    done = command("train", *arguments(TASK), folder=tmp_path)
    assert "warning: checkpoints/weights.safetensors was missing or damaged: restored" in done.out
    assert record(tmp_path)["weights"] == uninterrupted(TASK)["weights"]


def test_the_record_of_a_finished_run_stays_as_it_is_when_the_command_is_repeated(
    tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    assert command("train", *arguments(TASK), folder=tmp_path).exit == 0
    run = run_folder(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    done = command("train", *arguments(TASK), folder=tmp_path)
    assert "the run is done already, so it is not trained again" in done.out
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before
    assert record(tmp_path) == uninterrupted(TASK)
