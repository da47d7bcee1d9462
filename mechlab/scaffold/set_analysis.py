"""A new analysis of a set of runs, such as the seeds of one configuration."""

from __future__ import annotations

from mechlab.scaffold.template import Template

CODE = '''"""How many of the runs have learned their task?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd

from mechlab.core.analysis import Claim, Finding
from mechlab.core.constraints import at_least, between
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


class CLASS(SetAnalysis):
    """Count the runs whose test accuracy reaches a level.

    Args:
        accuracy: what a run must reach to count.
        share: least share of such runs for the claim `most`.
        fewest: runs below which no claim is made.
    """

    # what is read of each run, and what must differ or be equal among them, for instance
    # SetNeeds(runs=3, analyses=("spectrum",), files=("metrics.csv",), varies=("task.s",), equal=("model",))
    needs = SetNeeds(runs=2, files=("result.json",), varies=("seed",))

    def __init__(
        self,
        accuracy: Annotated[float, between(0, 1)] = 0.9,
        share: Annotated[float, between(0, 1)] = 0.5,
        fewest: Annotated[int, at_least(2)] = 5,
    ):
        self.accuracy, self.share, self.fewest = accuracy, share, fewest

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Read the accuracies; save them."""
        accuracies = np.array([run.results["metrics"]["test/accuracy"] for run in runs])  # (N,)
        out.save_table("accuracies", pd.DataFrame({"seed": [run.seed for run in runs], "accuracy": accuracies}))
        learned = summarise((accuracies >= self.accuracy).astype(float).tolist())
        scalars = {"share": learned.mean, "share_low": learned.low, "share_high": learned.high}
        if len(runs) < self.fewest:
            return Finding(scalars, notes={"fewest": f"No claim is made of fewer than {self.fewest} runs."})
        claim = Claim(
            f"At least {self.share:g} of the runs reach a test accuracy of {self.accuracy:g} (lower end of the 95 % "
            "bootstrap interval over runs).",
            value=learned.mean,
            threshold=self.share,
            holds=learned.low >= self.share,
            kind="statistical",
            interval=(learned.low, learned.high),
        )
        return Finding(scalars, {"most": claim})

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the distribution of the runs' accuracies from the saved table."""
        from mechlab.plotting.style import new_figure

        figure, (axis,) = new_figure()
        axis.ecdf(out.table("accuracies")["accuracy"])
        axis.set(xlabel="test accuracy", ylabel="share of runs at or below")
        return {"accuracies": figure}
'''

YAML = """# @package analysis.NAME
_target_: MODULE.CLASS
accuracy: 0.9   # test accuracy that a run must reach to count
share: 0.5      # least share of such runs of the claim `most`
fewest: 5       # runs below which no claim is made
"""

SET_ANALYSIS = Template("analyses", "analysis", CODE, YAML, "-m seed=0,1 analysis=[NAME] trainer=smoke")
