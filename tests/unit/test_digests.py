"""What a run's files are compared with: digests in JSON and tensors, and lists of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mechlab.core.errors import RunError
from mechlab.record.digests import (
    CONFIG,
    changed_files,
    check_file,
    damages,
    read_digests,
    update_digests,
    write_curve_digests,
    write_digests,
)
from mechlab.record.files import file_digest, read_json, write_json
from mechlab.record.tensors import load_metadata, load_tensors, save_tensors


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_json_is_read_without_its_digest_and_refused_with_another(tmp_path: Path) -> None:
    path, value = tmp_path / "a.json", {"loss": 0.25, "tags": ["x"], "none": None}
    write_json(path, value)
    assert read_json(path) == value
    path.write_text(path.read_text().replace("0.25", "0.35"))
    with pytest.raises(RunError, match="digest"):
        read_json(path)


def test_json_from_before_there_were_digests_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"loss": 0.25}))
    assert read_json(tmp_path / "a.json") == {"loss": 0.25}


def test_no_flipped_byte_of_a_tensor_file_is_read(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.safetensors", tmp_path / "whole.safetensors"
    tensors = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}
    save_tensors(whole, tensors, [3, 4])
    assert load_metadata(whole) == [3, 4]
    assert all(torch.equal(value, tensors[name]) for name, value in load_tensors(whole).items())
    for place in range(len(whole.read_bytes())):
        path.write_bytes(whole.read_bytes())
        flip(path, place)
        with pytest.raises(RunError):
            load_tensors(path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in ("metrics.csv", "checkpoints/weights.safetensors", "history/a", "history/trace/b", "tb/events"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    write_digests(tmp_path, 7, 1.5)
    write_json(tmp_path / "status.json", {"status": "done"})
    write_json(tmp_path / "result.json", {"metrics": {}, "findings": {}})
    return tmp_path


def test_every_file_of_training_is_listed(run: Path) -> None:
    recorded = read_digests(run)
    assert (recorded["steps"], recorded["seconds"]) == (7, 1.5)
    assert sorted(recorded["files"]) == [
        "checkpoints/weights.safetensors",
        "history/a",
        "history/trace/b",
        "metrics.csv",
        "tb/events",
    ]
    assert changed_files(run, recorded["files"]) == [] and list(damages(run)) == []


def test_a_changed_file_is_refused_and_a_missing_one_named(run: Path) -> None:
    flip(run / "metrics.csv", 0)
    (run / "history" / "trace" / "b").unlink()
    with pytest.raises(RunError, match="as it was written"):
        check_file(run, "metrics.csv")
    check_file(run, "tb/events")
    assert sorted(Path(error.key).name for error in damages(run)) == ["b", "metrics.csv"]


def test_curves_over_training_have_digests_of_their_own(run: Path) -> None:
    folder, events = run / "analyses" / "spectrum@1" / "moments", run / "tb" / "curves.spectrum@1.tfevents"
    folder.mkdir(parents=True)
    for path in (folder / "over_training.csv", folder / "over_training.svg", events):
        path.write_text(path.name)
    write_curve_digests(run, "spectrum@1", events)
    write_digests(run, 7, 1.5)
    assert str(events.relative_to(run)) not in read_digests(run)["files"]  # asking again may replace it
    table = "analyses/spectrum@1/moments/over_training.csv"
    check_file(run, table)
    assert list(damages(run)) == []
    flip(run / table, 0)
    events.unlink()
    with pytest.raises(RunError, match="as it was written"):
        check_file(run, table)
    errors = {Path(error.key).name: error for error in damages(run)}
    assert sorted(errors) == [events.name, "over_training.csv"] and "at=all" in errors[events.name].fix


@pytest.mark.parametrize("name", ["status.json", "result.json", "digests.json"])
def test_what_is_written_after_training_must_be_there(run: Path, name: str) -> None:
    (run / "provenance").mkdir()
    (run / CONFIG).write_text("a: 1")
    write_json(run / "provenance" / "environment.json", {"files": {"config.yaml": file_digest(run / CONFIG)}})
    assert list(damages(run)) == []
    (run / name).unlink()
    assert [Path(error.key).name for error in damages(run)] == [name]


def test_a_finding_of_the_result_must_be_there(run: Path) -> None:
    write_json(run / "result.json", {"metrics": {}, "findings": {"spectrum": {"scalars": {}, "claims": {}}}})
    assert [Path(error.key).name for error in damages(run)] == ["finding.json"]


def test_only_what_was_written_again_gets_new_digests(run: Path) -> None:
    before = read_digests(run)["files"]
    flip(run / "metrics.csv", 0)
    (run / "history" / "a").rename(run / "history" / "c")  # the same record in other files
    update_digests(run, ["history/a"])
    after = read_digests(run)["files"]
    assert after["metrics.csv"] == before["metrics.csv"] and "history/a" not in after
    assert after["history/c"] == before["history/a"] and "history/trace/b" in after
    assert changed_files(run, after) == ["metrics.csv"]


def test_damaged_digests_are_none(run: Path) -> None:
    (run / "digests.json").write_text("{")
    assert read_digests(run) is None
