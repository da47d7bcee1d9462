"""One run as the report sees it: plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

DONE = "done"
SETTING = 24  # letters of a value in a setting


class Problem(NamedTuple):
    """A file that could not be read, or the reason why a run failed."""

    run: str
    kind: str  # failed, or damaged
    file: str
    reason: str


class ReportedClaim(NamedTuple):
    """One scored claim of one run."""

    statement: str
    kind: str
    value: float | None
    threshold: float | None
    null: float | None
    holds: bool
    interval: tuple[float, float] | None = None


class ExpectedNumber(NamedTuple):
    """A number of an experiment beside the one that a run measured."""

    published: float | None
    corrected: float | None
    tolerance: float | None
    source: str
    measured: float | None
    deviation: float | None
    within: bool | None
    reason: str = ""


def title(analysis: str) -> str:
    """Return an analysis with the parameters that differ from the configured ones, without the hash of its folder.

    >>> title("spectrum@0a1b2c3d (top=3)"), title("spectrum")
    ('spectrum (top=3)', 'spectrum')
    """
    return re.sub(r"@\w+(?= \()", "", analysis, count=1)


@dataclass
class Record:
    """One run as the report sees it.

    Args:
        folder: the run directory.
        status: content of status.json.
        config: the resolved configuration, flat: dotted key to value.
        overrides: the words of its command line, None if they are not recorded.
        environment: from provenance/environment.json, the command, commit, and version of torch.
        numbers: metrics, and scalars of analyses as `<analysis>/<scalar>`.
        claims: by (analysis, slug).
        notes: sentences of findings, by (analysis, slug).
        expected: by metric.
        problems: what could not be read, and why it failed.
    """

    folder: Path
    status: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    claims: dict[tuple[str, str], ReportedClaim] = field(default_factory=dict)
    notes: dict[tuple[str, str], str] = field(default_factory=dict)
    expected: dict[str, ExpectedNumber] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The run's status: done, failed, preempted, running or pending."""
        return str(self.status.get("status", "pending"))

    @property
    def counts(self) -> bool:
        """True if the tables include its numbers: it is done, and its result could be read."""
        return self.state == DONE and bool(self.numbers)

    @property
    def name(self) -> str:
        """The name of task and model, joined."""
        return str(self.config.get("name", self.folder.parent.name))

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.name.rpartition("-")[0] or self.name

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.name.rpartition("-")[2]

    @property
    def setting(self) -> str:
        """The first parameter of the task and its value, such as `index 3`; empty if it has none."""
        for key, value in self.config.items():
            if key.startswith("task.") and "_target_" not in key and isinstance(value, str | int | float):
                return f"{key.rpartition('.')[2]} {str(value)[:SETTING]}"
        return ""

    @property
    def seed(self) -> Any:
        """The root seed, as recorded or as the folder's name has it."""
        named = self.folder.name.rpartition("-s")[2]
        return self.config.get("seed", int(named) if named.isdecimal() else None)

    @property
    def figures(self) -> list[Path]:
        """The figures that its analyses saved, those over training among them: as PNG, then those that move, as GIF."""
        names = [f"analyses/{folder}.{ending}" for ending in ("png", "gif") for folder in ("*/*", "*/*/*")]
        found = [path for name in names for path in sorted(self.folder.glob(name))]
        return [path for path in found if not any(part.startswith(".") for part in path.relative_to(self.folder).parts)]

    def damaged(self, file: str, reason: str) -> None:
        """Note a file that cannot be read."""
        self.problems.append(Problem(str(self.folder), "damaged", file, reason))
