"""Comparison of clustering methods on the same hidden states."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.given_words import WordAnalysis, WordSource
from mechlab.analyses.labelled_states import By, Part, labelled_states, supported_finding
from mechlab.clustering.bisimulation import successor_errors
from mechlab.clustering.bootstrap import BOUND
from mechlab.clustering.dbscan import NOISE
from mechlab.clustering.methods import METHODS, SPLITS, Clustering, LabelledPoints, Setting, cluster
from mechlab.clustering.nulls import permuted_ambiguity, random_partition_ambiguity
from mechlab.clustering.scores import all_scores, ambiguity, contingency
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import Filled, between
from mechlab.core.progress import ProgressLine, duration
from mechlab.core.task import Split
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import percentile_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

Name = Literal[tuple(METHODS)]


class Clusterings(WordAnalysis):
    """Clusters of a network's hidden states by many methods, each scored against the automaton's states.

    The table has for each method the number of clusters, of `starts` (k-means), the share of noise, the ambiguity
    (`weighted` with the noise as one more cluster, `clustered` without it), the other scores of
    `mechlab.clustering.scores.all_scores`, of which `ami` is adjusted for chance and does not reward many clusters, and
    the ambiguity of permuted states and of a random partition into as many cells. In the fair setting it also has the
    share of steps whose target is not the most frequent successor of their cluster and letter (`conflict`). Classifiers
    are scored on the rows that they were fitted to (`weighted`), and on held-out rows, both against the labels that
    they were fitted to. Rows are split into five folds at random, several times: `held_out` is the mean over these
    splits, `held_out_low` and `held_out_high` are the ends of their 95 % percentile interval, of which the claim takes
    the upper one. The random numbers of a method do not depend on the other methods.

    Args:
        methods: names, as in `mechlab.clustering.methods.METHODS`.
        words: number of evaluation words, or words of one's own; see `WordSource`.
        split: split of drawn words.
        by: kind of labels: the "state"; the "transition", which is the state before the last letter, and the letter;
            for a pushdown automaton also the "height" or "top" of its stack.
        part: part of the network's state to cluster: "all", the "hidden" states of all layers, the "cells" of an
            LSTM, or the "last" layer's hidden state.
        keep_traps: False to leave out words that end in an absorbing state.
        setting: "fair" fits every method to each distinct prefix once; "published" to all rows, mean shift and OPTICS
            to the first quarter of them.
        threshold: largest ambiguity for the claim of each method.

    Source: Muškardin et al., arXiv 2306.16854, and its published code.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 3
    headline = ("k_means_8", "lr_held_out")

    def __init__(
        self,
        methods: Annotated[tuple[Name, ...], Filled()] = tuple(METHODS),
        words: WordSource = 2000,
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

        observed = labelled_states(run, self.words, self.split, self.by, self.part, self.keep_traps)
        prefixes, labels = observed.prefixes, observed.labels
        rows = LabelledPoints(
            observed.states.astype(np.float64), labels, prefixes.index, observed.machine_states, observed.factor
        )

        table, arrays = [], {}
        streams = dict(zip(METHODS, rng.spawn(len(METHODS)), strict=True))
        methods = list(dict.fromkeys(self.methods))
        number, method, started = 0, "", time.monotonic()
        since = started

        def progress() -> str:
            now, place = time.monotonic(), f"method {number} of {len(methods)}, {len(prefixes):,} prefixes"
            return f"clusterings: {method} ({place}) for {duration(now - since)}, {duration(now - started)} in all"

        with ProgressLine(progress):
            for number, method in enumerate(methods, start=1):  # noqa: B007 (shown by the progress line)
                since = time.monotonic()
                clustering = cluster(method, rows, streams[method], self.setting)
                line = {"method": method, **scores(clustering, rows, streams[method])}
                if len(clustering.rows) == len(prefixes) and self.setting == "fair":
                    after = successor_errors(clustering.clusters, prefixes.parent, prefixes.letter, prefixes.count)
                    line |= {"conflict": after.conflict, "successor_entropy": after.entropy}
                table.append(line)
                arrays |= {f"{method}.rows": clustering.rows, f"{method}.clusters": clustering.clusters}
        out.save_arrays("clusters", labels=labels, count=prefixes.count, **arrays)
        out.save_table("methods", pd.DataFrame(table))

        sizes = {"states": observed.machine_states, "prefixes": len(prefixes)}
        measured = {row["method"]: row["weighted"] for row in table}
        held_out = {f"{row['method']}_held_out": row["held_out"] for row in table if "held_out" in row}
        starts = {f"{row['method']}_starts": row["starts"] for row in table if "starts" in row}
        scalars = {name: float(value) for name, value in {**measured, **held_out, **starts, **sizes}.items()}
        return supported_finding(scalars, {row["method"]: self._claim(row) for row in table}, prefixes)

    def _claim(self, row: dict[str, float]) -> Claim:
        rows, over, value, ends = f"{row['clusters']} clusters", "", row["weighted"], None
        if "held_out" in row:
            rows, over = "predicted classes of held-out rows", f" ({BOUND} over {SPLITS[row['method']]} random splits)"
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


def scores(clustering: Clustering, rows: LabelledPoints, rng: np.random.Generator) -> dict[str, float]:
    """Return a method's row of the table."""
    labels, quiet = rows.labels[clustering.rows], clustering.clusters != NOISE
    clusters, points = clustering.clusters, rows.points[clustering.rows]
    line = {
        "clusters": len(np.unique(clusters[quiet])),
        "noise": float(clustering.counts[~quiet].sum() / clustering.counts.sum()),
        "rows": int(clustering.counts.sum()),
        "prefixes": len(np.unique(clustering.rows)),
        **all_scores(contingency(clusters, labels, clustering.counts)),
        "clustered": _without_noise(clustering, labels),
        "null_permuted": permuted_ambiguity(clusters, labels, clustering.counts, rng),
        "null_random": random_partition_ambiguity(points, len(np.unique(clusters)), labels, clustering.counts, rng),
    }
    if clustering.starts is not None:
        line["starts"] = clustering.starts
    if clustering.held_out is not None:
        repeats = np.array(
            [ambiguity(predicted, labels, clustering.counts).weighted for predicted in clustering.held_out]
        )
        line["held_out"] = float(repeats.mean())
        line["held_out_low"], line["held_out_high"] = percentile_interval(repeats)
    return line


def _without_noise(clustering: Clustering, labels: np.ndarray) -> float:
    quiet = clustering.clusters != NOISE
    if not quiet.any():
        return float("nan")
    return ambiguity(clustering.clusters[quiet], labels[quiet], clustering.counts[quiet]).weighted
