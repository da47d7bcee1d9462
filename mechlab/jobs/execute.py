"""Do what is left to do of a run: train it, resume it, or restore its finished record; then run its analyses."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path
from typing import Any

from mechlab.config.provenance import Origin, mend_provenance, this_origin, write_provenance
from mechlab.core.errors import MechlabError, RunError, out_of_memory
from mechlab.jobs import console
from mechlab.jobs.analyses import run_missing_analyses
from mechlab.jobs.prepare import Setup
from mechlab.jobs.result import finish, write_result
from mechlab.jobs.reuse import check_code, is_begun, remarks, remove_if_unwanted
from mechlab.record.digests import provenance_damages, read_digests
from mechlab.record.files import not_writable, remove_temporaries, writing
from mechlab.record.lock import Held, RunLock
from mechlab.record.run import Run
from mechlab.record.status import read_status
from mechlab.training.fit import fit
from mechlab.training.mend import restore
from mechlab.training.signals import Preempted, stopped_at_once


def execute(setup: Setup) -> dict[str, Any] | None:
    """Train a run, resume it or reuse its record, and print its result.

    Returns:
        The content of result.json; None when another process holds the run.
    """
    try:
        with RunLock(setup.folder) as lock, writing(setup.folder):
            remove_if_unwanted(setup, lock)
            if _is_done(setup.folder, lock):
                print(f"the run is done already, so it is not trained again: {setup.folder}")
                _restore(setup)
                for remark in remarks(setup):
                    print(remark)
            else:
                check_code(setup)
                _fit(setup, lock)
            run_missing_analyses(setup)
            result = write_result(setup)
            console.print_result(result)
            console.print_next(setup.folder, Path(setup.config.paths.root), setup.config.allow_targets)
            return result
    except Held as held:
        print(held)
        return None


def _is_done(folder: Path, lock: RunLock) -> bool:
    """True if the run is finished. Where only the status is missing although everything else is written, it is
    written again."""
    if read_status(folder)["status"] == "done":
        return True
    if (ended := read_digests(folder)) is None:
        return False
    lock.status("done", step=ended["steps"], seconds=ended["seconds"])
    return True


def _restore(setup: Setup) -> None:
    """Restore what is missing or damaged in the record of a finished run, as far as the rest of it allows."""
    remove_temporaries(setup.folder)
    if provenance_damages(setup.folder):
        mend_provenance(setup.folder, setup.values, _origin(setup), setup.defining())
    restore(Run(setup.folder, lambda: setup.recipe), setup.recorder, setup.device, setup.config.trainer.threads)


def _record_provenance(setup: Setup) -> None:
    """Write the configuration, code version and environment of the run, or of its next part."""
    origin, resumed = _origin(setup), is_begun(setup.folder)
    if resumed:
        mend_provenance(setup.folder, setup.values, origin, setup.defining())
    write_provenance(setup.folder, setup.values, origin, resumed, setup.defining())


def _origin(setup: Setup) -> Origin:
    return setup.origin or this_origin(without=[Path(setup.config.paths.root)])


def _fit(setup: Setup, lock: RunLock) -> None:
    """Train under a lock, and write the outcome into status.json."""
    try:
        lock.status("running")
        with stopped_at_once():
            _record_provenance(setup)
            print(f"training {setup.config.name} for {setup.recipe.max_steps} steps in {setup.folder}", flush=True)
            if setup.announcement:
                print(setup.announcement, flush=True)
            settings = setup.fit_settings()
            fitted = fit(setup.folder, setup.recipe, setup.recorder, settings, setup.callbacks, setup.loggers)
            run_missing_analyses(setup)
            finish(setup, fitted)
        lock.status("done", step=fitted.steps, seconds=fitted.seconds)
    except Preempted as stop:
        lock.status("preempted", step=stop.step)
        print(f"{stop}\nrun: {setup.folder}", flush=True)
        raise SystemExit(stop.exit_status) from stop
    except BaseException as raised:
        error = out_of_memory(raised) or raised
        with contextlib.suppress(OSError, RunError):  # a status that cannot be written must not hide the reason
            lock.status("failed", reason=str(error) or type(error).__name__, traceback=traceback.format_exc())
        if isinstance(error, OSError) or "PytorchStreamWriter" in str(error):  # torch's own error on a full disk
            lock.check_in_place()
            raise not_writable(setup.folder, error) from error
        if not isinstance(error, MechlabError):
            traceback.print_exc()
            error.reported = True
        raise error from raised.__cause__
