"""What mechlab adds to Hydra's multirun: a launcher for local GPUs, and a table of all jobs at the end."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mechlab.config.launch import user_folders
from mechlab.core.errors import ConfigError
from mechlab.jobs import pool
from mechlab.record.files import write_text
from mechlab.record.result import read_result

OF_SETS = ("analysis", "allow_targets")  # sections of a job's configuration that decide which analyses of sets are run


class JobFailed(Exception):
    """A job of a multirun failed in a process of its own; its error has been printed."""

    reported = True


class LocalGpus(Launcher):
    """Runs the jobs of a multirun as subprocesses, each in a slot on one of this machine's GPUs.

    Args:
        devices: GPUs as CUDA_VISIBLE_DEVICES takes them; None for all that are visible.
        per_device: jobs at a time on a GPU.
    """

    def __init__(self, devices: Sequence[Any] | None = None, per_device: int = 1):
        self.devices, self.per_device = devices, per_device
        self.config: DictConfig | None = None
        self.context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over before a launch."""
        self.config, self.context = config, hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run all jobs and return their objectives, or for a failed one the error that it printed last."""
        devices = pool.visible_devices() if self.devices is None else [str(device) for device in self.devices]
        if not devices or self.per_device < 1:
            must = "hydra/launcher=local_gpus needs at least one visible GPU and one job per GPU"
            got = f"devices {devices}, per_device {self.per_device}"
            raise ConfigError(
                must, got=got, key="hydra.launcher", fix="hydra/launcher=joblib, or hydra.launcher.devices=[0]"
            )
        folders = [word for folder in user_folders(sys.argv) for word in ("--config-dir", str(folder))]
        commands = [pool.python("-m", "mechlab.train", *folders, *overrides) for overrides in job_overrides]

        def tell(number: int, slot: pool.Slot, outcome: pool.Outcome) -> None:
            print(
                f"#{initial_job_idx + number} on {slot.name}: {' '.join(job_overrides[number])}\n{outcome.output}",
                flush=True,
            )

        environment = {**os.environ, "HYDRA_FULL_ERROR": "0"}
        outcomes = pool.run_all(commands, pool.make_slots(devices, self.per_device), environment, tell)
        if any(outcome.status == 143 for outcome in outcomes):
            raise SystemExit(143)
        numbers = range(initial_job_idx, initial_job_idx + len(outcomes))
        return [self._returned(*job) for job in zip(numbers, job_overrides, outcomes, strict=True)]

    def _returned(self, number: int, overrides: Sequence[str], outcome: pool.Outcome) -> JobReturn:
        lines = outcome.output.strip().splitlines() or [""]
        result = JobReturn(overrides=list(overrides))
        if outcome.status:
            errors = [line for line in lines if line.startswith("error: ")] or lines
            result.status, result.return_value = JobStatus.FAILED, JobFailed(errors[-1])
            return result
        result.status, result.return_value = JobStatus.COMPLETED, None
        result.cfg = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        last = itertools.takewhile(lambda line: line.startswith("run: "), reversed(lines))
        folders = [line.removeprefix("run: ") for line in last][::-1]  # several with trainer.seeds
        write_text(Path(self.config.hydra.sweep.dir) / f"{number}.run", "".join(f"{name}\n" for name in folders))
        if all((Path(folder) / "result.json").is_file() for folder in folders):
            values = [read_result(Path(folder))["metrics"].get(self.config.objective) for folder in folders]
            result.return_value = sum(values) / len(values) if None not in values and values else None
        return result


class TellingSweeper(BasicSweeper):
    """Hydra's grid sweeper, with a table of all jobs and their run directories at the end.

    That some failed is told by the exit status.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Run the grid and print what became of each job."""
        returned: list[JobReturn] = []
        launch = self.launcher.launch

        def remembering(overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            found = launch(overrides, initial_job_idx=initial_job_idx)
            returned.extend(found)
            return found

        self.launcher.launch = remembering
        try:
            return super().sweep(arguments)
        finally:
            self._tell(returned)

    def _tell(self, returned: Sequence[JobReturn]) -> None:
        for number, result in enumerate(returned):
            failed = result.status != JobStatus.COMPLETED
            reason = f"  {(str(result._return_value).splitlines() or [''])[0]}" if failed else ""
            print(f"{'failed' if failed else 'done':7} #{number} {' '.join(result.overrides)}{reason}")
        if returned:
            good = sum(result.status == JobStatus.COMPLETED for result in returned)
            print(f"{len(returned)} jobs: {good} done, {len(returned) - good} failed")
        notes = [Path(self.config.hydra.sweep.dir) / f"{number}.run" for number in range(len(returned))]
        runs = [note.read_text(encoding="utf-8").splitlines() if note.exists() else [] for note in notes]
        self._run_planned_sets(returned, runs)
        print("".join(f"run: {run}\n" for of_job in runs for run in of_job), end="", flush=True)

    def _run_planned_sets(self, returned: Sequence[JobReturn], runs: Sequence[Sequence[str]]) -> None:
        """Run the analyses of sets that the jobs name; where some jobs have failed, print the commands instead."""
        from mechlab.jobs.planned_sets import print_commands, run_planned_sets

        jobs = []
        pairs = [(result, run) for result, of_job in zip(returned, runs, strict=True) for run in of_job]
        for result, run in pairs:
            if result.cfg is not None and (Path(run) / "provenance" / "config.yaml").is_file():
                config = {key: OmegaConf.to_container(result.cfg[key], resolve=True) for key in OF_SETS}
                jobs.append((Path(run), config))
        if all(result.status == JobStatus.COMPLETED for result in returned):
            run_planned_sets(jobs)
        else:
            print_commands(jobs)
