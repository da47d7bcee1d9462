"""Train a model on a task, record it, and ask the attached analyses.

python -m mechlab.train task=repeat_copy model=rnn
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.config.launch import check_choices, hydra_program, note_folder, resolve
from mechlab.core.errors import ConfigError, MechlabError, RunError, did_you_mean, out_of_memory

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """The program `python -m mechlab.train`."""
    hydra_program(job, "train")


def job(cfg: DictConfig) -> float | None:
    """One run: train it, or go on with it, or report that it is done. Returns the objective."""
    from mechlab.setup import Setup

    try:
        check_choices()
        setup = Setup(resolve(cfg), cfg)
        told_later = note_folder(setup.folder)
        result = train(setup)
    except MechlabError as error:
        _report(error)
        raise
    if not told_later:
        print(f"run: {setup.folder}", flush=True)
    return None if result is None else _objective(result, setup.config.objective)


def _objective(result: dict[str, Any], name: str) -> float:
    """Return the metric, or the scalar of an analysis, that a sweeper asks for."""
    scalars = {f"{analysis}/{key}": v for analysis, f in result["findings"].items() for key, v in f["scalars"].items()}
    try:
        return {**scalars, **result["metrics"]}[name]
    except KeyError:
        known = did_you_mean(name, {**scalars, **result["metrics"]})
        raise ConfigError("objective must be a metric of the run", got=name, key="objective", fix=known) from None


def train(setup: Any) -> dict[str, Any] | None:
    """Do what is left to do of a run, and return its result; None when another process holds it."""
    from mechlab import console
    from mechlab.core.claim import Claim, Held
    from mechlab.core.files import writing
    from mechlab.reuse import check_code, remarks, remove_if_unwanted

    try:
        with Claim(setup.folder) as claim, writing(setup.folder):
            remove_if_unwanted(setup, claim)
            if _is_done(setup.folder, claim):
                print(f"the run is done already, so it is not trained again: {setup.folder}")
                setup.restore()
                for remark in remarks(setup):
                    print(remark)
            else:
                check_code(setup)
                _fit(setup, claim)
            setup.answer_missing()
            result = setup.write_result()
            console.print_metrics(result["metrics"])
            console.print_findings(result["findings"])
            console.print_expected(result.get("expected", {}))
            console.print_next(setup.folder, Path(setup.config.paths.root), setup.config.allow_targets)
            return result
    except Held as held:
        print(held)
        return None


def _is_done(folder: Path, claim: Any) -> bool:
    """True if the run is finished; a status that does not say so, although the rest is written, is written again."""
    from mechlab.core.claim import read_status
    from mechlab.core.digests import read_digests

    if read_status(folder)["status"] == "done":
        return True
    if (ended := read_digests(folder)) is None:
        return False
    claim.status("done", step=ended["steps"], seconds=ended["seconds"])
    return True


def _fit(setup: Any, claim: Any) -> None:
    """Train under a claim, and let status.json tell what became of it."""
    from mechlab.core.files import not_writable
    from mechlab.training.fit import fit
    from mechlab.training.signals import Preempted, stopped_at_once

    try:
        claim.status("running")
        with stopped_at_once():
            setup.write_provenance()
            print(f"training {setup.config.name} for {setup.recipe.max_steps} steps in {setup.folder}", flush=True)
            if setup.announcement:
                print(setup.announcement, flush=True)
            settings = setup.fit_settings()
            fitted = fit(setup.folder, setup.recipe, setup.recorder, settings, setup.callbacks, setup.loggers)
            setup.answer_missing()
            setup.finish(fitted)
        claim.status("done", step=fitted.steps, seconds=fitted.seconds)
    except Preempted as stop:
        claim.status("preempted", step=stop.step)
        print(f"{stop}\nrun: {setup.folder}", flush=True)
        raise SystemExit(stop.exit_status) from stop
    except BaseException as raised:
        error = out_of_memory(raised) or raised
        with contextlib.suppress(OSError, RunError):  # a status that cannot be written must not hide the reason
            claim.status("failed", reason=str(error) or type(error).__name__, traceback=traceback.format_exc())
        if isinstance(error, OSError) or "PytorchStreamWriter" in str(error):  # torch's own error on a full disk
            claim.check_in_place()
            raise not_writable(setup.folder, error) from error
        if not isinstance(error, MechlabError):
            traceback.print_exc()
            error.reported = True
        raise error from raised.__cause__


def _report(error: MechlabError) -> None:
    """Print an error where it happens: in a multirun, later jobs must not hide it."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    error.reported = True


if __name__ == "__main__":
    main()
