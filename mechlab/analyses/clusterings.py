"""How far does the answer of a cluster analysis depend on the method? All of them on the same states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.reached import By, Part, reached, supported
from mechlab.clustering.bisimulation import successors
from mechlab.clustering.bootstrap import BOUND, interval
from mechlab.clustering.dbscan import NOISE
from mechlab.clustering.methods import METHODS, SPLITS, Clustering, Rows, Setting, cluster
from mechlab.clustering.nulls import permuted_ambiguity, random_partition_ambiguity
from mechlab.clustering.scores import all_scores, ambiguity, contingency
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, at_least, between
from mechlab.core.task import Split
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

Name = Literal[tuple(METHODS)]


class Clusterings(Analysis):
    """Cluster the states that a network reaches by many methods, and score each against the automaton's states.

    The table tells of each method the number of clusters, of `starts` (k-means), the share of noise, the ambiguity
    (`weighted` with the noise as one more cluster, `clustered` without it), the other scores of
    `mechlab.clustering.scores.all_scores`, of which `ami` is adjusted for chance and does not reward many clusters, and
    the ambiguity of permuted states and of a random partition into as many cells. In the fair setting it also tells the
    share of steps that do not lead to the usual successor of their cluster and letter (`conflict`). Classifiers are
    scored on the rows that they were fitted to, which is `weighted`, and on rows that they had not seen, both against
    the labels that they were fitted to. Rows are split into five folds at random, several times: `held_out` is the mean
    over these splits, `held_out_low` and `held_out_high` are the ends of their 95 % percentile interval, of which the
    claim takes the upper one. A method draws the same whatever the others are.

    Args:
        methods: names, as in `mechlab.clustering.methods.METHODS`.
        words: number of evaluation words.
        split: split that they are taken from.
        by: what labels tell: the "state"; the "transition", which is the state before the last letter, and the letter;
            of a pushdown automaton also the "height" or "top" of its stack.
        part: what of the network's state is clustered: "all", the "hidden" states of all layers, the "cells" of an
            LSTM, or the "last" layer's hidden state.
        keep_traps: whether words count that end in a state which no letter leaves.
        setting: "fair" shows every method each distinct prefix once; "published" shows it all rows, and mean shift and
            OPTICS the first quarter of them.
        threshold: largest ambiguity for the claim of each method.

    Source: Muskardin et al., arXiv 2306.16854, and its published code.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 3

    def __init__(
        self,
        methods: Annotated[tuple[Name, ...], Filled()] = tuple(METHODS),
        words: Annotated[int, at_least(1)] = 2000,
        split: Split = "val",
        by: By = "state",
        part: Part = "all",
        keep_traps: bool = True,
        setting: Setting = "fair",
        threshold: Annotated[float, between(0, 1)] = 0.05,
    ):
        self.methods, self.words, self.split, self.by = methods, words, split, by
        self.part, self.keep_traps = part, keep_traps
        self.setting, self.threshold = setting, threshold

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Cluster and score; save the table of scores, and the rows and clusters of each method."""
        import pandas as pd

        seen = reached(run, self.words, self.split, self.by, self.part, self.keep_traps)
        prefixes, labels = seen.prefixes, seen.labels
        rows = Rows(seen.states.astype(np.float64), labels, prefixes.index, seen.machine_states, seen.factor)

        table, arrays = [], {}
        streams = dict(zip(METHODS, rng.spawn(len(METHODS)), strict=True))
        for method in dict.fromkeys(self.methods):
            found = cluster(method, rows, streams[method], self.setting)
            line = {"method": method, **scores(found, rows, streams[method])}
            if len(found.rows) == len(prefixes) and self.setting == "fair":
                after = successors(found.clusters, prefixes.parent, prefixes.letter, prefixes.count)
                line |= {"conflict": after.conflict, "successor_entropy": after.entropy}
            table.append(line)
            arrays |= {f"{method}.rows": found.rows, f"{method}.clusters": found.clusters}
        out.save_arrays("clusters", labels=labels, count=prefixes.count, **arrays)
        out.save_table("methods", pd.DataFrame(table))

        sizes = {"states": seen.machine_states, "prefixes": len(prefixes)}
        measured = {row["method"]: row["weighted"] for row in table}
        unseen = {f"{row['method']}_held_out": row["held_out"] for row in table if "held_out" in row}
        starts = {f"{row['method']}_starts": row["starts"] for row in table if "starts" in row}
        scalars = {name: float(value) for name, value in {**measured, **unseen, **starts, **sizes}.items()}
        return supported(scalars, {row["method"]: self._claim(row) for row in table}, prefixes)

    def _claim(self, row: dict[str, float]) -> Claim:
        rows, over, value, ends = f"{row['clusters']} clusters", "", row["weighted"], None
        if "held_out" in row:
            rows, over = "classes told for unseen rows", f" ({BOUND} over {SPLITS[row['method']]} random splits)"
            value, ends = row["held_out"], (row["held_out_low"], row["held_out_high"])
        return Claim(
            f"The weighted ambiguity of the {rows} by {row['method']} is at most {self.threshold:g}{over}.",
            value=value,
            threshold=self.threshold,
            holds=(value if ends is None else ends[1]) <= self.threshold,
            kind="statistical",
            null=row["null_permuted"],
            interval=ends,
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the ambiguity of each method."""
        from mechlab.plotting.clusterings import methods_figure

        return {"methods": methods_figure(out.table("methods"), self.threshold)}


def scores(found: Clustering, rows: Rows, rng: np.random.Generator) -> dict[str, float]:
    """Return a method's line of the table."""
    labels, quiet = rows.labels[found.rows], found.clusters != NOISE
    clusters, points = found.clusters, rows.points[found.rows]
    line = {
        "clusters": len(np.unique(clusters[quiet])),
        "noise": float(found.counts[~quiet].sum() / found.counts.sum()),
        "rows": int(found.counts.sum()),
        "prefixes": len(np.unique(found.rows)),
        **all_scores(contingency(clusters, labels, found.counts)),
        "clustered": _without_noise(found, labels),
        "null_permuted": permuted_ambiguity(clusters, labels, found.counts, rng),
        "null_random": random_partition_ambiguity(points, len(np.unique(clusters)), labels, found.counts, rng),
    }
    if found.starts is not None:
        line["starts"] = found.starts
    if found.held_out is not None:
        repeats = np.array([ambiguity(told, labels, found.counts).weighted for told in found.held_out])
        line["held_out"] = float(repeats.mean())
        line["held_out_low"], line["held_out_high"] = interval(repeats)
    return line


def _without_noise(found: Clustering, labels: np.ndarray) -> float:
    quiet = found.clusters != NOISE
    if not quiet.any():
        return float("nan")
    return ambiguity(found.clusters[quiet], labels[quiet], found.counts[quiet]).weighted
