"""Sweeps as SLURM arrays: submission, queue, and exit states."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mechlab.core.errors import ConfigError
from mechlab.sweeps.attempts import Attempt, append_attempts
from mechlab.sweeps.manifest import Job, Sweep


def script() -> Path:
    """Return the path of the batch script: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "slurm" / "sweep.sh"
    return inside if inside.exists() else package.parent / "slurm" / "sweep.sh"


def submit(sweep: Sweep, jobs: Sequence[int], chunk: int, parallel: int | None, allowed: Sequence[str]) -> int | None:
    """Submit the chunks of the given jobs as one array; return its SLURM number, None if there is nothing to submit.

    Jobs of this sweep that are already in SLURM's queue, in chunks of any size, are left out.

    Args:
        jobs: indices of jobs.
        chunk: jobs per array element.
        parallel: maximal number of elements that run at once; None for no limit.
        allowed: packages other than mechlab that the elements may import.

    Raises:
        ConfigError: sbatch is missing or fails, or the queue cannot be read.
    """
    waiting = {job.index for _, queued in queue(sweep) or [] for job in queued}
    elements = sorted({index // chunk for index in jobs if index not in waiting})
    if not elements:
        return None
    logs = sweep.folder / "logs"
    logs.mkdir(exist_ok=True)
    array = ranges(elements) + (f"%{parallel}" if parallel else "")
    output = str(logs.resolve()).replace("%", "%%") + "/%A_%a.log"
    command = ["sbatch", "--parsable", f"--job-name={_name(sweep, chunk)}", f"--array={array}"]
    command += [f"--output={output}", *cluster_options()]
    command += [str(script()), "--element", str(sweep.folder.resolve()), str(chunk), sweep.code]
    command += [f"allow_targets=[{','.join(allowed)}]"] if allowed else []
    # SLURM's variables of the submitting job must not reach the elements; the path of its configuration must
    own = {name for name in os.environ if name.startswith("SLURM_")} - {"SLURM_CONF"}
    environment = {name: value for name, value in os.environ.items() if name not in own}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    except OSError as error:
        got = "no such command" if isinstance(error, FileNotFoundError) else str(error)
        fix = f"python -m mechlab.sweep run {sweep.id} runs the sweep on this machine"
        raise ConfigError("submitting needs SLURM's sbatch", got=got, fix=fix) from None
    number = re.search(r"^(\d{1,18})(;\S*)?$", done.stdout, re.MULTILINE)
    if done.returncode or number is None:
        fix = "see slurm/README.md for the settings of your cluster"
        got = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise ConfigError("sbatch must accept the array", got=got, key=shlex.join(command), fix=fix)
    append_attempts(sweep, [Attempt(chunk, element, int(number[1])) for element in elements])
    return int(number[1])


def queue(sweep: Sweep) -> list[tuple[str, list[Job]]] | None:
    """Return the state (pending, running, ...) and the jobs of each array element of the sweep in SLURM's queue.

    None where there is no SLURM.

    Raises:
        ConfigError: SLURM does not answer, so that the queue is unknown.
    """
    listed = _run("squeue", "--noheader", "--array", "--format=%K %T %j")
    if listed is None:
        return None
    if listed.returncode:
        fix = "repeat the command when `squeue` answers"
        raise ConfigError("SLURM's queue must be readable", got=listed.stderr.strip(), key="squeue", fix=fix)
    ours = re.findall(rf"^(\d+) (\w+) {_name(sweep, '')}([1-9]\d*)$", listed.stdout, re.MULTILINE)
    return [(state.lower(), sweep.chunk(int(element), int(size))) for element, state, size in ours]


def is_queued(job: str) -> bool:
    """Return True if a job, or an element like `77_0`, is in the queue, or if SLURM does not answer."""
    listed = _run("squeue", "--noheader", "--array", "--format=%T", f"--jobs={job}")
    if listed is None:
        return True
    forgotten = "Invalid job id" in listed.stderr
    return not forgotten if listed.returncode else bool(listed.stdout.strip())


def ends(job: int) -> dict[int | None, str]:
    """Return the final state and exit code of a job's elements, e.g. `FAILED 1:0`, as far as SLURM has them.

    The key of a job that is not an array is None. Without accounting, SLURM drops a job some minutes after its end
    (MinJobAge).
    """
    states: dict[int | None, str] = {}
    options = ("--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode")
    counted = _run("sacct", *options, f"--jobs={job}")
    for line in counted.stdout.splitlines() if counted else ():
        which, _, end = line.partition("|")
        states |= dict.fromkeys(_elements(which.partition("_")[2]), end.replace("|", " "))
    shown = _run("scontrol", "--oneliner", "show", "job", str(job))
    for line in shown.stdout.splitlines() if shown else ():
        values = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if {"JobState", "ExitCode"} <= values.keys():
            end = f"{values['JobState']} {values['ExitCode']}"
            states |= dict.fromkeys(_elements(values.get("ArrayTaskId", "")), end)
    return states


def _elements(which: str) -> list[int | None]:
    """Return the element numbers of SLURM's `3`, `[0-2,5%4]` or `0-2`; [None] for a job that is not an array."""
    numbers: list[int | None] = [] if which else [None]
    for first, last in re.findall(r"(\d+)(?:-(\d+))?(?=[,\]]|$)", which.partition("%")[0]):
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Return the result of one of SLURM's commands, None if it is missing; after a minute without answer it failed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
    except OSError:
        return None


def _name(sweep: Sweep, chunk: int | str) -> str:
    """Return the SLURM job name of a sweep: its id and the size of its chunks."""
    return f"mechlab-{sweep.id}-{chunk}"


def requeue() -> None:
    """Requeue this array element."""
    job, task = os.environ["SLURM_ARRAY_JOB_ID"], os.environ["SLURM_ARRAY_TASK_ID"]
    subprocess.run(["scontrol", "requeue", f"{job}_{task}"], check=False)


def cluster_options() -> list[str]:
    """Return the options for sbatch in the cluster's settings; see slurm/README.md."""
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
    """Return sorted numbers in the syntax of sbatch's --array.

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
