"""Sweeps through `sbatch slurm/sweep.sh` on a real SLURM: whatever happens to a job, its run ends as if nothing had."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from cluster import CPUS, Cluster, ask, wait_until
from place import SMALL, Place, checkout
from same import check_same

OWN = ("allow_targets=[patient]",)
FRAGILE = (*OWN, "+callbacks.fragile._target_=patient.Fragile", "+callbacks.fragile.file=broken-${seed}")
LINGER = (
    *OWN,
    "+callbacks.linger._target_=patient.Linger",
    "+callbacks.linger.at=30",
    "+callbacks.linger.file=linger",
    "trainer.chunk=10",
    "history=full",
)
Places = Callable[..., Place]


def sweep_of(place: Place, number: str) -> str:
    """Return the id of the sweep that a job has planned."""
    found = re.search(r"^sweep: runs/_sweeps/(\w+)$", place.said(number), re.MULTILINE)
    assert found, place.said(number)
    return found[1]


def test_a_sweep_ends_as_on_one_machine_and_is_submitted_once(place: Places, cluster: Cluster) -> None:
    grid = (*SMALL, "task.index=3,5", "model=rnn,gru", "seed=range(2)")
    there, here, multirun = place(), place(), place()
    there.settings("--partition=low --time=10 --hold")
    first = there.sbatch("--chunk", "2", *grid)
    sweep = sweep_of(there, first)
    assert len(cluster.queue()) == 4, "8 jobs in chunks of 2"

    again = there.sbatch("--chunk", "2", sweep)
    assert "nothing to submit" in there.said(again)
    assert len(cluster.queue()) == 4
    assert "8 jobs: 8 new; elements in SLURM's queue: 4 pending" in there.mechlab("sweep", "status", sweep)

    ask("scontrol", "release", re.search(r"submitted as SLURM job (\d+)", there.said(first))[1])
    here.mechlab("sweep", "run", "--chunk", "4", *grid)
    multirun.mechlab("train", "-m", *grid)
    cluster.wait()
    assert there.job_statuses(sweep) == ["done"] * 8, there.logs()
    assert len(there.runs()) == 8
    assert there.runs().keys() == here.runs().keys() == multirun.runs().keys()
    for name, run in there.runs().items():
        check_same(run, here.runs()[name])
        check_same(run, multirun.runs()[name])

    repeated = there.sbatch("--chunk", "2", *grid)
    assert "nothing to submit" in there.said(repeated)
    assert sweep_of(there, repeated) == sweep
    assert sorted(there.trained()) == sorted(there.runs())


def test_a_job_that_fails_is_listed_and_retried_alone(place: Places, cluster: Cluster) -> None:
    here = place()
    (here.folder / "broken-2").touch()
    grid = (*SMALL, *FRAGILE, "seed=range(4)")
    first = here.sbatch("--chunk", "2", *grid)
    cluster.wait()
    sweep = sweep_of(here, first)
    assert here.job_statuses(sweep) == ["done", "done", "failed", "done"], here.logs()
    assert "broken-2 is in the way" in here.mechlab("sweep", "status", sweep)
    before = here.logs()

    (here.folder / "broken-2").unlink()
    here.sbatch("--chunk", "2", *grid)
    cluster.wait()
    assert here.job_statuses(sweep) == ["done"] * 4
    new = here.logs().keys() - before.keys()
    assert [name.split("_")[1] for name in new] == ["1.log"], "only the element of the failed job"
    assert [run[-2:] for run in here.trained()].count("s2") == 2
    assert len(here.trained()) == 5


def test_a_preempted_job_goes_on_where_it_was(place: Places, cluster: Cluster) -> None:
    here, undisturbed = place(), place()
    (here.folder / "linger").touch()
    first = here.sbatch(*SMALL, *LINGER)
    wait_until(lambda: "lingering" in "".join(here.logs().values()), 90, cluster.logs)
    ask("sbatch", "--partition=high", f"--ntasks={CPUS}", "--output=/dev/null", "--wrap=sleep 1")
    undisturbed.mechlab("train", *SMALL, *LINGER)
    cluster.wait()
    check_resumed(here, first, undisturbed, cluster)
    assert "stopped by SIGTERM after step 30" in "".join(here.logs().values())


def test_at_its_time_limit_a_job_is_requeued_and_goes_on_where_it_was(place: Places, cluster: Cluster) -> None:
    here, undisturbed = place(), place()
    (here.folder / "linger").touch()
    # SLURM looks at time limits every half minute and rather warns too early: here after 15 to 45 seconds
    here.settings("--partition=low --time=1 --signal=USR1@15")
    first = here.sbatch(*SMALL, *LINGER)
    undisturbed.mechlab("train", *SMALL, *LINGER)
    cluster.wait()
    check_resumed(here, first, undisturbed, cluster)
    assert "stopped by SIGUSR1 after step 30" in "".join(here.logs().values())


def check_resumed(here: Place, first: str, undisturbed: Place, cluster: Cluster) -> None:
    """Assert that a sweep's one run was requeued once, went on from its checkpoint and ended as the undisturbed one."""
    array = re.search(r"submitted as SLURM job (\d+)", here.said(first))[1]
    assert cluster.job(f"{array}_0")["Restarts"] == "1"
    log = "".join(here.logs().values())
    assert "resuming from step 30 of 60" in log
    (name, run), *others = here.runs().items()
    assert not others
    assert here.job_statuses(sweep_of(here, first)) == ["done"]
    check_same(run, undisturbed.runs()[name])


def test_two_sweeps_that_overlap_train_each_run_once(place: Places, cluster: Cluster) -> None:
    here = place()
    numbers = [here.sbatch("--chunk", "3", *SMALL, f"seed={seeds}") for seeds in ("0,1,2", "1,2,3")]
    cluster.wait()
    sweeps = [sweep_of(here, number) for number in numbers]
    assert sweeps[0] != sweeps[1]
    for sweep in sweeps:
        assert here.job_statuses(sweep) == ["done"] * 3
    assert sorted(here.trained()) == sorted(here.runs())
    assert len(here.runs()) == 4


def test_a_queued_job_runs_the_code_that_it_was_planned_with(place: Places, cluster: Cluster, tmp_path: Path) -> None:
    here = place(checkout(tmp_path / "own"))
    here.settings("--partition=low --time=10 --hold")
    first = here.sbatch(*SMALL)
    sweep = sweep_of(here, first)

    program = here.code / "mechlab" / "jobs" / "execute.py"
    program.write_text(program.read_text().replace('print(f"training', 'print(f"edited: training'))
    ask("scontrol", "release", re.search(r"submitted as SLURM job (\d+)", here.said(first))[1])
    cluster.wait()
    assert here.job_statuses(sweep) == ["done"]
    assert here.trained() == list(here.runs())
    assert "edited" not in "".join(here.logs().values())

    planned = here.mechlab("sweep", "plan", *SMALL)
    assert "1 jobs: 1 done" in planned
    assert sweep not in planned, "changed code makes another sweep"


def array_of(said: str) -> str:
    """Return SLURM's number of the array that a submission tells of."""
    return re.search(r"submitted as SLURM job (\d+)", said)[1]


def test_jobs_that_die_before_training_are_listed_with_reason_and_log_and_retried(
    place: Places, cluster: Cluster
) -> None:
    here = place()
    low = "--partition=low --time=10"
    here.settings(low, python="/no/such/python")
    said = here.mechlab("sweep", "submit", *SMALL, "seed=range(3)", "--chunk", "2")
    sweep, array = said.split()[-1].rpartition("/")[2], array_of(said)
    cluster.wait()
    assert here.job_statuses(sweep) == ["failed"] * 3
    told = here.mechlab("sweep", "status", sweep)
    assert told.count("died before training: ") == 3 and told.count("/no/such/python") == 3, told
    assert told.count("SLURM: FAILED 2:0") == 3, told
    assert f"log: runs/_sweeps/{sweep}/logs/{array}_1.log\n" in told

    here.settings(low + " --hold")
    again = array_of(here.mechlab("sweep", "submit", sweep, "--retry", "failed"))
    assert here.job_statuses(sweep) == ["new"] * 3, "they wait again"
    ask("scancel", f"{again}_2")
    wait_until(lambda: len(cluster.queue()) == 2, 30, cluster.logs)
    assert here.job_statuses(sweep) == ["new", "new", "failed"]
    assert "never started (SLURM: not in the queue any more)" in here.mechlab("sweep", "status", sweep)

    here.settings(low)
    third = here.mechlab("sweep", "submit", sweep, "--retry", "failed")
    assert array_of(third) != again
    ask("scontrol", "release", f"{again}_0")
    ask("scontrol", "release", f"{again}_1")
    cluster.wait()
    assert here.job_statuses(sweep) == ["done"] * 3, here.logs()
    assert len(here.trained()) == 3


def test_a_job_at_its_time_limit_before_training_is_listed(place: Places, cluster: Cluster) -> None:
    here = place()
    slow = here.folder / "slow"
    slow.write_text("#!/bin/sh\ntrap '' USR1\nsleep 300\n")
    slow.chmod(0o755)
    here.settings("--partition=low --time=1", python=str(slow))
    sweep = here.mechlab("sweep", "submit", *SMALL).split()[-1].rpartition("/")[2]
    cluster.wait()
    told = here.mechlab("sweep", "status", sweep)
    assert "1 jobs: 1 failed" in told
    assert "DUE TO TIME LIMIT" in told and "SLURM: TIMEOUT" in told, told


def test_what_sbatch_refuses_is_told_in_its_words(place: Places, cluster: Cluster) -> None:
    here = place()
    here.settings("--partition=nowhere")
    said = here.refused("sweep", "submit", *SMALL)
    assert "error: sbatch must accept the array" in said and "invalid partition specified: nowhere" in said
    here.settings("--partition=low --time=tomorrow")
    assert "nvalid" in here.refused("sweep", "submit", *SMALL)
    assert "1 jobs: 1 new" in here.mechlab("sweep", "plan", *SMALL)


def test_an_element_runs_nothing_of_a_copy_that_was_changed(place: Places, cluster: Cluster) -> None:
    here = place()
    here.settings("--partition=low --time=10 --hold")
    said = here.mechlab("sweep", "submit", *SMALL)
    sweep, array = said.split()[-1].rpartition("/")[2], array_of(said)
    program = here.folder / "runs" / "_sweeps" / sweep / "code" / "mechlab" / "sweep.py"
    program.write_text("open('changed', 'w')\n")
    ask("scontrol", "release", array)
    cluster.wait()
    assert not (here.folder / "changed").exists()
    told = here.mechlab("sweep", "status", sweep)
    assert "died before training: error: the sweep's copy of the code must be as it was frozen" in told, told
    assert "must be as it was frozen" in here.refused("sweep", "submit", sweep)

    here.settings("--partition=low --time=10")
    here.mechlab("sweep", "plan", *SMALL)
    here.mechlab("sweep", "submit", sweep)
    cluster.wait()
    assert here.job_statuses(sweep) == ["done"], here.logs()


def test_a_frozen_sweep_with_packages_of_its_own_needs_them_on_the_command_line(
    place: Places, cluster: Cluster
) -> None:
    here = place()
    sweep = here.mechlab("sweep", "plan", *SMALL, *FRAGILE).split()[-1].rpartition("/")[2]
    assert '"allow_targets=[patient]"' in here.said(here.sbatch(sweep))
    number = here.sbatch(sweep, *OWN)
    assert "submitted as SLURM job" in here.said(number)
    cluster.wait()
    assert here.job_statuses(sweep) == ["done"], here.logs()


def test_a_folder_with_spaces_and_signs_that_slurm_knows(place: Places, cluster: Cluster) -> None:
    here = place()
    here.folder = here.folder / "50%a of = it"
    here.folder.mkdir()
    here.settings("--partition=low --time=10")
    sweep = here.mechlab("sweep", "submit", *SMALL).split()[-1].rpartition("/")[2]
    cluster.wait()
    assert here.job_statuses(sweep) == ["done"], here.logs()
    assert len(here.logs()) == 1
