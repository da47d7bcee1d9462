"""Recovery by training of a network that was constructed from its automaton and then disturbed by noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from mechlab.analyses.given_words import WordAnalysis, WordSource
from mechlab.analyses.labelled_states import (
    evaluation_words,
    labels_of,
    padded,
    supported_finding,
    word_sample,
)
from mechlab.automata.extraction.conformance import conformance, outputs_of
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.automata.words.trie import prefix_states
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.projections import fit_projection
from mechlab.clustering.scores import ambiguity
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import above, at_least, between
from mechlab.core.precision import in_precision
from mechlab.core.task import Split
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from mechlab.record.run import Run

DRAWN = 1500  # states in a picture


class Retraining(WordAnalysis):
    """Compare three networks: as constructed, as disturbed by noise before training, and as trained.

    Of each are measured its accuracy, the share of random words that it classifies correctly after every prefix, and
    the weighted ambiguity of its states after the distinct prefixes of the evaluation words. All three are drawn in one
    plane, in which the automaton's states differ most in the constructed network (linear discriminant analysis).

    Args:
        words: number of evaluation words, whose prefixes are clustered and drawn, or words of one's own; see
            `WordSource`.
        split: split that drawn ones are taken from.
        long_words: number of random words for the accuracy, or words of one's own.
        lengths: letters of the shortest and the longest random word.
        multiple: clusters (k-means) per state of the automaton.
        threshold: least accuracy for the claim `restored`.

    Source: Muškardin et al., arXiv 2306.16854, and its published code.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton",), model=("clean",))
    version = 3
    word_sources = ("words", "long_words")
    headline = ("noisy_accuracy", "retrained_accuracy")
    other_model = "model=constructed"

    def __init__(
        self,
        words: WordSource = 1000,
        split: Split = "val",
        long_words: WordSource = 1000,
        lengths: tuple[Annotated[int, at_least(1)], Annotated[int, at_least(1)]] = (16, 30),
        multiple: Annotated[float, above(0)] = 4.0,
        threshold: Annotated[float, between(0, 1)] = 0.99,
    ):
        self.words, self.split, self.long_words, self.lengths = words, split, long_words, lengths
        self.multiple, self.threshold = multiple, threshold

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Score the three networks; save a table of their scores, and their states in the plane."""
        import pandas as pd

        networks = {"clean": run.model().clean(), "noisy": run.untrained(), "retrained": run.model()}
        truth = run.task.ground_truth()
        prefixes = distinct_prefixes(evaluation_words(run, self.words, self.split))
        labels, names = labels_of(truth, prefixes)
        for_words, for_rows, *streams = rng.spawn(2 + len(networks))
        words, lengths = word_sample(truth, self.lengths, self.long_words, for_words, "uniform")
        right = outputs_of(truth, words)

        states, lines = {}, []
        for (name, model), stream in zip(networks.items(), streams, strict=True):
            states[name] = prefix_states(model, prefixes).astype(np.float64)
            k = max(1, round(self.multiple * len(names)))
            starts = starts_for(states[name], k)
            clusters = kmeans(states[name], k, stream, starts)
            accuracy = conformance(WordClassifier(model).outputs(words, lengths), right, lengths).accuracy
            weighted = ambiguity(clusters, labels, prefixes.count).weighted
            lines.append({"network": name, "accuracy": accuracy, "weighted": weighted})

        projection = fit_projection("lda", states["clean"], labels, 2, for_rows)
        shown = np.sort(for_rows.permutation(len(labels))[:DRAWN])
        planes = np.stack([projection(points[shown]) for points in states.values()])  # (3, R, 2)
        for line, points in zip(lines, states.values(), strict=True):
            line["explained_1"], line["explained_2"] = projection.shares(points)
        out.save_arrays("states", planes=planes.astype(np.float32), labels=labels[shown])
        out.save_table("networks", pd.DataFrame(lines))
        out.save_table("names", pd.DataFrame({"state": names}))
        scores = {f"{line['network']}_{name}": line[name] for line in lines for name in ("accuracy", "weighted")}
        scores |= {**_distances(networks), "starts": starts}  # of k-means
        scalars = {name: float(value) for name, value in scores.items()}
        sample = f"{len(words)} {'random' if isinstance(self.long_words, int) else 'given'} words"
        claims = self._claims(scalars, sample)
        return supported_finding(scalars, claims, distinct_prefixes(padded(words, lengths)), sample)

    def _claims(self, scalars: dict[str, float], words: str) -> dict[str, Claim]:
        clean, noisy, retrained = (scalars[f"{name}_accuracy"] for name in ("clean", "noisy", "retrained"))
        return {
            "clean_is_right": Claim(
                f"The network without noise is right after every prefix of all {words}.",
                value=clean,
                threshold=1.0,
                holds=clean == 1,
                kind="statistical",
                null=noisy,
            ),
            "restored": Claim(
                f"The trained network is right after every prefix of at least {self.threshold:g} of the words.",
                value=retrained,
                threshold=self.threshold,
                holds=retrained >= self.threshold,
                kind="statistical",
                null=noisy,
            ),
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the three networks' states side by side."""
        from mechlab.plotting.pictures import networks_figure

        saved, names = out.arrays("states"), [str(name) for name in out.table("names")["state"]]
        return {"networks": networks_figure(saved["planes"], saved["labels"], names, out.table("networks"))}


def _distances(networks: dict[str, nn.Module]) -> dict[str, float]:
    """Return the Euclidean distances between the networks' parameters, and the norm of the clean one's."""
    clean, noisy, retrained = (
        np.concatenate([in_precision(p.detach().cpu(), torch.float64).numpy().ravel() for p in model.parameters()])
        for model in networks.values()
    )
    pairs = {
        "weights_clean": clean,
        "clean_to_noisy": noisy - clean,
        "noisy_to_retrained": retrained - noisy,
        "clean_to_retrained": retrained - clean,
    }
    return {name: float(np.linalg.norm(difference)) for name, difference in pairs.items()}
