"""One row of the list of runs: what a run directory records, by the names that conditions and columns use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mechlab.jobs.console import number
from mechlab.record.digests import missing_files
from mechlab.record.lock import is_held
from mechlab.record.status import DAMAGED
from mechlab.reporting.collect import read_run
from mechlab.reporting.record import Record

KILLED = "killed"  # status.json says running, and no process holds the run


@dataclass
class Row:
    """A run in the list.

    Args:
        record: what could be read of it.
        size: bytes of all files below the run directory, history included.
    """

    record: Record
    size: int

    @property
    def run(self) -> str:
        """The run directory."""
        return str(self.record.folder)

    @cached_property
    def status(self) -> str:
        """The run's status; "killed" if it is running in no process, "damaged" if a part of the record cannot be
        read."""
        if self.damages:
            return DAMAGED
        state = self.record.state
        return KILLED if state == "running" and not is_held(self.record.folder) else state

    @property
    def damages(self) -> list[str]:
        """Why the record cannot be read, a sentence for each file."""
        return [problem.reason for problem in self.record.problems if problem.kind == DAMAGED]

    @property
    def failures(self) -> list[str]:
        """Why the run failed."""
        return [problem.reason for problem in self.record.problems if problem.kind != DAMAGED]

    @property
    def claims(self) -> tuple[int, int]:
        """The number of claims that hold, and of all."""
        return sum(claim.holds for claim in self.record.claims.values()), len(self.record.claims)

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """All values by name: those of the columns, metrics, scalars of analyses, and config keys.

        A config group has the name of the choice on the command line; without one, optimizer and the like have that of
        their class.
        """
        record, (held, claims) = self.record, self.claims
        targets = {key.removesuffix("._target_"): value for key, value in record.config.items() if _is_section(key)}
        sections = {section: str(target).rpartition(".")[2] for section, target in targets.items()}
        own = {
            "run": self.run,
            "status": self.status,
            "date": record.status.get("updated"),
            "started": record.status.get("started"),
            "seconds": record.status.get("seconds"),
            "host": record.status.get("host"),
            "size": self.size,
            "steps": record.numbers.get("steps", record.status.get("step")),
            "claims": held / claims if claims else None,
            "task": record.task,
            "model": record.model,
            "seed": record.seed,
        }
        return {**sections, **self.typed, **record.config, **record.numbers, **own}

    @cached_property
    def typed(self) -> dict[str, str]:
        """The values on the run's command line by key, config groups among them, where they are recorded."""
        words = (word.lstrip("+").partition("=") for word in self.record.overrides or ())
        return {key.partition("@")[0]: value for key, equals, value in words if equals}

    def as_dict(self) -> dict[str, Any]:
        """Return all that is known of the run as plain data."""
        names = ("started", "date", "seconds", "host", "size", "steps", "task", "model", "seed")
        return {
            "run": self.run,
            "status": self.status,
            "reasons": [*self.damages, *self.failures],
            **{name: self.values[name] for name in names},
            "claims_that_hold": self.claims[0],
            "claims": {"/".join(key): claim._asdict() for key, claim in self.record.claims.items()},
            "numbers": self.record.numbers,
            "config": self.record.config,
            "overrides": self.record.overrides,
        }


def read_row(folder: Path) -> Row:
    """Return the row of a run directory, after checks of its status, configuration, result and missing files."""
    record = read_run(folder)
    if not record.problems:
        for error in missing_files(folder):
            record.damaged(str(error.key), error.brief)
    return Row(record, size_of(folder))


def shown(value: Any) -> str:
    """Return a value as text: numbers with four significant digits, all but text as JSON, "-" for none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return number(value)
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def size_of(folder: str | Path) -> int:
    """Return the bytes of all files below a folder; what cannot be read counts as nothing."""
    total, waiting = 0, [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # removed meanwhile, or closed to this user
            continue
    return total


def _is_section(key: str) -> bool:
    return key.endswith("._target_") and key.count(".") == 1
