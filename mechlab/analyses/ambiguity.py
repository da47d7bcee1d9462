"""Do clusters of a network's states correspond to the states of the automaton that it was trained on?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.reached import By, Reached, reached
from mechlab.automata.trie import prefix_states
from mechlab.clustering.kmeans import kmeans
from mechlab.clustering.plane import principal_plane
from mechlab.clustering.scores import (
    ambiguity,
    cluster_ambiguity,
    contingency,
    homogeneity,
    permuted_ambiguity,
    table_ambiguity,
)
from mechlab.core.analysis import Analysis, Artifacts, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least, between
from mechlab.core.task import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.run import Run


class Ambiguity(Analysis):
    """Cluster the states that a network reaches and measure how much a cluster leaves open about the automaton's state
    (Muskardin et al., arXiv 2306.16854).

    The network reads every distinct prefix of the evaluation words once. The distinct states are clustered by k-means;
    the scores count how often each prefix occurs. The initial state is left out.

    Args:
        multiple: clusters per state of the automaton.
        curve: multiples to tell the ambiguity for as well; empty to skip them.
        words: number of evaluation words.
        split: split that they are taken from.
        by: what labels tell of a pushdown automaton: the control state, or also the "height" or "top" of its stack.
        n_init: starts of k-means.
        fit: what k-means sees: each distinct prefix as often as it occurs (as published), or once (then the many long
            prefixes weigh most).
        nulls: whether to measure what permuted states and the untrained network give.
        threshold: largest weighted ambiguity for the claim `pure`.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))

    def __init__(
        self,
        multiple: Annotated[float, above(0)] = 4.0,
        curve: tuple[Annotated[float, above(0)], ...] = (1.0, 2.0, 4.0, 8.0),
        words: Annotated[int, at_least(1)] = 2000,
        split: Split = "val",
        by: By = "state",
        n_init: Annotated[int, at_least(1)] = 10,
        fit: Literal["distinct", "occurrences"] = "occurrences",
        nulls: bool = True,
        threshold: Annotated[float, between(0, 1)] = 0.05,
    ):
        self.multiple, self.curve, self.words, self.split, self.by = multiple, curve, words, split, by
        self.n_init, self.fit, self.nulls, self.threshold = n_init, fit, nulls, threshold

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Cluster and score; save the curve, the clusters, the automaton's states and a projection to the plane."""
        found = reached(run, self.words, self.split, self.by)
        prefixes, labels, states = found.prefixes, found.labels, found.states
        untrained = prefix_states(run.untrained(), prefixes) if self.nulls else None

        weights = prefixes.count if self.fit == "occurrences" else None
        curve = []
        for multiple in sorted({*self.curve, self.multiple}):
            k = max(1, round(multiple * found.machine_states * found.factor))
            clusters = kmeans(states, k, rng, self.n_init, weights)
            nulls = {}
            if untrained is not None:
                control = kmeans(untrained, k, rng, self.n_init, weights)
                nulls["null_untrained"] = ambiguity(control, labels, prefixes.count).weighted
                nulls["null_permuted"] = permuted_ambiguity(clusters, labels, prefixes.count, rng)
            curve.append({"multiple": multiple, **_row(contingency(clusters, labels, prefixes.count)), **nulls})
            if multiple == self.multiple:
                chosen = clusters, curve[-1]

        clusters, line = chosen
        self._save(out, curve, found, clusters)
        sizes = {"states": found.machine_states, "prefixes": len(prefixes)}
        scalars = {name: float(value) for name, value in {**line, **sizes}.items() if name != "multiple"}
        return Finding(scalars, self._claims(scalars))

    def _claims(self, scalars: dict[str, float]) -> dict[str, Claim]:
        weighted = scalars["weighted"]
        claims = {
            "pure": Claim(
                f"The weighted ambiguity of {scalars['clusters']:g} clusters is at most {self.threshold:g}.",
                value=weighted,
                threshold=self.threshold,
                holds=weighted <= self.threshold,
                kind="statistical",
                null=scalars.get("null_untrained"),
            )
        }
        if self.nulls:
            null = min(scalars["null_untrained"], scalars["null_permuted"])
            claims["beats_nulls"] = Claim(
                "The weighted ambiguity is below half of what the untrained network and permuted states give.",
                value=weighted,
                threshold=null / 2,
                holds=weighted < null / 2,
                kind="statistical",
                null=null,
            )
        return claims

    def _save(
        self,
        out: Artifacts,
        curve: list[dict[str, float]],
        found: Reached,
        clusters: np.ndarray,
    ) -> None:
        import pandas as pd

        prefixes, labels, states, names = found.prefixes, found.labels, found.states, found.names
        plane, shares = principal_plane(states.astype(np.float64))
        columns = {"labels": labels, "clusters": clusters, "length": prefixes.length, "count": prefixes.count}
        out.save_arrays("states", plane=plane.astype(np.float32), shares=shares, **columns)
        out.save_table("curve", pd.DataFrame(curve))
        out.save_table("clusters", pd.DataFrame(_cluster_table(clusters, labels, prefixes.count, names)))
        seen = np.bincount(labels, minlength=len(names)), np.bincount(labels, prefixes.count, minlength=len(names))
        out.save_table("states", pd.DataFrame({"state": names, "prefixes": seen[0], "size": seen[1].astype(int)}))

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the states in the plane, and the ambiguity by number of clusters."""
        from mechlab.plotting.ambiguity import curve_figure, states_figure

        saved, names = out.arrays("states"), [str(name) for name in out.table("states")["state"]]
        picture = states_figure(saved["plane"], saved["shares"], saved["labels"], saved["clusters"], names)
        return {"states": picture, "curve": curve_figure(out.table("curve"), self.threshold)}


def _row(table: np.ndarray) -> dict[str, float]:
    scores = table_ambiguity(table)
    return {
        "clusters": len(table),
        "weighted": scores.weighted,
        "mean": scores.mean,
        "max": scores.max,
        "min": scores.min,
        "homogeneity": homogeneity(table),
        "completeness": homogeneity(table.T),
    }


def _cluster_table(clusters: np.ndarray, labels: np.ndarray, count: np.ndarray, names: Sequence[str]) -> dict:
    table = contingency(clusters, labels, count)
    numbers, prefixes = np.unique(clusters, return_counts=True)
    return {
        "cluster": numbers,
        "size": table.sum(1).astype(int),
        "prefixes": prefixes,
        "ambiguity": cluster_ambiguity(table),
        "state": [names[label] for label in np.unique(labels)[table.argmax(1)]],
    }
