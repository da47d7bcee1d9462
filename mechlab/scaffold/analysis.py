"""A new analysis of a run, with a claim, a null and a figure."""

from __future__ import annotations

from mechlab.scaffold.template import Template

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

ANALYSIS = Template("analyses", "analysis", CODE, YAML, "analysis=[NAME] trainer=smoke")
