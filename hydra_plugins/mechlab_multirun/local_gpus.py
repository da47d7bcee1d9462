"""Hydra launcher that runs the jobs of a multirun on the GPUs of this machine."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mechlab.config.choices import user_folders
from mechlab.config.multirun import JobFailed, JobNote
from mechlab.core.errors import ConfigError
from mechlab.jobs import pool


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
        jobs = zip(itertools.count(initial_job_idx), job_overrides, outcomes, strict=False)
        returned = [self._returned(*job) for job in jobs]
        if any(outcome.status == 143 for outcome in outcomes):
            raise SystemExit(143)
        return returned

    def _returned(self, number: int, overrides: Sequence[str], outcome: pool.Outcome) -> JobReturn:
        """Write the note of a job that has ended, and return what it gives to the sweeper."""
        cfg = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        note = JobNote(number, list(overrides), cfg.objective)
        lines = outcome.output.strip().splitlines() or [""]
        last = itertools.takewhile(lambda line: line.startswith("run: "), reversed(lines))
        folders = [Path(line.removeprefix("run: ")) for line in last][::-1]  # several with trainer.seeds
        note.began(folders, *(OmegaConf.to_container(cfg[key], resolve=True) for key in ("analysis", "allow_targets")))
        result = JobReturn(overrides=list(overrides), cfg=cfg)
        if outcome.status == 0:
            note.returned(_objective(folders, cfg.objective))
            result.status, result.return_value = JobStatus.COMPLETED, note.value
        else:
            if outcome.status != 143:
                errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines
                note.failed(errors[-1])
            result.status, result.return_value = JobStatus.FAILED, JobFailed(note.error)
        note.write(Path(self.config.hydra.sweep.dir))
        return result


def _objective(folders: Sequence[Path], name: str) -> float | None:
    """Return the mean objective of a job's runs; None if another process holds one of them."""
    from mechlab.jobs.result import measured_values
    from mechlab.record.result import read_result

    if not folders or not all((folder / "result.json").is_file() for folder in folders):
        return None
    return sum(measured_values(read_result(folder))[name] for folder in folders) / len(folders)
