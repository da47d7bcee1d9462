"""A cell of the table, and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Literal

Outcome = Literal["works", "kind", "ground truth", "not supported", "crash", "not tried"]


@dataclass(frozen=True)
class Cell:
    """An analysis, and the task and model of the runs that it is run on.

    Args:
        subject: "model" or "task": which of the two tables of the matrix has the cell.
        analysis: the analysis.
        task: the task.
        model: the model.
        settings: further overrides of the training, separated by spaces.
    """

    subject: str
    analysis: str
    task: str
    model: str
    settings: str = ""

    @property
    def pair(self) -> tuple[str, str, str]:
        """What decides the runs: task, model and settings."""
        return self.task, self.model, self.settings


@dataclass(frozen=True)
class Result:
    """The outcome of a cell.

    Args:
        outcome: "works"; for a refusal what does not fit: "kind", "ground truth" or "not supported"; "crash" for an
            error that is no refusal.
        reason: the rule of the refusal in one sentence, "" for a cell that works.
        stage: how far the cell came: 0 the kind of task does not fit, 1 its ground truth, 2 the model, 3 works. Of
            the cells of several tasks one that came furthest is reported.
        trained: whether networks were trained before a refusal.
    """

    outcome: Outcome
    reason: str = ""
    stage: int = 2
    trained: bool = False


def as_row(cell: Cell, result: Result) -> Sequence[str]:
    """Return the values of a row of the recorded matrix."""
    return [*astuple(cell), result.outcome, result.reason]
