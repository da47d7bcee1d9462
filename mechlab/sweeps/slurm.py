"""Sweeps as SLURM arrays: what is submitted, and what SLURM says of it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mechlab.core.errors import ConfigError
from mechlab.sweeps.manifest import Job, Sweep


def script() -> Path:
    """Return the batch script: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "slurm" / "sweep.sh"
    return inside if inside.exists() else package.parent / "slurm" / "sweep.sh"


def submit(sweep: Sweep, jobs: Sequence[int], chunk: int, parallel: int | None) -> str | None:
    """Submit the chunks that hold the given jobs as one array; return SLURM's number for it, None if nothing is left.

    Jobs of this sweep that already wait or run in SLURM's queue, in chunks of whatever size, are left out.

    Args:
        jobs: indices of jobs.
        chunk: jobs per array element.
        parallel: how many elements may run at once; None for as many as SLURM gives.

    Raises:
        ConfigError: sbatch is not there or refuses.
    """
    waiting = {job.index for _, queued in queue(sweep) for job in queued}
    elements = sorted({index // chunk for index in jobs if index not in waiting})
    if not elements:
        return None
    logs = sweep.folder / "logs"
    logs.mkdir(exist_ok=True)
    array = ranges(elements) + (f"%{parallel}" if parallel else "")
    command = ["sbatch", "--parsable", f"--job-name={_name(sweep, chunk)}", f"--array={array}"]
    command += [f"--output={logs.resolve()}/%A_%a.log", *cluster_options()]
    command += [str(script()), "--element", str(sweep.folder.resolve()), str(chunk)]
    # what SLURM told the planning job about itself is not for the elements; where SLURM's configuration is, is for all
    told = {name for name in os.environ if name.startswith("SLURM_")} - {"SLURM_CONF"}
    environment = {name: value for name, value in os.environ.items() if name not in told}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        fix = f"python -m mechlab.sweep run {sweep.id} runs the sweep on this machine"
        raise ConfigError("submitting needs SLURM's sbatch", got="no such command", fix=fix) from None
    if done.returncode:
        fix = "see slurm/README.md for the settings of your cluster"
        raise ConfigError("sbatch must accept the array", got=done.stderr.strip(), key=shlex.join(command), fix=fix)
    return done.stdout.strip().split(";")[0]


def queue(sweep: Sweep) -> list[tuple[str, list[Job]]]:
    """Return the state (pending, running, ...) and the jobs of each array element of the sweep that waits or runs.

    The list is empty where there is no SLURM.
    """
    try:
        command = ["squeue", "--noheader", "--array", "--format=%K %T %j"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    ours = re.findall(rf"^(\d+) (\w+) {_name(sweep, '')}(\d+)$", listed, re.MULTILINE)
    return [(state.lower(), sweep.chunk(int(element), int(size))) for element, state, size in ours]


def _name(sweep: Sweep, chunk: int | str) -> str:
    """Return the name under which a sweep is submitted: its id and the size of its chunks."""
    return f"mechlab-{sweep.id}-{chunk}"


def requeue() -> None:
    """Ask SLURM to start this array element again."""
    job, task = os.environ["SLURM_ARRAY_JOB_ID"], os.environ["SLURM_ARRAY_TASK_ID"]
    subprocess.run(["scontrol", "requeue", f"{job}_{task}"], check=False)


def cluster_options() -> list[str]:
    """Return the options for sbatch that the cluster's settings name; see slurm/README.md."""
    settings = Path(os.environ.get("MECHLAB_CLUSTER", "slurm/cluster.sh"))
    if not settings.is_file():
        if "MECHLAB_CLUSTER" in os.environ:
            raise ConfigError("MECHLAB_CLUSTER must name a file", got=str(settings), key="MECHLAB_CLUSTER")
        return []
    text = subprocess.run(
        ["bash", "-c", 'source "$1" >&2 && printf "%s" "${SBATCH_OPTIONS:-}"', "bash", str(settings)],
        capture_output=True,
        text=True,
    )
    if text.returncode:
        raise ConfigError("the cluster's settings must be a shell script", got=text.stderr.strip(), key=str(settings))
    return shlex.split(text.stdout)


def ranges(numbers: Sequence[int]) -> str:
    """Write sorted numbers as sbatch's --array takes them.

    >>> ranges([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
