"""The table of networks that multiply in groups: losses and fractions of variance that their key irreps explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from mechlab.analyses.groups.group_rows import MEASURED, TITLES, latex_means, latex_runs, mean_rows, run_rows
from mechlab.analyses.groups.group_runs import IRREPS, READ, group_runs
from mechlab.core.analysis import Finding
from mechlab.core.constraints import between
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

REMARK = (
    "Losses in nats; FVE, the fraction of variance explained by key irreps; excluded and restricted losses leave the "
)
REMARK += "trivial irrep out, as published."


class GroupTable(SetAnalysis):
    """Tabulate networks that multiply in groups: key irreps in the order of learning, losses, and the fraction of
    variance that key irreps explain of logits, embeddings, unembedding and hidden activations.

    `runs` has a row for each network, with the published and the corrected number and the deviation from it where a
    network of the same group, kind, sizes, share of training pairs and seed is published; `means` has a row for each
    group and kind of network, with means over seeds. Each is saved as LaTeX too, for all kinds of network together and
    for each alone.

    Args:
        accuracy: the least test accuracy of a network that generalises.

    Source: Chughtai et al., arXiv 2302.03025, its tables and the result files of its repository.
    """

    needs = SetNeeds(runs=2, analyses=(IRREPS,), files=READ)

    def __init__(self, accuracy: Annotated[float, between(0, 1)] = 0.99):
        self.accuracy = accuracy

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save the tables of runs and of means over seeds."""
        rows = run_rows(group_runs(runs), self.accuracy)
        means = mean_rows(rows)
        out.save_table("runs", rows)
        out.save_table("means", means)
        models = sorted(set(rows["model"]))
        for ending, kinds in {"": models, **{f"_{model}": [model] for model in models if len(models) > 1}}.items():
            chosen, averaged = (table[table["model"].isin(kinds)] for table in (rows, means))
            out.save_bytes(f"runs{ending}.tex", latex_runs(chosen, REMARK).encode())
            out.save_bytes(f"means{ending}.tex", latex_means(averaged, REMARK).encode())
        matched = rows[rows["published"].astype(bool)]
        scalars: dict[str, float] = {
            "runs": len(rows),
            "groups": rows["group"].nunique(),
            "generalising": int(rows["generalises"].sum()),
            "published": len(matched),
        }
        notes = {"interval": "Intervals of means are 95 % percentiles of a bootstrap over seeds."}
        if len(matched):
            scalars |= {"same_irreps": int(matched["same_irreps"].sum()), **_deviations(matched)}
            notes["published"] = (
                "The published networks were trained on other processors, where rounding differs, so that a network of "
                "the same seed need not learn the same irreps; the published weights themselves must."
            )
        return Finding({name: float(value) for name, value in scalars.items()}, notes=notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the measured numbers of each network against the published ones, where there are any."""
        from mechlab.plotting.group_table import against_published

        rows = out.table("runs")
        matched = rows[rows["published"].astype(bool)]
        if not len(matched):
            return {}
        panels = {TITLES[name]: _pairs(matched, name) for name in MEASURED}
        return {"published": against_published(panels, matched["model"].tolist())}


def _deviations(matched: pd.DataFrame) -> dict[str, float]:
    """Return the largest absolute deviation of each measured number from the corrected one."""
    largest = {name: matched[f"{name}_deviation"].abs().max() for name in MEASURED}
    return {f"{name}_deviation": float(value) for name, value in largest.items() if np.isfinite(value)}


def _pairs(matched: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return the right numbers, the measured ones, and the published ones where they were corrected."""
    right = matched[f"{name}_corrected"].fillna(matched[f"{name}_published"])
    return {"right": right.to_numpy(float), "measured": matched[name].to_numpy(float)}
