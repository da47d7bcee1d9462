"""`hydra/launcher=slurm` where SLURM refuses or loses jobs: one sentence each. Scripts play its commands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from warm_process import Done, command

pytest.importorskip("submitit", reason="needs the extra `sweep`")

GRID = ("-m", "task=repeat_copy", "task.d=2", "task.s=2", "trainer=smoke", "analysis=[]", "hydra/launcher=slurm")


@dataclass(frozen=True)
class Commands:
    """Calling it puts commands of SLURM first on PATH, and lets the launcher wait for milliseconds in place of seconds.

    Args:
        folder: for the commands.
        texts: the shell script of each.
    """

    folder: Path
    texts: dict[str, str]

    def __call__(self) -> None:
        from hydra_plugins.mechlab_multirun import slurm

        slurm.EVERY = slurm.PATIENCE = 0.05
        self.folder.mkdir(exist_ok=True)
        for name, text in self.texts.items():
            (self.folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.folder / name).chmod(0o755)
        os.environ["PATH"] = f"{self.folder}:/usr/bin:/bin" if self.texts else "/nowhere"


def ended(folder: Path, *words: str, **texts: str) -> Done:
    """Run a multirun with these commands, and assert that it ended with status 1 and without a traceback."""
    done = command("train", *GRID, *words, folder=folder, before=Commands(folder / "bin", texts))
    assert done.exit == 1, done.text
    assert "Traceback" not in done.text and done.err.count("error: ") == 1, done.text
    return done


def test_what_sbatch_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    done = ended(tmp_path, "seed=0,1", sbatch="echo refused: invalid account >&2; exit 1", srun="", squeue="")
    assert "error: sbatch must accept the jobs\n  given: refused: invalid account\n" in done.err


def test_without_slurm_another_launcher_is_named(tmp_path: Path) -> None:
    done = ended(tmp_path, "seed=0,1")
    assert "given: no sbatch, srun, squeue\n" in done.err and "hydra/launcher=joblib" in done.err


@pytest.mark.ci
@pytest.mark.parametrize(
    ("seeds", "job", "shown"),
    [
        ("0,1", "77_1", "JobId=78 ArrayJobId=77 ArrayTaskId=0-1 JobState=NODE_FAIL ExitCode=0:1"),
        ("0", "77", "JobId=77 JobState=NODE_FAIL ExitCode=0:1"),
    ],
)
def test_a_job_that_dies_without_a_result_is_a_failed_job(seeds: str, job: str, shown: str, tmp_path: Path) -> None:
    forgotten = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    log = f'mkdir -p "{tmp_path}/logs" && echo "bash: python: command not found" > "{tmp_path}/logs/{job}_0_log.err"'
    commands = {"sbatch": f"{log}; echo Submitted batch job 77", "squeue": forgotten, "scontrol": f"echo {shown}"}
    words = (f"seed={seeds}", f"hydra.launcher.submitit_folder={tmp_path}/logs")
    done = command("train", *GRID, *words, folder=tmp_path, before=Commands(tmp_path / "bin", {**commands, "srun": ""}))
    assert done.exit == 1 and "Traceback" not in done.text, done.text
    number = len(seeds.split(",")) - 1
    reason = "died without a result: bash: python: command not found (SLURM: NODE_FAIL 0:1)"
    assert f"error: job #{number} {reason}; log: {tmp_path}/logs/{job}_0_log.err\n" in done.err
    assert f"{number + 1} jobs: 0 done, {number + 1} failed" in done.out and f"seed={number}" in done.out
