"""Hydra's launchers: a multirun ends alike whether its jobs are SLURM's, joblib's or one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from place import SMALL, Place
from same import check_same

from mechlab.record.status import read_status

pytest.importorskip("submitit", reason="needs the extra `sweep`")
pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra `sweep`")


def test_slurm_and_joblib_give_the_runs_of_a_plain_multirun(place: Callable[..., Place]) -> None:
    grid = ("-m", *SMALL, "model=rnn,gru", "seed=range(3)")
    slurm, joblib, plain = place(), place(), place()
    slurm.mechlab("train", *grid, "hydra/launcher=slurm", "hydra.launcher.partition=low")
    joblib.mechlab("train", *grid, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    plain.mechlab("train", *grid)
    assert len(plain.runs()) == 6
    assert slurm.runs().keys() == joblib.runs().keys() == plain.runs().keys()
    assert all(read_status(run)["slurm_job_id"] for run in slurm.runs().values())
    for name, run in plain.runs().items():
        check_same(run, slurm.runs()[name])
        check_same(run, joblib.runs()[name])


@pytest.mark.parametrize("seeds", ["0", "0,1"])
def test_a_job_that_dies_without_a_result_ends_the_wait(seeds: str, place: Callable[..., Place]) -> None:
    here, launcher = place(), ("hydra/launcher=slurm", "hydra.launcher.partition=low")
    broken = "+hydra.launcher.setup=['echo no such module >&2; exit 3']"
    said = here.refused("train", "-m", *SMALL, f"seed={seeds}", *launcher, broken)
    for number in range(len(seeds.split(","))):
        reason = r"died without a result: no such module \(SLURM: FAILED 3:0\); log: \S+\.err"
        assert re.search(rf"^error: job #{number} {reason}$", said, re.MULTILINE), said


def test_what_sbatch_refuses_is_told_in_its_words(place: Callable[..., Place]) -> None:
    said = place().refused("train", "-m", *SMALL, "hydra/launcher=slurm", "hydra.launcher.partition=nowhere")
    assert "error: sbatch must accept the jobs" in said and "invalid partition specified: nowhere" in said
