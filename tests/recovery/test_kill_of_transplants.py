"""A transplant or an exchange of components that is killed and started again ends as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from faults import STEP, Fault
from records import arguments, check_same, record, run_folder
from warm_process import command

from mechlab.record.files import read_json

SWAP = ("analysis=swap", "analysis.swap.steps=8")


@pytest.fixture(scope="module")
def donor(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("donor")
    assert command("train", *arguments("replay"), folder=folder).exit == 0
    return run_folder(folder)


@pytest.mark.parametrize("frozen", ["init_freeze=false", "init_freeze=true"])
def test_a_killed_transplant_ends_as_if_uninterrupted(donor, tmp_path, frozen):
    kept = (f"init_from={donor}", "init_at=20", "init_parts=['input_emb.*','linear2.*']", "init_std=0.1", frozen)
    words = (*arguments("replay"), *kept, "seed=1")
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    assert command("train", *words, folder=tmp_path / "whole").exit == 0
    for step in (23, 11):
        done = command("train", *words, folder=tmp_path / "killed", before=Fault(STEP, nth=step))
        assert done.exit == -signal.SIGKILL
    assert command("train", *words, folder=tmp_path / "killed").exit == 0
    check_same(record(tmp_path / "killed"), record(tmp_path / "whole"))


def test_a_killed_exchange_ends_as_if_uninterrupted(donor, tmp_path):
    folder = donor.parents[2]
    fault = Fault("mechlab.analyses.attribution.swapped_models.SwappedModels._evaluate", nth=5)
    done = command("analyze", f"run={donor}", *SWAP, folder=folder, before=fault)
    assert done.exit == -signal.SIGKILL
    assert not list(donor.glob("analyses/swap*/finding.json"))
    done = command("analyze", f"run={donor}", *SWAP, folder=folder)
    assert done.exit == 0, done.text
    (found,) = donor.glob("analyses/swap*/finding.json")
    assert read_json(found)["scalars"]["steps"] == 8
