"""Where the jobs of a sweep stand, read from their run directories, SLURM's queue and the logs of past attempts."""

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
from mechlab.sweeps.attempts import Attempt, last_attempts, last_words
from mechlab.sweeps.manifest import Job, Sweep

State = Literal["new", "running", "preempted", "failed", "done"]
UNFINISHED: tuple[State, ...] = ("new", "preempted", "failed")


@dataclass(frozen=True)
class Standing:
    """Where one job stands.

    Args:
        job: the job.
        state: new, running, preempted, failed or done.
        reason: why it failed, or why it died without a chance to say so; in one line.
        log: the log of the last attempt at a job that failed or died, if there is one.
    """

    job: Job
    state: State
    reason: str = ""
    log: Path | None = None


def standings(sweep: Sweep) -> list[Standing]:
    """Return where every job stands.

    A run that says that it is running, but that no process holds, was killed: it counts as preempted. A job without a
    status that was begun, or waited in a queue, and is not there any more died before training: it counts as failed,
    unless SLURM's queue cannot be read.
    """
    attempts = last_attempts(sweep)  # first, so that what is submitted or ends meanwhile does not count as dead
    queued = None
    if any(attempt.array is not None for attempt in attempts.values()):
        with contextlib.suppress(ConfigError):
            queued = slurm.queue(sweep)
    waiting = None if queued is None else {job.index for _, jobs in queued for job in jobs}
    ends = cache(slurm.ends)
    found = []
    for job in sweep.jobs:
        standing, attempt = _standing(sweep, job), attempts.get(job.index)
        if attempt is not None:
            standing = _after(standing, attempt, sweep.folder / attempt.log, waiting, ends)
        found.append(standing)
    return found


def _standing(sweep: Sweep, job: Job) -> Standing:
    """Return where a job stands as its run directory tells; one that cannot be read counts as failed."""
    try:
        folder = sweep.run_folder(job)
        if not folder.exists():
            return Standing(job, "new")
        status = read_status(folder)
        state = status["status"]
        if is_held(folder):
            return Standing(job, "running")
    except (MechlabError, OSError) as error:
        return Standing(job, "failed", getattr(error, "brief", str(error)))
    if state in ("failed", DAMAGED):
        reason = (status["reason"].splitlines() or [""])[0]
        return Standing(job, "failed", reason if state == "failed" else f"damaged: {reason}")
    return Standing(job, {"running": "preempted", "pending": "new"}.get(state, state))


def _after(
    standing: Standing,
    attempt: Attempt,
    log: Path,
    waiting: set[int] | None,
    ends: Callable[[int], dict[int | None, str]],
) -> Standing:
    """Return where a job stands after the last attempt at it, with the reason and the log if it failed or died.

    Args:
        standing: as the run directory tells.
        attempt: the last attempt.
        log: its log, which may not be there.
        waiting: indices of the jobs in SLURM's queue; None where that is not known.
        ends: how the elements of an array ended; see `slurm.ends`.
    """
    kept = log if log.is_file() else None
    if standing.state == "failed":
        return replace(standing, log=kept)
    if standing.state not in ("new", "preempted"):
        return standing
    if attempt.array is None:
        if attempt.status in (0, 143):  # through, or stopped on request
            return standing
        how = f"exit status {attempt.status}" + (" (killed)" if attempt.status == 137 else "")
    else:
        if waiting is None or standing.job.index in waiting:
            return standing
        how = f"SLURM: {ends(attempt.array).get(attempt.number, 'not in the queue any more')}"
    words = last_words(log)
    began = "died" if standing.state == "preempted" else "died before training" if kept else "never started"
    state: State = "preempted" if standing.state == "preempted" else "failed"
    return Standing(standing.job, state, f"{began}: {words} ({how})" if words else f"{began} ({how})", kept)


def summary(found: list[Standing]) -> str:
    """Return the counts in one line."""
    counts = Counter(standing.state for standing in found)
    order: tuple[State, ...] = ("new", "running", "preempted", "failed", "done")
    return f"{len(found)} jobs: " + ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
