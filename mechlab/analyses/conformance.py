"""Does a network say what the ground truth says, on words longer than it was trained on?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.reached import drawn_words, padded, supported
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
    """Let a network read random words, and count those after whose every prefix it tells the right class.

    Next to this accuracy stand the share of letters after which it is right, the same balanced over the classes, and
    what a constant answer gives. Of context-free languages next to no uniform word is accepted, so that a constant has
    nearly perfect accuracy there; its balanced share is 1 / classes on any words.

    Args:
        words: number of words.
        lengths: letters of the shortest and the longest; every length is alike. Null takes 1 to those of the task's
            longest word.
        sampler: letters are independent ("uniform"), or the classes have equal shares of the words of each length
            ("balanced"; of a pushdown automaton half are accepted words and half near misses of such).
        threshold: least accuracy for the claim `right`.

    Source: the conformance test of Muskardin et al., arXiv 2306.16854.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 2

    def __init__(
        self,
        words: Annotated[int, at_least(1)] = 10_000,
        lengths: tuple[Annotated[int, between(1, 1000)], Annotated[int, between(1, 1000)]] | None = (16, 30),
        sampler: Sampler = "uniform",
        threshold: Annotated[float, between(0, 1)] = 1.0,
    ):
        self.words, self.lengths, self.sampler, self.threshold = words, lengths, sampler, threshold

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Draw words, let the network read them, and score it; save the scores by length."""
        import pandas as pd

        truth = run.task.ground_truth()
        spread = self.lengths or (1, run.spec.length)
        words, lengths = drawn_words(truth, spread, self.words, rng, self.sampler)
        told, right = WordClassifier(run.model()).outputs(words, lengths), outputs_of(truth, words)
        found = conformance(told, right, lengths)
        rows = [{"length": length, **scores._asdict()} for length, scores in by_length(told, right, lengths)]
        out.save_table("by_length", pd.DataFrame(rows))
        low = lower_bound(round(found.accuracy * found.words), found.words, 1 - CONFIDENCE)
        scalars = {name: float(value) for name, value in found._asdict().items()}
        prefixes = distinct_prefixes(padded(words, lengths))
        claims = {"right": self._claim(found, *sorted(spread))}
        return supported({**scalars, "accuracy_bound": low}, claims, prefixes, "random words")

    def _claim(self, found: Scores, shortest: int, longest: int) -> Claim:
        return Claim(
            f"The share of {self.sampler} words of {shortest} to {longest} letters that are right after every prefix "
            f"is at least {self.threshold:g}.",
            value=found.accuracy,
            threshold=self.threshold,
            holds=found.accuracy >= self.threshold,
            kind="statistical",
            null=found.constant_words,
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the accuracy by word length."""
        from mechlab.plotting.conformance import by_length_figure

        return {"by_length": by_length_figure(out.table("by_length"))}
