"""How far does the answer of a cluster analysis depend on the method? All of them on the same states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.reached import By, reached
from mechlab.clustering.dbscan import NOISE
from mechlab.clustering.methods import METHODS, Clustering, Rows, Setting, cluster
from mechlab.clustering.scores import adjusted_mutual_information, ambiguity, permuted_ambiguity
from mechlab.core.analysis import Analysis, Artifacts, Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.core.task import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.run import Run

Name = Literal[tuple(METHODS)]


class Clusterings(Analysis):
    """Cluster the states that a network reaches by many methods, and score each against the automaton's states.

    The table tells of each method the number of clusters, the share of noise, the ambiguity (`weighted` with the noise
    as one more cluster, `clustered` without it), the ambiguity of permuted states, and the mutual information adjusted
    for chance, which does not reward many clusters. Classifiers are scored on the rows that they were fitted to, which
    is `weighted`, and on rows that they had not seen, which is `held_out`. A method draws the same whatever the others
    are.

    Args:
        methods: names, as in `mechlab.clustering.methods.METHODS`.
        words: number of evaluation words.
        split: split that they are taken from.
        by: what labels tell of a pushdown automaton: the control state, or also the "height" or "top" of its stack.
        setting: "fair" shows every method each distinct prefix once; "published" shows it all rows, and mean shift and
            OPTICS the first quarter of them.
        threshold: largest ambiguity for the claim of each method.

    Source: Muskardin et al., arXiv 2306.16854, and its published code.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))

    def __init__(
        self,
        methods: tuple[Name, ...] = tuple(METHODS),
        words: Annotated[int, at_least(1)] = 2000,
        split: Split = "val",
        by: By = "state",
        setting: Setting = "fair",
        threshold: Annotated[float, between(0, 1)] = 0.05,
    ):
        self.methods, self.words, self.split, self.by = methods, words, split, by
        self.setting, self.threshold = setting, threshold

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Cluster and score; save the table of scores, and the rows and clusters of each method."""
        import pandas as pd

        seen = reached(run, self.words, self.split, self.by)
        prefixes, labels = seen.prefixes, seen.labels
        rows = Rows(seen.states.astype(np.float64), labels, prefixes.index, seen.machine_states, seen.factor)

        table, arrays = [], {}
        streams = dict(zip(METHODS, rng.spawn(len(METHODS)), strict=True))
        for method in dict.fromkeys(self.methods):
            found = cluster(method, rows, streams[method], self.setting)
            table.append({"method": method, **scores(found, labels, streams[method])})
            arrays |= {f"{method}.rows": found.rows, f"{method}.clusters": found.clusters}
        out.save_arrays("clusters", labels=labels, count=prefixes.count, **arrays)
        out.save_table("methods", pd.DataFrame(table))

        sizes = {"states": seen.machine_states, "prefixes": len(prefixes)}
        measured = {row["method"]: row["weighted"] for row in table}
        unseen = {f"{row['method']}_held_out": row["held_out"] for row in table if "held_out" in row}
        scalars = {name: float(value) for name, value in {**measured, **unseen, **sizes}.items()}
        return Finding(scalars, {row["method"]: self._claim(row) for row in table})

    def _claim(self, row: dict[str, float]) -> Claim:
        value = row.get("held_out", row["weighted"])
        rows = "classes told for unseen rows" if "held_out" in row else f"{row['clusters']} clusters"
        return Claim(
            f"The weighted ambiguity of the {rows} by {row['method']} is at most {self.threshold:g}.",
            value=value,
            threshold=self.threshold,
            holds=value <= self.threshold,
            kind="statistical",
            null=row["null_permuted"],
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the ambiguity of each method."""
        from mechlab.plotting.clusterings import methods_figure

        return {"methods": methods_figure(out.table("methods"), self.threshold)}


def scores(found: Clustering, labels: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Return a method's line of the table; `labels` (P,) are those of all prefixes."""
    mine, quiet = labels[found.rows], found.clusters != NOISE
    own = ambiguity(found.clusters, mine, found.counts)
    line = {
        "clusters": len(np.unique(found.clusters[quiet])),
        "noise": float(found.counts[~quiet].sum() / found.counts.sum()),
        "rows": int(found.counts.sum()),
        "prefixes": len(np.unique(found.rows)),
        **own._asdict(),
        "clustered": _without_noise(found, mine),
        "null_permuted": permuted_ambiguity(found.clusters, mine, found.counts, rng),
        "adjusted": adjusted_mutual_information(found.clusters, mine, found.counts),
    }
    if found.held_out is not None:
        line["held_out"] = ambiguity(found.held_out, mine, found.counts).weighted
    return line


def _without_noise(found: Clustering, labels: np.ndarray) -> float:
    quiet = found.clusters != NOISE
    if not quiet.any():
        return float("nan")
    return ambiguity(found.clusters[quiet], labels[quiet], found.counts[quiet]).weighted
