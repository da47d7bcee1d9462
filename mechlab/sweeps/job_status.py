"""Status of a sweep's jobs, from their run directories, SLURM's queue and the logs of past attempts."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from mechlab.core.errors import ConfigError, MechlabError
from mechlab.record.lock import is_held
from mechlab.record.status import DAMAGED, read_status
from mechlab.sweeps import slurm
from mechlab.sweeps.attempts import Attempt, last_attempts, last_message
from mechlab.sweeps.manifest import Job, Sweep

JobState = Literal["new", "running", "preempted", "failed", "done"]
UNFINISHED: tuple[JobState, ...] = ("new", "preempted", "failed")


@dataclass(frozen=True)
class JobStatus:
    """Status of one job.

    Args:
        job: the job.
        state: new, running, preempted, failed or done.
        reason: the reason of a failure or an unexpected end, in one line.
        log: the log of the last attempt at a job that failed or died, if there is one.
    """

    job: Job
    state: JobState
    reason: str = ""
    log: Path | None = None


def job_statuses(sweep: Sweep) -> list[JobStatus]:
    """Return the status of every job.

    A run with status running that no process holds was killed: its job is preempted. A job without a status that was
    started or queued, and is not any more, died before training: it is failed, unless SLURM's queue cannot be read.
    """
    attempts = last_attempts(sweep)  # first, so that jobs submitted or ended meanwhile do not count as dead
    queued = None
    if any(attempt.array is not None for attempt in attempts.values()):
        with contextlib.suppress(ConfigError):
            queued = slurm.queue(sweep)
    waiting = None if queued is None else {job.index for _, jobs in queued for job in jobs}
    ends = cache(slurm.ends)
    statuses = []
    for job in sweep.jobs:
        status, attempt = _recorded_status(sweep, job), attempts.get(job.index)
        if attempt is not None:
            status = _after(status, attempt, sweep.folder / attempt.log, waiting, ends)
        statuses.append(status)
    return statuses


def _recorded_status(sweep: Sweep, job: Job) -> JobStatus:
    """Return the status of a job by its run directory; an unreadable one is failed."""
    try:
        folder = sweep.run_folder(job)
        if not folder.exists():
            return JobStatus(job, "new")
        recorded = read_status(folder)
        state = recorded["status"]
        if is_held(folder):
            return JobStatus(job, "running")
    except (MechlabError, OSError) as error:
        return JobStatus(job, "failed", getattr(error, "brief", str(error)))
    if state in ("failed", DAMAGED):
        reason = (recorded["reason"].splitlines() or [""])[0]
        return JobStatus(job, "failed", reason if state == "failed" else f"damaged: {reason}")
    return JobStatus(job, {"running": "preempted", "pending": "new"}.get(state, state))


def _after(
    status: JobStatus,
    attempt: Attempt,
    log: Path,
    waiting: set[int] | None,
    ends: Callable[[int], dict[int | None, str]],
) -> JobStatus:
    """Return the status of a job after its last attempt, with the reason and the log if it failed or died.

    Args:
        status: status by the run directory.
        attempt: the last attempt.
        log: its log, which may be missing.
        waiting: indices of the jobs in SLURM's queue; None where unknown.
        ends: final states of the elements of an array; see `slurm.ends`.
    """
    existing_log = log if log.is_file() else None
    if status.state == "failed":
        return replace(status, log=existing_log)
    if status.state not in ("new", "preempted"):
        return status
    if attempt.array is None:
        if attempt.status in (0, 143):  # through, or stopped on request
            return status
        how = f"exit status {attempt.status}" + (" (killed)" if attempt.status == 137 else "")
    else:
        if waiting is None or status.job.index in waiting:
            return status
        how = f"SLURM: {ends(attempt.array).get(attempt.number, 'not in the queue any more')}"
    message = last_message(log)
    began = "died" if status.state == "preempted" else "died before training" if existing_log else "never started"
    state: JobState = "preempted" if status.state == "preempted" else "failed"
    return JobStatus(status.job, state, f"{began}: {message} ({how})" if message else f"{began} ({how})", existing_log)


def summary(statuses: list[JobStatus]) -> str:
    """Return the numbers of jobs in each state, in one line."""
    counts = Counter(status.state for status in statuses)
    order: tuple[JobState, ...] = ("new", "running", "preempted", "failed", "done")
    return f"{len(statuses)} jobs: " + ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
