"""Write a new analysis: a working example with a claim, a null and a figure, to be edited, and its yaml.

python scripts/new_analysis.py better_than_untrained
python scripts/new_analysis.py better_than_untrained --package mylab --conf conf
python scripts/new_analysis.py share_that_learned --set    of a set of runs, such as the seeds of one configuration
"""

from __future__ import annotations

from scaffold import ask_place, write

CODE = '''"""Accuracy of a network against that of the same network before training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.core.model import outputs_of
from mechlab.core.task import Split
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


class CLASS(Analysis):
    """Accuracy of the trained network against that of the same network before training, and against chance.

    Args:
        examples: number of evaluation examples.
        split: split of these examples.
        margin: least gain in accuracy for the claim `learned`.
    """

    needs = Needs()  # for instance Needs(kind="sequence", ground_truth=("automaton",), history="full")

    def __init__(
        self,
        examples: Annotated[int, at_least(1)] = 500,
        split: Split = "val",
        margin: Annotated[float, between(0, 1)] = 0.1,
    ):
        self.examples, self.split, self.margin = examples, split, margin

    @torch.no_grad()
    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Measure both accuracies; save those of every example."""
        batch = run.evaluation(self.split, self.examples)
        networks = {"trained": run.model(), "untrained": run.untrained()}
        accuracy = {
            name: run.task.score(outputs_of(network, batch.inputs), batch)["accuracy"]  # (B,)
            for name, network in networks.items()
        }
        out.save_arrays("accuracy", **accuracy)
        scalars = {name: float(values.mean()) for name, values in accuracy.items()} | {"chance": run.task.chance()}
        null = max(scalars["untrained"], scalars["chance"])
        claim = Claim(
            f"The accuracy is at least {self.margin:g} above that of the untrained network and of a constant guess.",
            value=scalars["trained"],
            threshold=null + self.margin,
            holds=scalars["trained"] >= null + self.margin,
            kind="statistical",
            null=null,
        )
        return Finding(scalars, {"learned": claim})

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the distribution of the examples' accuracies from the saved arrays."""
        from mechlab.plotting.style import legend, new_figure

        figure, (axis,) = new_figure()
        for name, values in out.arrays("accuracy").items():
            axis.ecdf(values, label=name)
        axis.set(xlabel="accuracy of an example", ylabel="share of examples at or below")
        legend(axis)
        return {"accuracy": figure}
'''

YAML = """# @package analysis.NAME
_target_: MODULE.CLASS
examples: 500   # evaluation examples
split: val      # train, val or test
margin: 0.1     # least gain in accuracy of the claim `learned`
"""

SET_CODE = '''"""How many of the runs have learned their task?"""

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

SET_YAML = """# @package analysis.NAME
_target_: MODULE.CLASS
accuracy: 0.9   # test accuracy that a run must reach to count
share: 0.5      # least share of such runs of the claim `most`
fewest: 5       # runs below which no claim is made
"""

if __name__ == "__main__":
    place, of_set = ask_place("analysis", "set", "of a set of runs, such as the seeds of one configuration")
    code, yaml = (SET_CODE, SET_YAML) if of_set else (CODE, YAML)
    words = f"-m seed=0,1 analysis=[{place.name}] trainer=smoke" if of_set else f"analysis=[{place.name}] trainer=smoke"
    write(place, "analyses", "analysis", code, yaml, words)
