"""The end of a multirun: a table of its jobs, the best trial, analyses of sets, and the run directories."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mechlab.config.multirun import JobNote, Multirun
from mechlab.core.printable import printable
from mechlab.core.tables import print_table
from mechlab.jobs.console import number


def summarise(multirun: Multirun, complete: bool) -> None:
    """Print what became of the jobs of a multirun, run the analyses of sets that they name, and print the run
    directories, in the order of the jobs.

    Args:
        multirun: the multirun that has ended.
        complete: whether the sweeper has come to its end, without an error or a signal.
    """
    jobs = multirun.jobs()
    if not jobs:
        return
    print_jobs(jobs)
    if (best := multirun.best()) is not None:
        print_best(jobs, best)
    _run_planned_sets(jobs, complete)
    runs = dict.fromkeys(run for job in jobs for run in job.runs)
    print("".join(f"run: {run}\n" for run in runs), end="", flush=True)


def print_jobs(jobs: Sequence[JobNote]) -> None:
    """Print a table of jobs: number, state, the overrides that differ, objective, run directory or error."""
    settings = [_settings(job.overrides) for job in jobs]
    keys = list(dict.fromkeys(key for values in settings for key in values))
    if len(jobs) > 1:
        keys = [key for key in keys if len({values.get(key) for values in settings}) > 1]
    objectives = list(dict.fromkeys(job.objective for job in jobs))
    objective = objectives[0] if len(objectives) == 1 else "objective"
    failed = any(job.error for job in jobs)
    names = ["#", "state", *keys, objective, "run or error" if failed else "run"]
    rows = [
        [str(job.number), job.state, *(_short(values.get(key, "")) for key in keys), number(job.value), _end(job)]
        for job, values in zip(jobs, settings, strict=True)
    ]
    print_table(names, rows, numbers=("#", objective))
    counts = Counter(job.state for job in jobs)
    rare = "".join(f", {counts[state]} {state}" for state in ("stopped", "held") if counts[state])
    print(f"{len(jobs)} jobs: {counts['done']} done, {counts['failed']} failed{rare}")


def print_best(jobs: Sequence[JobNote], best: dict) -> None:
    """Print the best trial as an optimising sweeper has written it, with the number of its job."""
    if "best_params" not in best or "best_value" not in best:
        return
    words = [f"{key}={value}" for key, value in best["best_params"].items()]
    job = next((job for job in jobs if set(words) <= set(job.overrides)), None)
    where = "" if job is None else f" (#{job.number})"
    measured = f"{jobs[0].objective} {number(best['best_value'])}"
    print(printable(f"best: {' '.join(words)}: {measured}{where}"))


def _settings(overrides: Sequence[str]) -> dict[str, str]:
    """Return the value of each key that a job's overrides set."""
    pairs = (word.partition("=") for word in overrides)
    return {key.lstrip("+"): value if equals else "removed" for key, equals, value in pairs}


def _short(value: str) -> str:
    """Shorten a number that a sweeper has drawn to four significant digits."""
    return number(float(value)) if re.fullmatch(r"-?\d+\.\d{5,}(e[-+]?\d+)?", value) else value


def _end(job: JobNote) -> str:
    if job.error:
        return job.error
    more = f" and {len(job.runs) - 1} more" if len(job.runs) > 1 else ""
    return "".join(job.runs[:1]) + more


def _run_planned_sets(jobs: Sequence[JobNote], complete: bool) -> None:
    """Run the analyses of sets that the jobs name; where some jobs have failed, print the commands instead."""
    if any(job.state == "stopped" for job in jobs):  # on request: the end must come soon
        return
    from mechlab.jobs.planned_sets import print_commands, run_planned_sets

    runs = [
        (Path(run), {"analysis": job.analysis, "allow_targets": job.allow_targets}) for job in jobs for run in job.runs
    ]
    runs = [(run, config) for run, config in runs if (run / "provenance" / "config.yaml").is_file()]
    if complete and all(job.state in ("done", "held") for job in jobs):
        run_planned_sets(runs)
    else:
        print_commands(runs)
