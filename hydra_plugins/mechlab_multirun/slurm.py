"""Hydra's SLURM launcher (submitit) with an end for every job: one that dies without a result is a failed job.

By itself submitit asks SLURM's accounting whether a job has ended, and waits for ever where there is none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mechlab.config.multirun import JobFailed, JobNote, note_path, read_note
from mechlab.core.errors import ConfigError

EVERY = 10.0  # seconds between two looks at SLURM's queue
PATIENCE = 15.0  # seconds that a shared folder may take to show the result of a job that has left the queue


class Slurm(Launcher):
    """Runs the jobs of a multirun as SLURM jobs through submitit, waits for them, and returns what became of each.

    Args:
        params: those of submitit's launcher; see `--cfg hydra` with hydra/launcher=slurm.
    """

    def __init__(self, **params: Any):
        self.params = params
        self._handed: dict[str, Any] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over before a launch."""
        self._handed = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit all jobs, wait until none is left, and return their objectives or why they failed.

        Raises:
            ConfigError: SLURM is not there, or sbatch refuses the jobs.
        """
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        missing = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
        if missing:
            must, fix = "hydra/launcher=slurm needs SLURM's commands", "hydra/launcher=joblib runs on this machine"
            raise ConfigError(must, got=f"no {', '.join(missing)}", key="hydra/launcher", fix=fix)
        launcher = SlurmLauncher(**self.params)
        launcher.setup(**self._handed)
        try:
            with _every_job_ends():
                returned = launcher.launch(job_overrides, initial_job_idx=initial_job_idx)
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            must, fix = "sbatch must accept the jobs", "hydra.launcher.partition=NAME, hydra.launcher.account=NAME, ..."
            raise ConfigError(must, got=str(error).strip(), key="hydra.launcher", fix=fix) from None
        for number, (result, overrides) in enumerate(zip(returned, job_overrides, strict=True), start=initial_job_idx):
            if isinstance(result._return_value, JobFailed):
                result.overrides = list(overrides)
                print(f"error: job #{number} {result._return_value}", file=sys.stderr, flush=True)
                self._note(number, overrides, result._return_value)
        return list(returned)

    def _note(self, number: int, overrides: Sequence[str], error: JobFailed) -> None:
        """Complete the note of a job that has died, or write it for one that never began."""
        config = self._handed["config"]
        folder = Path(config.hydra.sweep.dir)
        note = read_note(note_path(folder, number)) or JobNote(number, list(overrides), config.objective)
        note.failed(error)
        note.write(folder)


@contextlib.contextmanager
def _every_job_ends() -> Iterator[None]:
    """Let submitit wait for its SLURM jobs by their results and SLURM's queue."""
    from submitit.slurm.slurm import SlurmJob

    collect = SlurmJob.results
    SlurmJob.results = lambda job: _results(job, collect)
    try:
        yield
    finally:
        del SlurmJob.results  # that of the base class is there again


def _results(job: Any, collect: Callable[[Any], list[JobReturn]]) -> list[JobReturn]:
    """Wait until a job has left its result or died, and return the results of its tasks.

    Args:
        job: submitit's handle of a SLURM job.
        collect: reads the results of a job that has left them.
    """
    from submitit.core.utils import FailedJobError

    from mechlab.sweeps import slurm

    if job.num_tasks > 1:
        return [_results(job.task(number), collect)[0] for number in range(job.num_tasks)]
    gone, looked = None, -EVERY
    while not job.paths.result_pickle.exists():
        now = time.monotonic()
        if gone is not None and now - gone > PATIENCE:
            return [_died(job)]
        if gone is None and now - looked > EVERY:
            looked, gone = now, None if slurm.is_queued(job.job_id) else now
        time.sleep(min(1.0, EVERY))
        with contextlib.suppress(OSError):
            os.listdir(job.paths.folder)  # makes a network file system look again
    try:
        return collect(job)
    except FailedJobError as error:  # an exception outside of the task, such as a configuration that does not compose
        return [_failed(str(error).strip())]


def _died(job: Any) -> JobReturn:
    """Return what stands for the result of a job that left none."""
    from mechlab.sweeps import slurm
    from mechlab.sweeps.attempts import last_message

    number, _, element = job.job_id.partition("_")
    how = slurm.ends(int(number)).get(int(element) if element else None, "not in the queue any more")
    logs = [path for path in (job.paths.stderr, job.paths.stdout) if path.is_file()]
    words = next(filter(None, map(last_message, logs)), "")
    log = f"; log: {logs[0]}" if logs else ""
    return _failed(f"died without a result: {f'{words} ' if words else ''}(SLURM: {how}){log}")


def _failed(reason: str) -> JobReturn:
    result = JobReturn()
    result.status, result.return_value = JobStatus.FAILED, JobFailed(reason)
    return result
