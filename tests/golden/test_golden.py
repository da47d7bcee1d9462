"""Short runs with the defaults learn as fast as they are known to, with tolerances, and their claims come out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from warm_process import command

pytestmark = pytest.mark.ci


def result(folder: Path, *overrides: str) -> dict:
    done = command("train", *overrides, folder=folder)
    assert done.exit == 0, done.text
    return json.loads((folder / done.out.rstrip().splitlines()[-1].removeprefix("run: ") / "result.json").read_text())


def test_repeat_copy_is_learned_within_1500_steps_with_its_whole_spectrum(tmp_path: Path):
    """An independent plain loop reached 42 of 42 eigenvalues and a mean angle error of .0008 rad by then."""
    found = result(tmp_path, "trainer.max_steps=1500")
    assert found["metrics"]["test/accuracy"] > 0.999
    scalars = found["findings"]["spectrum"]["scalars"]
    assert scalars["rank"] == 42 and scalars["angle_error"] < 0.01
    assert all(claim["holds"] for claim in found["findings"]["spectrum"]["claims"].values())


def test_tomita_3_is_learned_within_1500_steps_and_its_clusters_are_pure(tmp_path: Path):
    found = result(tmp_path, "task=tomita", "model=gru", "model.hidden=20", "trainer.max_steps=1500")
    assert found["metrics"]["test/accuracy"] > 0.99
    scalars = found["findings"]["ambiguity"]["scalars"]
    assert scalars["weighted"] < 0.05 < scalars["null_untrained"]
    assert scalars["null_permuted"] > 0.5


def test_digits_are_learned_in_few_steps(tmp_path: Path):
    found = result(tmp_path, "task=digits", "model=mlp", "trainer.max_steps=600")
    assert found["metrics"]["test/accuracy"] == pytest.approx(0.96, abs=0.03)
