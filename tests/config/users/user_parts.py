"""What a user might write: a task and an analysis in a package of their own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mechlab.core.analysis import Analysis, Artifacts, Finding, Needs
from mechlab.core.run import Run
from mechlab.tasks.repeat_copy import RepeatCopy


class OwnTask(RepeatCopy):
    """A task of the user's own."""


class CountSteps(Analysis):
    """Counts the recorded steps, and needs all of them."""

    needs: ClassVar[Needs] = Needs(history="full")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Count."""
        return Finding({"steps": len(run.history.steps)})
