"""Accuracy of a network against the ground truth, on words longer than those of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.labelled_states import drawn_words, padded, supported_finding
from mechlab.automata.bounds import lower_bound
from mechlab.automata.extraction.conformance import Sampler, Scores, by_length, conformance, outputs_of
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

CONFIDENCE = 0.95


class Conformance(Analysis):
    """Share of random words for which a network predicts the right class after every prefix.

    Further scores are the share of letters after which it is right, the mean recall over classes, and those of a
    constant prediction. Almost no uniform word is in a context-free language, so that a constant has nearly perfect
    accuracy there; its mean recall is 1 / classes on any words.

    Args:
        words: number of words.
        lengths: least and greatest length in letters, uniform between them; null for 1 to the task's greatest length.
        sampler: "uniform" for independent letters; "balanced" for equal shares of the classes among the words of each
            length (for a pushdown automaton half are accepted words and half near misses of them).
        threshold: least accuracy for the claim `right`.

    Source: the conformance test of Muskardin et al., arXiv 2306.16854.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 2
    headline = ("accuracy", "balanced")

    def __init__(
        self,
        words: Annotated[int, at_least(1)] = 10_000,
        lengths: tuple[Annotated[int, between(1, 1000)], Annotated[int, between(1, 1000)]] | None = (16, 30),
        sampler: Sampler = "uniform",
        threshold: Annotated[float, between(0, 1)] = 1.0,
    ):
        self.words, self.lengths, self.sampler, self.threshold = words, lengths, sampler, threshold

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Score the network on random words; save the scores by length."""
        import pandas as pd

        truth = run.task.ground_truth()
        spread = self.lengths or (1, run.spec.length)
        words, lengths = drawn_words(truth, spread, self.words, rng, self.sampler)
        predicted, targets = WordClassifier(run.model()).outputs(words, lengths), outputs_of(truth, words)
        scores = conformance(predicted, targets, lengths)
        rows = [{"length": length, **each._asdict()} for length, each in by_length(predicted, targets, lengths)]
        out.save_table("by_length", pd.DataFrame(rows))
        low = lower_bound(round(scores.accuracy * scores.words), scores.words, 1 - CONFIDENCE)
        scalars = {name: float(value) for name, value in scores._asdict().items()}
        prefixes = distinct_prefixes(padded(words, lengths))
        claims = {"right": self._claim(scores, *sorted(spread))}
        return supported_finding({**scalars, "accuracy_bound": low}, claims, prefixes, "random words")

    def _claim(self, scores: Scores, shortest: int, longest: int) -> Claim:
        return Claim(
            f"The share of {self.sampler} words of {shortest} to {longest} letters that are right after every prefix "
            f"is at least {self.threshold:g}.",
            value=scores.accuracy,
            threshold=self.threshold,
            holds=scores.accuracy >= self.threshold,
            kind="statistical",
            null=scores.constant_words,
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the accuracy by word length."""
        from mechlab.plotting.conformance import by_length_figure

        return {"by_length": by_length_figure(out.table("by_length"))}
