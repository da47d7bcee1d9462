"""Execution of a run: train it, resume it, or restore its finished record; then run its analyses."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mechlab.config.provenance import Origin, mend_provenance, this_origin, write_provenance
from mechlab.core.errors import MechlabError, NotFinite, RunError, out_of_memory
from mechlab.jobs import console
from mechlab.jobs.analyses import run_missing_analyses
from mechlab.jobs.estimate import announced_time
from mechlab.jobs.prepare import Setup
from mechlab.jobs.result import finish, write_result
from mechlab.jobs.reuse import check_code, is_begun, is_done, remarks, remove_if_unwanted
from mechlab.record.digests import provenance_damages
from mechlab.record.files import not_writable, remove_temporaries, writing
from mechlab.record.lock import Held, RunLock
from mechlab.record.run import Run
from mechlab.training.fit import Fitted, fit
from mechlab.training.mend import restore
from mechlab.training.signals import Preempted, stopped_at_once
from mechlab.training.together import RunToFit, fit_together


def execute(setup: Setup) -> dict[str, Any] | None:
    """Train a run, resume it or reuse its record, and print its result.

    Returns:
        The content of result.json; None when another process holds the run.
    """
    results = execute_together([setup])
    return None if results is None else results[0]


def execute_together(setups: Sequence[Setup]) -> list[dict[str, Any]] | None:
    """Execute several runs, whose missing trainings are one batched model.

    Returns:
        The content of result.json of each run; None when another process holds one of them.
    """
    try:
        with contextlib.ExitStack() as stack:
            locks = [_held(setup, stack) for setup in setups]
            missing = []
            for setup, lock in zip(setups, locks, strict=True):
                remove_if_unwanted(setup, lock)
                if is_done(setup.folder, lock):
                    print(f"the run is done already, so it is not trained again: {setup.folder}")
                    _restore(setup)
                    for remark in remarks(setup):
                        print(remark)
                else:
                    check_code(setup)
                    missing.append((setup, lock))
            if missing:
                _fit(missing)
            results = []
            for setup in setups:
                run_missing_analyses(setup)
                results.append(write_result(setup))
                if len(setups) > 1:
                    print(f"seed {setup.config.seed}:")
                console.print_result(results[-1])
            console.print_next(setups[0].folder, Path(setups[0].config.paths.root), setups[0].config.allow_targets)
            return results
    except Held as held:
        print(held)
        return None


def _held(setup: Setup, stack: contextlib.ExitStack) -> RunLock:
    """Hold a run directory until the stack is closed."""
    lock = stack.enter_context(RunLock(setup.folder))
    stack.enter_context(writing(setup.folder))
    return lock


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


def _fit(runs: Sequence[tuple[Setup, RunLock]]) -> None:
    """Train under locks, several runs as one batched model, and write each outcome into status.json.

    Raises:
        MechlabError: the first error of a run; what has not failed is finished all the same.
    """
    unfinished, failures = list(runs), []
    try:
        for _, lock in runs:
            lock.status("running")
        with stopped_at_once():
            for setup, _ in runs:
                _record_provenance(setup)
                most = "at most " if setup.may_stop_early else ""
                steps = f"{most}{setup.recipe.max_steps} steps"
                print(f"training {setup.config.name} for {steps} in {setup.folder}", flush=True)
            words = [words for words in (runs[0][0].announcement, announced_time(runs[0][0])) if words]
            if words:
                print(f"{'each run: ' if len(runs) > 1 else ''}{'; '.join(words)}", flush=True)
            for (setup, lock), outcome in zip(runs, _trained([setup for setup, _ in runs]), strict=True):
                if isinstance(outcome, MechlabError):
                    failures.append(outcome)
                    lock.status("failed", reason=str(outcome), traceback=str(outcome))
                else:
                    run_missing_analyses(setup)
                    finish(setup, outcome)
                    lock.status("done", step=outcome.steps, seconds=outcome.seconds)
                unfinished.remove((setup, lock))
    except Preempted as stop:
        for _, lock in unfinished:
            lock.status("preempted", step=stop.step)
        print(stop, flush=True)
        for setup, _ in runs:
            print(f"run: {setup.folder}", flush=True)
        raise SystemExit(stop.exit_status) from stop
    except BaseException as raised:
        error = out_of_memory(raised) or raised
        for _, lock in unfinished:
            with contextlib.suppress(OSError, RunError):  # a status that cannot be written must not hide the reason
                lock.status("failed", reason=str(error) or type(error).__name__, traceback=traceback.format_exc())
        if isinstance(error, OSError) or "PytorchStreamWriter" in str(error):  # torch's own error on a full disk
            setup, lock = unfinished[0]
            lock.check_in_place()
            raise not_writable(setup.folder, error) from error
        if not isinstance(error, MechlabError):
            traceback.print_exc()
            error.reported = True  # type: ignore[attr-defined]
        raise error from raised.__cause__
    if failures:
        raise failures[0]


def _trained(setups: Sequence[Setup]) -> list[Fitted | NotFinite]:
    """Fit one run alone, or several together."""
    settings = setups[0].fit_settings()
    if setups[0].recipe.member is None:
        (setup,) = setups
        return [fit(setup.folder, setup.recipe, setup.recorder, settings, setup.callbacks, setup.loggers)]
    return fit_together([RunToFit(s.folder, s.recipe, s.recorder, s.callbacks, s.loggers) for s in setups], settings)
