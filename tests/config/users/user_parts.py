"""What a user might write: a task, an analysis and functions of outputs in a package of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import Run
from mechlab.tasks.repeat_copy import RepeatCopy


class OwnTask(RepeatCopy):
    """A task of the user's own."""


class CountSteps(Analysis):
    """Counts the recorded steps, and needs all of them."""

    needs: ClassVar[Needs] = Needs(history="full")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Count."""
        return Finding({"steps": len(run.history.steps)})


class CountSeeds(SetAnalysis):
    """Counts seeds of one task; two are needed."""

    needs: ClassVar[SetNeeds] = SetNeeds(varies=("seed",), equal=("task",))

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Count."""
        return Finding({"count": len({run.seed for run in runs})})


def first(outputs: Tensor) -> Tensor:
    """Return the first column, or step, of each output."""
    return outputs[:, 0]


def mean_of_all(outputs: Tensor) -> Tensor:
    """Return a number without axes."""
    return outputs.mean()


def best_class(outputs: Tensor) -> Tensor:
    """Return whole numbers, which have no gradient."""
    return outputs.argmax(-1)


def not_a_number(outputs: Tensor) -> Tensor:
    """Return NaN for each input."""
    return outputs[:, 0].sub(float("inf")).mul(0)
