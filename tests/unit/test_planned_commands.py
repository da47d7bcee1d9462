"""Overrides give the sweep that they planned last, without an expansion of the grid."""

from __future__ import annotations

import os
from pathlib import Path

from mechlab.sweeps.commands import FILE, last_planned, record_command
from mechlab.sweeps.manifest import Job, Sweep, freeze


def frozen(root: Path, version: str) -> Sweep:
    config = {"name": "a-b", "analysis": {}, "paths": {"root": "runs"}, "allow_targets": [], "seed": 0}
    config["trainer"] = {"accelerator": "cpu"}
    return freeze(root, [Job(0, "a-b/0123456789-s0", "0123456789", ["seed=0"], config)], None, "", {"torch": version})


def test_the_last_of_two_sweeps_of_the_same_words(tmp_path: Path) -> None:
    words = ["seed=0,1", f"paths.root={tmp_path}"]
    assert last_planned(words, []) is None
    for number, version in enumerate(("1", "2", "1")):
        sweep = frozen(tmp_path, version)
        record_command(sweep, words, [])
        os.utime(sweep.folder / FILE, ns=(number, number))
        assert last_planned(words, []).id == sweep.id
    assert len((sweep.folder / FILE).read_text().splitlines()) == 1
    for other, folders in ((["seed=0", words[1]], []), (words[::-1], []), (words, [tmp_path])):
        assert last_planned(other, folders) is None


def test_a_sweep_that_was_changed_is_planned_again(tmp_path: Path) -> None:
    words = [f"paths.root={tmp_path}"]
    sweep = frozen(tmp_path, "1")
    record_command(sweep, words, [])
    manifest = sweep.folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("seed=0", "seed=7"))
    (sweep.folder / FILE).write_bytes((sweep.folder / FILE).read_bytes() + b"\xff\n")
    assert last_planned(words, []) is not None, "overrides are for people"
    manifest.write_text(manifest.read_text().replace('"seed": 0', '"seed": 7'))
    assert last_planned(words, []) is None
