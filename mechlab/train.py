"""Train a model on a task, record it, and run the attached analyses.

python -m mechlab.train task=repeat_copy model=rnn
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mechlab.config.launch import check_choices, hydra_program, print_error, resolve
from mechlab.config.multirun import JobNote, in_multirun, noted_job, started_multirun
from mechlab.core.errors import ConfigError, MechlabError, did_you_mean

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mechlab.jobs.prepare import Setup


def main() -> None:
    """The program `python -m mechlab.train`; a multirun ends with a table of its jobs."""
    try:
        hydra_program(job, "train")
    except SystemExit:
        _summarise(complete=False)
        raise
    _summarise(complete=True)


def _summarise(complete: bool) -> None:
    if (multirun := started_multirun()) is not None:
        from mechlab.jobs.summary import summarise

        summarise(multirun, complete)


def job(cfg: DictConfig) -> float | None:
    """One run, or one for each of trainer.seeds: train it, resume it, or report that it is done. Returns the objective,
    of several runs the mean."""
    with noted_job(cfg) as note:
        value = _run(cfg, note)
        note.returned(value)
        return value


def _run(cfg: DictConfig, note: JobNote) -> float | None:
    from mechlab.config.identity import masked
    from mechlab.config.seeds import members
    from mechlab.jobs.together import prepare_runs
    from mechlab.record.status import read_status

    try:
        check_choices()
        setups = prepare_runs([(resolve(member), masked(member)) for member in members(cfg)])
        config, folders = setups[0].config, [setup.folder for setup in setups]
        repeated = not config.rerun and all(read_status(folder)["status"] == "done" for folder in folders)
        note.began(folders, config.analysis, config.allow_targets, repeated)
        from mechlab.jobs.execute import execute_together  # Lightning takes seconds to import; errors need not wait

        results = execute_together(setups)
    except MechlabError as error:
        print_error(error, "train")
        raise
    if not in_multirun():
        if setups[0].sets and results is not None:
            _run_planned_sets(setups)
        for setup in setups:
            print(f"run: {setup.folder}", flush=True)
    if results is None:
        return None
    return sum(_objective(result, setups[0].config.objective) for result in results) / len(results)


def _run_planned_sets(setups: Sequence[Setup]) -> None:
    """Run the analyses of sets that the configuration names; for a single run, print the commands instead."""
    from mechlab.jobs.planned_sets import print_commands, run_planned_sets

    config = {"analysis": setups[0].config.analysis, "allow_targets": setups[0].config.allow_targets}
    jobs = [(setup.folder, config) for setup in setups]
    if len(jobs) > 1:
        run_planned_sets(jobs)
    else:
        print_commands(jobs)


def _objective(result: dict[str, Any], name: str) -> float:
    """Return the metric, or the scalar of an analysis, that a sweeper optimises."""
    from mechlab.jobs.result import measured_values

    values = measured_values(result)
    try:
        return values[name]
    except KeyError:
        known = did_you_mean(name, values)
        raise ConfigError("objective must be a metric of the run", got=name, key="objective", fix=known) from None


if __name__ == "__main__":
    main()
