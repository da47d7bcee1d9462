"""Ambiguity of clusters of a network's hidden states with respect to the states of its automaton."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.analyses.ambiguity_parts import by_factor, by_suffix_length, by_word_length, partitions, save_states
from mechlab.analyses.given_words import WordAnalysis, WordSource
from mechlab.analyses.labelled_states import By, LabelledStates, label_names, labelled_states, supported_finding
from mechlab.automata.words.trie import prefix_states
from mechlab.clustering.bisimulation import successor_errors
from mechlab.clustering.bootstrap import BOUND, ambiguity_of_resamples, resampled_words
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.nulls import permuted_ambiguity, random_partition_ambiguity
from mechlab.clustering.scores import all_scores, ambiguity, contingency
from mechlab.clustering.separation import fisher_ratios
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Split, Task
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import percentile_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

STREAMS = ("fit", "nulls", "bootstrap", "factors", "causal", "lengths")


class Ambiguity(WordAnalysis):
    """Ambiguity of clusters of a network's hidden states: the entropy of the automaton's state given the cluster
    (Muškardin et al., arXiv 2306.16854).

    The network reads every distinct prefix of the evaluation words once. The distinct states are clustered by k-means;
    the scores weight each prefix by its number of occurrences. The initial state is left out. The interval of the
    weighted ambiguity is the 95 % percentile bootstrap over words with fixed clusters; claims use its upper end.

    Besides the scores of `mechlab.clustering.scores.all_scores`, `conflict` is the share of steps whose target is not
    the most frequent successor of their cluster and letter. The scalars `causal_*` are means over the letters after a
    replacement: `kept` is the share of unchanged predictions, `right` that of predictions equal to the ground truth's
    output, `control` and `right_control` are the same for the mean of another cluster, and `right_own` is for no
    replacement. `separation` is the least Fisher ratio of a state; see `mechlab.clustering.separation`.

    Args:
        multiple: clusters per state of the automaton.
        curve: further multiples to score; empty for none.
        words: number of evaluation words, or words of one's own; see `WordSource`.
        split: split of drawn words.
        by: kind of labels: the "state"; the "transition", which is the state before the last letter, and the letter;
            for a pushdown automaton also the "height" or "top" of its stack.
        n_init: starts of k-means; null for 10 to 30, more where they are cheap (see `starts_for`). The finding has the
            number as `starts`.
        fit: weights of distinct prefixes in k-means: their numbers of occurrences (as published), or 1 (then the many
            long prefixes weigh most).
        nulls: True to measure the null levels: permuted states, a random partition and the untrained network.
        bootstrap: samples of the words for the intervals of the weighted ambiguity; 0 for none.
        factors: further partitions of the states to measure ambiguity against: for each name the block of each state,
            or groups of states by name. Closed partitions under the automaton's transitions are added automatically.
        causal: number of letters to read after a state is replaced by its cluster's mean; 0 to leave this out.
        lengths: greatest length of uniform words whose last states are scored, length by length; 0 to leave this out.
        length_words: number of words of each length.
        threshold: largest weighted ambiguity for the claim `pure`.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 3
    headline = ("weighted", "clusters")

    def __init__(
        self,
        multiple: Annotated[float, above(0)] = 4.0,
        curve: tuple[Annotated[float, above(0)], ...] = (1.0, 2.0, 4.0, 8.0),
        words: WordSource = 2000,
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
        """Raise ConfigError for a task without an automaton, and for factors that are not partitions of its states."""
        super().check(name, task_name, task, key, model)
        truth = task.ground_truth()
        try:
            partitions(truth, label_names(truth, self.by), self.factors)
        except ValueError as error:
            fix = "give each state's block in the order of the states, or groups that contain each state once"
            got = str(error)
            raise ConfigError(
                "factors must be partitions of the states", got=got, key=f"{key}.factors", fix=fix
            ) from None

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Cluster and score; save the curve, the clusters, the automaton's states and the configured further tables."""
        import pandas as pd

        observed = labelled_states(run, self.words, self.split, self.by)
        streams = dict(zip(STREAMS, rng.spawn(len(STREAMS)), strict=True))
        (line, clusters), *others = self._scored(run, observed, streams)
        curve = sorted([line, *(other for other, _ in others)], key=lambda row: row["multiple"])
        out.save_table("curve", pd.DataFrame(curve))
        separation = fisher_ratios(observed.states, observed.labels, observed.prefixes.count)
        save_states(out, observed, clusters, separation)

        sizes = {"states": observed.machine_states, "prefixes": len(observed.prefixes), "separation": separation.min()}
        scalars = {name: float(value) for name, value in {**line, **sizes}.items() if name != "multiple"}
        scalars |= by_factor(out, run.task.ground_truth(), observed, clusters, self.factors, streams["factors"])
        if self.causal:
            scalars |= by_suffix_length(out, run, observed, clusters, self.causal, streams["causal"])
        if self.lengths:
            weights = self._weights(observed)
            sizes = self.lengths, self.length_words
            scalars |= by_word_length(out, run, observed, clusters, weights, self.by, sizes, streams["lengths"])
        return supported_finding(scalars, self._claims(scalars), observed.prefixes)

    def _scored(
        self, run: Run, observed: LabelledStates, streams: dict[str, np.random.Generator]
    ) -> list[tuple[dict[str, float], np.ndarray]]:
        """Return the scores and clusters of each multiple, first `multiple`, so that it is independent of the curve."""
        prefixes, labels, states = observed.prefixes, observed.labels, observed.states
        weights, count = self._weights(observed), prefixes.count
        untrained = prefix_states(run.untrained(), prefixes) if self.nulls else None
        word = np.cumsum(prefixes.length[prefixes.index] == 1) - 1
        times = resampled_words(word[-1] + 1, self.bootstrap, streams["bootstrap"]) if self.bootstrap else None

        scored = []
        for multiple in dict.fromkeys((self.multiple, *self.curve)):
            k = max(1, round(multiple * observed.machine_states * observed.factor))
            starts = self.n_init or starts_for(states, k)
            clusters = kmeans(states, k, streams["fit"], starts, weights)
            table, after = contingency(clusters, labels, count), _successors(clusters, observed)
            line = {"multiple": multiple, "clusters": len(table), "starts": starts, **all_scores(table), **after}
            if times is not None:
                samples = ambiguity_of_resamples(clusters, labels, prefixes.index, word, times)
                line["weighted_low"], line["weighted_high"] = percentile_interval(samples)
            if untrained is not None:
                control = kmeans(untrained, k, streams["nulls"], starts, weights)
                line["null_untrained"] = ambiguity(control, labels, count).weighted
                line["null_permuted"] = permuted_ambiguity(clusters, labels, count, streams["nulls"])
                line["null_random"] = random_partition_ambiguity(states, k, labels, count, streams["nulls"])
                line["conflict_untrained"] = _successors(control, observed)["conflict"]
            scored.append((line, clusters))
        return scored

    def _weights(self, observed: LabelledStates) -> np.ndarray | None:
        return observed.prefixes.count if self.fit == "occurrences" else None

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
                f"The weighted ambiguity is below half of that of the untrained network and of permuted states{over}.",
                value=weighted,
                threshold=null / 2,
                holds=most < null / 2,
                kind="statistical",
                null=null,
                interval=ends,
            )
        if "causal_control" in scalars:
            same, control, least = scalars["causal_kept"], scalars["causal_control"], 1 - self.threshold
            claims["interchangeable"] = Claim(
                f"With a state replaced by its cluster's mean the network predicts the same class after at least "
                f"{least:.0%} of the next {self.causal} letters, and more often than with another cluster's mean.",
                value=same,
                threshold=least,
                holds=same >= least and same > control,
                kind="statistical",
                null=control,
            )
        return claims

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the states in the plane, the ambiguity by number of clusters, and the further tables."""
        from mechlab.plotting.ambiguity import (
            causal_figure,
            curve_figure,
            factors_figure,
            lengths_figure,
            states_figure,
        )

        arrays, names = out.arrays("states"), [str(name) for name in out.table("states")["state"]]
        picture = states_figure(arrays["plane"], arrays["shares"], arrays["labels"], arrays["clusters"], names)
        prefixes = len(arrays["labels"])
        figures = {"states": picture, "curve": curve_figure(out.table("curve"), self.threshold, prefixes)}
        draw: dict[str, Callable[[pd.DataFrame], Figure]] = {
            "factors": lambda table: factors_figure(table, prefixes),
            "causal": lambda table: causal_figure(table, 1 - self.threshold),
            "lengths": lengths_figure,
        }
        saved = {name: function for name, function in draw.items() if (out.folder / f"{name}.csv").exists()}
        return figures | {name: function(out.table(name)) for name, function in saved.items()}


def _successors(clusters: np.ndarray, observed: LabelledStates) -> dict[str, float]:
    prefixes = observed.prefixes
    after = successor_errors(clusters, prefixes.parent, prefixes.letter, prefixes.count)
    return {"conflict": after.conflict, "successor_entropy": after.entropy}
