"""Attempts at the chunks of a sweep: the array or process of each chunk, and its log.

They distinguish a job that was never started from one that died before it could write a status.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mechlab.core.errors import RunError
from mechlab.core.printable import printable
from mechlab.record.files import LINES_BYTES, open_regular, read_bytes
from mechlab.sweeps.manifest import Sweep

FILE = "attempts.jsonl"
END = 1 << 16  # number of bytes of a log that are read, from its end
# lines that srun, sweep.sh and finished jobs print after the reason
NOISE = r"srun: .*|run: .*|slurmstepd: error: Detected \d+ oom.?kill.* Some of .*|element ended with status \d+"


@dataclass(frozen=True)
class Attempt:
    """One attempt at a chunk: an element of a SLURM array, or a process of `mechlab.sweep run`.

    Args:
        chunk: jobs per chunk.
        number: the chunk, which is the element of an array.
        array: SLURM's number of the array; None for a process.
        status: exit status of a process; None where unknown.
    """

    chunk: int
    number: int
    array: int | None = None
    status: int | None = None

    @property
    def log(self) -> str:
        """The path of the log file, relative to the sweep's folder."""
        name = f"chunk-{self.chunk}-{self.number}" if self.array is None else f"{self.array}_{self.number}"
        return f"logs/{name}.log"


def append_attempts(sweep: Sweep, attempts: Iterable[Attempt]) -> None:
    """Append attempts to the sweep's file of attempts."""
    lines = [[attempt.chunk, attempt.number, attempt.array, attempt.status] for attempt in attempts]
    handle = os.open(sweep.folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("".join(f"{json.dumps(line)}\n" for line in lines))


def last_attempts(sweep: Sweep) -> dict[int, Attempt]:
    """Return the last attempt at each job, by the job's index; unreadable lines are ignored."""
    last: dict[int, Attempt] = {}
    try:
        lines = read_bytes(sweep.folder / FILE, LINES_BYTES).decode(errors="replace").splitlines()
    except RunError:
        return last
    for line in lines:
        if re.fullmatch(r"\[[1-9]\d{0,8}, \d{1,9}, (null|\d{1,18}), (null|\d{1,3})\]", line):
            attempt = Attempt(*json.loads(line))
            last |= {job.index: attempt for job in sweep.chunk(attempt.number, attempt.chunk)}
    return last


def last_message(log: Path) -> str:
    """Return the last line of a log that is not indented, the likely message of its error; "" if there is none.

    Tracebacks, and errors of mechlab and SLURM, have their message in such a line.
    """
    try:
        with open_regular(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - END))
            lines = file.read().decode(errors="replace").splitlines()
    except (OSError, RunError):
        return ""
    messages = [line for line in lines if line.strip() and not line[0].isspace() and not re.fullmatch(NOISE, line)]
    return printable(messages[-1].strip()) if messages else ""
