"""Where the jobs of a sweep stand, read from their run directories."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from mechlab.core.claim import DAMAGED, is_held, read_status
from mechlab.sweeps.manifest import Job, Sweep

State = Literal["new", "done", "running", "preempted", "failed"]
UNFINISHED: tuple[State, ...] = ("new", "preempted", "failed")


@dataclass(frozen=True)
class Standing:
    """Where one job stands, and why it failed if it did: the first line of the reason. A run whose status is damaged
    counts as failed."""

    job: Job
    state: State
    reason: str = ""


def standings(sweep: Sweep) -> list[Standing]:
    """Return where every job stands.

    A run that says that it is running, but that no process holds, was killed: it counts as preempted.
    """
    return [_standing(sweep, job) for job in sweep.jobs]


def _standing(sweep: Sweep, job: Job) -> Standing:
    folder = sweep.root / job.run
    if not folder.exists():
        return Standing(job, "new")
    status = read_status(folder)
    state = status["status"]
    if is_held(folder):
        return Standing(job, "running")
    if state in ("failed", DAMAGED):
        reason = (status["reason"].splitlines() or [""])[0]
        return Standing(job, "failed", reason if state == "failed" else f"damaged: {reason}")
    return Standing(job, {"running": "preempted", "pending": "new"}.get(state, state))


def summary(found: list[Standing]) -> str:
    """Return the counts in one line."""
    counts = Counter(standing.state for standing in found)
    order: tuple[State, ...] = ("new", "running", "preempted", "failed", "done")
    return f"{len(found)} jobs: " + ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
