"""The table of path-kernel decompositions of several networks and tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from mechlab.core.analysis import Claim, Finding
from mechlab.core.constraints import at_least
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

KERNEL = "path_kernel"
MEASURED = ("movement", "completeness_error", "residual_of_movement", "arithmetic_of_movement", "evaluations")
BOUNDS = {64: 1e-9, 32: 1e-4}  # of the completeness error, by the bits of training


class AttributionTable(SetAnalysis):
    """Tabulate the path kernels of several networks and tasks: parameters, steps, the movement of the explained
    outputs, and how far the terms are from summing to it.

    Findings have no seconds; `scripts/bench.py attribution` measures the time of a step for the same pairs.

    Args:
        fewest: pairs of network and task below which no claim is made.
    """

    needs = SetNeeds(runs=2, analyses=(KERNEL,), files=("result.json", "provenance/config.yaml"))

    def __init__(self, fewest: Annotated[int, at_least(1)] = 4):
        self.fewest = fewest

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save a row for each run."""
        import pandas as pd

        table = pd.DataFrame([_row(run) for run in runs]).sort_values(["task", "model", "seed"], ignore_index=True)
        out.save_table("runs", table)
        pairs = len(table[["task", "model"]].drop_duplicates())
        relative = table["completeness_error"] / table["bits"].map(BOUNDS)
        scalars = {
            "pairs": float(pairs),
            "runs": float(len(table)),
            "completeness_error": float(table["completeness_error"].max()),
            "residual_of_movement": float(table["residual_of_movement"].max()),
            "residual_median": float(table["residual_of_movement"].median()),
        }
        if pairs < self.fewest:
            few = f"{pairs} pairs of network and task are fewer than {self.fewest}, so that no claim is made."
            return Finding(scalars, notes={"fewest": few})
        statement = (
            f"Of each of {pairs} pairs of network and task the terms of the path kernel sum to the change of the "
            "outputs, to 1e-9 of the sum of their sizes in 64 bits and 1e-4 in 32 (largest error in these units)."
        )
        worst = float(relative.max())
        claim = Claim(statement, value=worst, threshold=1.0, holds=worst <= 1.0, kind="exact")
        return Finding(scalars, {"completeness": claim})

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the completeness error and the residual of the quadrature of each run."""
        from mechlab.plotting.attribution_table import errors_by_run

        table = out.table("runs")
        same = table.duplicated(["task", "model"], keep=False)
        ends = np.where(same, ", seed " + table["seed"].astype(str), "")
        return {"errors": errors_by_run(table.assign(label=table["model"] + " on " + table["task"] + ends))}


def _row(run: Run) -> dict[str, Any]:
    config, result = run.config, run.results
    scalars = result["findings"][KERNEL]["scalars"]
    task, _, model = config["name"].rpartition("-")
    model_of_run = run.recipe.architecture()
    metrics = result["metrics"]
    accuracy = metrics.get("test/accuracy")
    return {
        "task": task,
        "model": model,
        "seed": config["seed"],
        "parameters": sum(parameter.numel() for parameter in model_of_run.parameters()),
        "optimizer": config["optimizer"]["_target_"].rpartition(".")[2],
        "bits": config["trainer"]["precision"],
        "steps": int(scalars["steps"]),
        "batch": run.recipe.examples_per_step,
        "accuracy": math.nan if accuracy is None else float(accuracy),
        **{name: float(scalars[name]) for name in MEASURED},
    }
