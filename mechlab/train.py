"""Train a model on a task, record it, and run the attached analyses.

python -m mechlab.train task=repeat_copy model=rnn
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mechlab.config.launch import check_choices, hydra_program, note_folder, resolve
from mechlab.core.errors import ConfigError, MechlabError, did_you_mean

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """The program `python -m mechlab.train`."""
    hydra_program(job, "train")


def job(cfg: DictConfig) -> float | None:
    """One run: train it, resume it, or report that it is done. Returns the objective."""
    from mechlab.config.identity import masked
    from mechlab.jobs.prepare import prepare_run

    try:
        check_choices()
        setup = prepare_run(resolve(cfg), masked(cfg))
        in_summary = note_folder(setup.folder)
        from mechlab.jobs.execute import execute  # Lightning takes seconds to import, which errors need not wait for

        result = execute(setup)
    except MechlabError as error:
        _report(error)
        raise
    if not in_summary:
        if setup.sets and result is not None:
            from mechlab.jobs.planned_sets import print_commands

            print_commands(
                [(setup.folder, {"analysis": setup.config.analysis, "allow_targets": setup.config.allow_targets})]
            )
        print(f"run: {setup.folder}", flush=True)
    return None if result is None else _objective(result, setup.config.objective)


def _objective(result: dict[str, Any], name: str) -> float:
    """Return the metric, or the scalar of an analysis, that a sweeper optimises."""
    scalars = {f"{analysis}/{key}": v for analysis, f in result["findings"].items() for key, v in f["scalars"].items()}
    try:
        return {**scalars, **result["metrics"]}[name]
    except KeyError:
        known = did_you_mean(name, {**scalars, **result["metrics"]})
        raise ConfigError("objective must be a metric of the run", got=name, key="objective", fix=known) from None


def _report(error: MechlabError) -> None:
    """Print an error where it happens: in a multirun, later jobs must not hide it."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    error.reported = True


if __name__ == "__main__":
    main()
