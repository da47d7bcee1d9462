"""Reuse of an existing record: whether it is finished, changed code, `code=accept` and `rerun=true`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mechlab.config.provenance import recorded_sources
from mechlab.config.recipe import stored_config
from mechlab.core.errors import RunError
from mechlab.jobs.prepare import Setup, runs_analysis
from mechlab.record.digests import read_digests
from mechlab.record.files import read_mapping
from mechlab.record.lock import RunLock
from mechlab.record.removal import is_half_removed, remove_record
from mechlab.record.sources import changed, hashes, listed
from mechlab.record.status import read_status


def is_done(folder: Path, lock: RunLock) -> bool:
    """True if the run is finished. Where only the status is missing although everything else is written, it is
    written again."""
    if read_status(folder)["status"] == "done":
        return True
    if (ended := read_digests(folder)) is None:
        return False
    lock.status("done", step=ended["steps"], seconds=ended["seconds"])
    return True


def remove_if_unwanted(setup: Setup, lock: RunLock) -> None:
    """Remove the record of the run if rerun=true, or complete an interrupted removal."""
    if _starts_anew(setup) or is_half_removed(setup.folder):
        remove_record(lock)


def _starts_anew(setup: Setup) -> bool:
    """True if rerun=true applies to this process.

    A job of a sweep resumes what the same sweep has begun, and a job that SLURM has restarted resumes what it had begun
    itself.
    """
    if not setup.config.rerun:
        return False
    sweep = None
    with contextlib.suppress(RunError):  # a damaged record is removed like any other
        sweep = read_mapping(setup.folder / "provenance" / "environment.json").get("sweep")
    if setup.origin is not None and sweep is not None and sweep == setup.origin.sweep:
        return False
    restarted = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
    return not restarted or read_status(setup.folder).get("slurm_job_id") != os.environ.get("SLURM_JOB_ID")


def check_code(setup: Setup) -> None:
    """Raise RunError if the run is interrupted and its code has changed since, unless code=accept."""
    if setup.config.code == "accept" or not is_begun(setup.folder):
        return
    recorded = recorded_sources(setup.folder)
    if not recorded:
        print("whether the code has changed since the run began is not recorded")
    elif names := changed(recorded[-1], hashes(setup.defining())):
        must = f"an interrupted run must be resumed with the code that it began with: {setup.folder}"
        fix = "code=accept resumes it all the same; rerun=true removes its record and trains it anew"
        raise RunError(must, got=f"changed since: {listed(names)}", key="code", fix=fix)


def is_begun(folder: Path) -> bool:
    """True if there is a checkpoint to resume from."""
    return any(folder.glob("checkpoints/*.ckpt"))


def remarks(setup: Setup) -> list[str]:
    """Return sentences on how a finished run differs from its present configuration and code."""
    return [*_code_remarks(setup), *_callback_remarks(setup)]


def _code_remarks(setup: Setup) -> list[str]:
    try:
        recorded = recorded_sources(setup.folder)
    except RunError as error:
        return [f"warning: {error.must}: {error.key}; its code is not compared"]
    if not recorded:
        return ["whether its code has changed since is not recorded"]
    now = hashes(setup.defining())
    names = sorted({name for before in recorded for name in changed(before, now)})
    return [f"its code has changed since: {listed(names)}; rerun=true trains it anew"] if names else []


def _callback_remarks(setup: Setup) -> list[str]:
    attached = [name for name, callback in setup.callbacks.items() if runs_analysis(callback)]
    recorded = (stored_config(setup.folder).get("callbacks") or {}) if attached else {}
    how = "python -m mechlab.analyze with at=all runs it on the recorded steps"
    return [f"not run: callback {name}, which was not there; {how}" for name in attached if name not in recorded]
