"""Planning of a sweep: expand the grid, check every job, and freeze the jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mechlab.config.build import all_without_files, without_files
from mechlab.config.grid import expand
from mechlab.config.identity import masked
from mechlab.config.provenance import code_state, package_versions
from mechlab.core.errors import ConfigError
from mechlab.core.progress import ProgressLine
from mechlab.jobs.prepare import prepare_run
from mechlab.record.files import writing
from mechlab.sweeps.commands import record_command
from mechlab.sweeps.manifest import Job, Sweep, freeze


def plan_sweep(overrides: Sequence[str], folders: Sequence[Path] = ()) -> Sweep:
    """Return the frozen sweep of the grid of overrides.

    Every configuration is checked as in `mechlab.train`, once for all its seeds; jobs with the same run are merged.

    Args:
        overrides: as after `python -m mechlab.train -m`.
        folders: further configuration folders, as for --config-dir.

    Raises:
        ConfigError: a configuration of the grid is invalid; nothing is written.
    """
    identities: dict[str, str] = {}
    jobs: dict[str, Job] = {}
    root = None
    with ProgressLine(lambda: f"planning: {len(jobs)} jobs checked"):
        for cell in expand(overrides, folders):
            allow = cell.values["allow_targets"]
            config = {**cell.values, "task": without_files(cell.values["task"], "task", allow)}
            config |= {group: all_without_files(config[group], group, allow) for group in ("analysis", "callbacks")}
            if config["trainer"]["seeds"] is not None:
                must, fix = (
                    "the jobs of a sweep are single runs",
                    '"seed=range(8)", or python -m mechlab.train trainer.seeds=8',
                )
                raise ConfigError(must, got=f"trainer.seeds={config['trainer']['seeds']}", key="trainer.seeds", fix=fix)
            root = Path(config["paths"]["root"])
            key = json.dumps([masked(cell.cfg), config["init_from"]], sort_keys=True)
            if key not in identities:
                identities[key] = prepare_run(_on_cpu(config), masked(cell.cfg)).run_id
            run = f"{config['name']}/{identities[key]}-s{config['seed']}"
            jobs.setdefault(run, Job(len(jobs), run, identities[key], cell.overrides, config))
    if root is None:
        raise ConfigError("a sweep must have at least one job", got=" ".join(overrides))
    commit, patch = code_state([root])
    with writing(root, "paths.root"):
        sweep = freeze(root, list(jobs.values()), commit, patch, package_versions())
        record_command(sweep, overrides, folders)
    return sweep


def _on_cpu(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration for a machine without GPUs: planning needs no GPU even if the jobs do."""
    return {**config, "trainer": {**config["trainer"], "accelerator": "cpu"}}
