"""Networks over training: losses and accuracies of each, and the mean similarity of irreps to the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.analyses.groups.group_runs import IRREPS
from mechlab.record.sets import run_name
from mechlab.statistics.bootstrap import bootstrap

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run

OVER_TRAINING = "irreps_over_training"  # table of `irreps`: a row for each step and irrep
CURVES = ["irrep", "step", "mean", "low", "high", "networks"]
TRAINING = "training"  # table of `irreps`: a row for each step
PROGRESS = ["run", "step", "train_loss", "test_loss", "train_accuracy", "test_accuracy"]
SHOWN = 8  # irreps that are followed


def curve_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the mean similarity of irreps over the recorded steps of runs that have curves, with 95 % bootstrap
    intervals over runs; of the irreps with the greatest ones."""
    tables = [table for run in runs if (table := _curves(run)) is not None]
    if not tables:
        return []
    steps = sorted(set.intersection(*(set(table.index) for table in tables)))
    names = list(tables[0].columns)
    values = np.stack([table.loc[steps, names].to_numpy(float) for table in tables])  # (runs, steps, irreps)
    largest = np.argsort(-values.mean(0).max(0), kind="stable")[:SHOWN] if steps else []
    rows = []
    for place in sorted(largest):
        for at, step in enumerate(steps):
            each = values[:, at, place]
            low, high = bootstrap(each) if len(each) > 1 else (None, None)
            row = {"irrep": names[place], "step": int(step), "mean": float(each.mean()), "low": low, "high": high}
            rows.append({**row, "networks": len(each)})
    return rows


def progress_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return losses and accuracies of each run at each step at which `irreps` measured them."""
    rows = []
    for run in runs:
        out = run.artifacts(IRREPS)
        if (out.folder / f"{TRAINING}.csv").is_file():
            table = out.table(TRAINING)[PROGRESS[1:]].dropna()
            rows += [{"run": run_name(run.folder), **row} for row in table.to_dict("records")]
    return rows


def _curves(run: Run) -> pd.DataFrame | None:
    """Return the similarity of the nontrivial irreps (columns) at the recorded steps (index), or None."""
    out = run.artifacts(IRREPS)
    if not (out.folder / f"{OVER_TRAINING}.csv").is_file():
        return None
    table = out.table(OVER_TRAINING)
    return table[table["name"] != "trivial"].pivot(index="step", columns="name", values="similarity")
