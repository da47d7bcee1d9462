"""Do clusters of a network's states correspond to the states of the automaton that it was trained on?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.analyses.ambiguity_parts import by_factor, by_letters_more, by_word_length, partitions, save_states
from mechlab.analyses.reached import By, Reached, label_names, reached, supported
from mechlab.automata.words.trie import prefix_states
from mechlab.clustering.bisimulation import successors
from mechlab.clustering.bootstrap import BOUND, ambiguity_of_resamples, interval, resampled_words
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.nulls import permuted_ambiguity, random_partition_ambiguity
from mechlab.clustering.scores import all_scores, ambiguity, contingency
from mechlab.clustering.separation import fisher_ratios
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Split, Task
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

STREAMS = ("fit", "nulls", "bootstrap", "factors", "causal", "lengths")


class Ambiguity(Analysis):
    """Cluster the states that a network reaches and measure how much a cluster leaves open about the automaton's state
    (Muskardin et al., arXiv 2306.16854).

    The network reads every distinct prefix of the evaluation words once. The distinct states are clustered by k-means;
    the scores count how often each prefix occurs. The initial state is left out. The interval of the weighted ambiguity
    is the 95 % percentile bootstrap over words, the clusters being fixed; claims take its upper end.

    Args:
        multiple: clusters per state of the automaton.
        curve: multiples to tell the scores for as well; empty to skip them.
        words: number of evaluation words.
        split: split that they are taken from.
        by: what labels tell: the "state"; the "transition", which is the state before the last letter, and the letter;
            of a pushdown automaton also the "height" or "top" of its stack.
        n_init: starts of k-means; null for 10 to 30, more where they are cheap (see `starts_for`). The finding has the
            number as `starts`.
        fit: what k-means sees: each distinct prefix as often as it occurs (as published), or once (then the many long
            prefixes weigh most).
        nulls: whether to measure what permuted states, a random partition and the untrained network give.
        bootstrap: samples of the words for the intervals of the weighted ambiguity; 0 for none.
        factors: further partitions of the states to measure ambiguity against: for each name the block of each state,
            or groups of states by name. Those that the automaton's transitions make are found and need not be given.
        causal: letters to read on after a state was replaced by its cluster's mean; 0 to leave that out.
        lengths: longest of the uniform words whose last states are measured, length by length; 0 to leave that out.
        length_words: how many of each length.
        threshold: largest weighted ambiguity for the claim `pure`.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 3

    def __init__(
        self,
        multiple: Annotated[float, above(0)] = 4.0,
        curve: tuple[Annotated[float, above(0)], ...] = (1.0, 2.0, 4.0, 8.0),
        words: Annotated[int, at_least(1)] = 2000,
        split: Split = "val",
        by: By = "state",
        n_init: Annotated[int, at_least(1)] | None = None,
        fit: Literal["distinct", "occurrences"] = "occurrences",
        nulls: bool = True,
        bootstrap: Annotated[int, at_least(0)] = 500,
        factors: dict[str, list[int] | list[list[str]]] | None = None,
        causal: Annotated[int, at_least(0)] = 10,
        lengths: Annotated[int, at_least(0)] = 0,
        length_words: Annotated[int, at_least(1)] = 1000,
        threshold: Annotated[float, between(0, 1)] = 0.05,
    ):
        self.multiple, self.curve, self.words, self.split, self.by = multiple, curve, words, split, by
        self.n_init, self.fit, self.nulls, self.bootstrap = n_init, fit, nulls, bootstrap
        self.factors, self.causal, self.lengths, self.length_words = factors, causal, lengths, length_words
        self.threshold = threshold

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Refuse a task without an automaton, and factors that do not divide its states."""
        super().check(name, task_name, task, key, model)
        truth = task.ground_truth()
        try:
            partitions(truth, label_names(truth, self.by), self.factors)
        except ValueError as error:
            fix = "give each state's block in the order of the states, or groups of states that hold each one once"
            got = str(error)
            raise ConfigError("factors must divide the states", got=got, key=f"{key}.factors", fix=fix) from None

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Cluster and score; save the curve, the clusters, the automaton's states and what else is asked for."""
        import pandas as pd

        found = reached(run, self.words, self.split, self.by)
        streams = dict(zip(STREAMS, rng.spawn(len(STREAMS)), strict=True))
        (line, clusters), *others = self._scored(run, found, streams)
        curve = sorted([line, *(other for other, _ in others)], key=lambda row: row["multiple"])
        out.save_table("curve", pd.DataFrame(curve))
        separation = fisher_ratios(found.states, found.labels, found.prefixes.count)
        save_states(out, found, clusters, separation)

        sizes = {"states": found.machine_states, "prefixes": len(found.prefixes), "separation": separation.min()}
        scalars = {name: float(value) for name, value in {**line, **sizes}.items() if name != "multiple"}
        scalars |= by_factor(out, run.task.ground_truth(), found, clusters, self.factors, streams["factors"])
        if self.causal:
            scalars |= by_letters_more(out, run, found, clusters, self.causal, streams["causal"])
        if self.lengths:
            weights = self._weights(found)
            sizes = self.lengths, self.length_words
            scalars |= by_word_length(out, run, found, clusters, weights, self.by, sizes, streams["lengths"])
        return supported(scalars, self._claims(scalars), found.prefixes)

    def _scored(
        self, run: Run, found: Reached, streams: dict[str, np.random.Generator]
    ) -> list[tuple[dict[str, float], np.ndarray]]:
        """Return the scores and clusters of each multiple, the chosen one first, so that it depends on no other."""
        prefixes, labels, states = found.prefixes, found.labels, found.states
        weights, count = self._weights(found), prefixes.count
        untrained = prefix_states(run.untrained(), prefixes) if self.nulls else None
        word = np.cumsum(prefixes.length[prefixes.index] == 1) - 1
        times = resampled_words(word[-1] + 1, self.bootstrap, streams["bootstrap"]) if self.bootstrap else None

        scored = []
        for multiple in dict.fromkeys((self.multiple, *self.curve)):
            k = max(1, round(multiple * found.machine_states * found.factor))
            starts = self.n_init or starts_for(states, k)
            clusters = kmeans(states, k, streams["fit"], starts, weights)
            table, after = contingency(clusters, labels, count), _successors(clusters, found)
            line = {"multiple": multiple, "clusters": len(table), "starts": starts, **all_scores(table), **after}
            if times is not None:
                samples = ambiguity_of_resamples(clusters, labels, prefixes.index, word, times)
                line["weighted_low"], line["weighted_high"] = interval(samples)
            if untrained is not None:
                control = kmeans(untrained, k, streams["nulls"], starts, weights)
                line["null_untrained"] = ambiguity(control, labels, count).weighted
                line["null_permuted"] = permuted_ambiguity(clusters, labels, count, streams["nulls"])
                line["null_random"] = random_partition_ambiguity(states, k, labels, count, streams["nulls"])
                line["conflict_untrained"] = _successors(control, found)["conflict"]
            scored.append((line, clusters))
        return scored

    def _weights(self, found: Reached) -> np.ndarray | None:
        return found.prefixes.count if self.fit == "occurrences" else None

    def _claims(self, scalars: dict[str, float]) -> dict[str, Claim]:
        weighted = scalars["weighted"]
        ends = (scalars["weighted_low"], scalars["weighted_high"]) if self.bootstrap else None
        most = weighted if ends is None else ends[1]
        over = f" ({BOUND} over {self.bootstrap} bootstrap samples of the words)" if self.bootstrap else ""
        claims = {
            "pure": Claim(
                f"The weighted ambiguity of {scalars['clusters']:g} clusters is at most {self.threshold:g}{over}.",
                value=weighted,
                threshold=self.threshold,
                holds=most <= self.threshold,
                kind="statistical",
                null=scalars.get("null_untrained"),
                interval=ends,
            )
        }
        if self.nulls:
            null = min(scalars["null_untrained"], scalars["null_permuted"])
            claims["beats_nulls"] = Claim(
                f"The weighted ambiguity is below half of what the untrained network and permuted states give{over}.",
                value=weighted,
                threshold=null / 2,
                holds=most < null / 2,
                kind="statistical",
                null=null,
                interval=ends,
            )
        if "causal_control" in scalars:
            kept, control, least = scalars["causal_kept"], scalars["causal_control"], 1 - self.threshold
            claims["interchangeable"] = Claim(
                f"With its cluster's mean for its state the network tells the same after at least {least:.0%} of the "
                f"next {self.causal} letters, and more often than with another cluster's mean.",
                value=kept,
                threshold=least,
                holds=kept >= least and kept > control,
                kind="statistical",
                null=control,
            )
        return claims

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the states in the plane, the ambiguity by number of clusters, and the tables that there are."""
        from mechlab.plotting.ambiguity import (
            causal_figure,
            curve_figure,
            factors_figure,
            lengths_figure,
            states_figure,
        )

        saved, names = out.arrays("states"), [str(name) for name in out.table("states")["state"]]
        picture = states_figure(saved["plane"], saved["shares"], saved["labels"], saved["clusters"], names)
        figures = {"states": picture, "curve": curve_figure(out.table("curve"), self.threshold)}
        draw = {"factors": factors_figure, "causal": causal_figure, "lengths": lengths_figure}
        there = {name: function for name, function in draw.items() if (out.folder / f"{name}.csv").exists()}
        return figures | {name: function(out.table(name)) for name, function in there.items()}


def _successors(clusters: np.ndarray, found: Reached) -> dict[str, float]:
    prefixes = found.prefixes
    after = successors(clusters, prefixes.parent, prefixes.letter, prefixes.count)
    return {"conflict": after.conflict, "successor_entropy": after.entropy}
