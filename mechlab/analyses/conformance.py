"""Accuracy of a network against the ground truth, on words longer than those of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.given_words import WordAnalysis, WordSource
from mechlab.analyses.labelled_states import padded, supported_finding, word_sample
from mechlab.automata.bounds import lower_bound
from mechlab.automata.extraction.conformance import Sampler, Scores, by_length, conformance, outputs_of
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import between
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

CONFIDENCE = 0.95


class Conformance(WordAnalysis):
    """Share of random words for which a network predicts the right class after every prefix.

    Further scores are the share of letters after which it is right, the mean recall over classes, and those of a
    constant prediction. Almost no uniform word is in a context-free language, so that a constant has nearly perfect
    accuracy there; its mean recall is 1 / classes on any words.

    Args:
        words: number of random words, or words of one's own (see `WordSource`); of these nothing is inferred about
            other words, so that the finding has no bound.
        lengths: least and greatest length of random words in letters, uniform between them; null for 1 to the task's
            greatest length.
        sampler: of random words: "uniform" for independent letters; "balanced" for equal shares of the classes among
            the words of each length (for a pushdown automaton half are accepted words and half near misses of them).
        threshold: least accuracy for the claim `right`.

    Source: the conformance test of Muškardin et al., arXiv 2306.16854.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 2
    headline = ("accuracy", "balanced")

    def __init__(
        self,
        words: WordSource = 10_000,
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
        words, lengths = word_sample(truth, spread, self.words, rng, self.sampler)
        predicted, targets = WordClassifier(run.model()).outputs(words, lengths), outputs_of(truth, words)
        scores = conformance(predicted, targets, lengths)
        rows = [{"length": length, **each._asdict()} for length, each in by_length(predicted, targets, lengths)]
        out.save_table("by_length", pd.DataFrame(rows))
        scalars = {name: float(value) for name, value in scores._asdict().items()}
        what, sample = f"the {scores.words} given words", "given words"
        if isinstance(self.words, int):
            what, sample = f"{self.sampler} words of {min(spread)} to {max(spread)} letters", "random words"
            right = round(scores.accuracy * scores.words)
            scalars["accuracy_bound"] = lower_bound(right, scores.words, 1 - CONFIDENCE)
        prefixes = distinct_prefixes(padded(words, lengths))
        return supported_finding(scalars, {"right": self._claim(scores, what)}, prefixes, sample)

    def _claim(self, scores: Scores, words: str) -> Claim:
        return Claim(
            f"The share of {words} that are right after every prefix is at least {self.threshold:g}.",
            value=scores.accuracy,
            threshold=self.threshold,
            holds=scores.accuracy >= self.threshold,
            kind="statistical",
            null=scores.constant_words,
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the accuracy by word length."""
        from mechlab.plotting.conformance import by_length_figure

        return {"by_length": by_length_figure(out.table("by_length"), self.threshold)}
