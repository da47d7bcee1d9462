"""Robustness of a network to noise in its weights."""

from __future__ import annotations

import copy
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
from mechlab.automata.words.prefixes import Prefixes, distinct_prefixes
from mechlab.automata.words.trie import prefix_states
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.scores import ambiguity
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import Filled, at_least
from mechlab.core.model import SequenceModel
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


class NoiseDose(WordAnalysis):
    """Accuracy and ambiguity of a network against the noise in its weights.

    Of a network that is constructed from the task's automaton, the noise is that of `model.noise`, drawn anew for each
    repeat, and the trained weights are not used. Of every other network, independent Gaussian noise of the same
    standard deviation is added to each trained parameter; nothing is then proved about the network without noise.

    The scalar `margin` is the least difference, proved for all words, between the output of the right class and the
    others (0 where nothing is proved); `tolerated` is the largest dose up to which every network is right on all words
    (-1 if the one without noise is not); `half` is the dose at which the mean accuracy falls to .5, by linear
    interpolation.

    Args:
        doses: standard deviations of the noise; 0 is always added.
        repeats: number of networks of each dose.
        words: number of random words for the accuracy, or words of one's own (see `WordSource`); a word is right if
            every prefix is.
        lengths: least and greatest length of random words, uniform between them; letters are independent.
        multiple: clusters per state of the automaton, for the ambiguity of the states.
        evaluation_words: number of words of the validation split whose prefixes' states are clustered, or words of
            one's own.
        n_init: starts of k-means; null for 10 to 30, more where they are cheap (see `starts_for`). The finding has the
            number as `starts`.

    Source: Muškardin et al., arXiv 2306.16854, whose networks, of too small a saturation, were
    wrong even without noise.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton",))
    version = 3
    word_sources = ("words", "evaluation_words")
    headline = ("margin", "half")

    def __init__(
        self,
        doses: Annotated[tuple[Annotated[float, at_least(0)], ...], Filled()] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
        repeats: Annotated[int, at_least(1)] = 5,
        words: WordSource = 1000,
        lengths: tuple[Annotated[int, at_least(1)], Annotated[int, at_least(1)]] = (16, 30),
        multiple: Annotated[int, at_least(1)] = 8,
        evaluation_words: WordSource = 300,
        n_init: Annotated[int, at_least(1)] | None = None,
    ):
        self.doses, self.repeats, self.words, self.lengths = doses, repeats, words, lengths
        self.multiple, self.evaluation_words, self.n_init = multiple, evaluation_words, n_init

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Measure every network; save the table of doses, with the scores of a constant output and of one cluster."""
        import pandas as pd

        network, truth = run.model(), run.task.ground_truth()
        constructed = hasattr(network, "disturbed")
        clean = network.clean() if constructed else network
        words, lengths = word_sample(truth, self.lengths, self.words, rng, "uniform")
        targets = outputs_of(truth, words)
        prefixes = distinct_prefixes(evaluation_words(run, self.evaluation_words, "val"))
        labels, names = labels_of(truth, prefixes)
        k = self.multiple * len(names)
        one_cluster = ambiguity(np.zeros(len(labels), int), labels, prefixes.count).weighted

        rows = []
        for dose in sorted({0.0, *self.doses}):
            for repeat in range(self.repeats if dose else 1):
                seed = int(rng.integers(2**31))
                network = clean.disturbed(dose, seed) if constructed else with_noise(clean, dose, seed)
                predicted = WordClassifier(network).outputs(words, lengths)
                states = prefix_states(network, prefixes)
                starts = self.n_init or starts_for(states, k)
                clusters = kmeans(states, k, rng, starts)
                weighted = ambiguity(clusters, labels, prefixes.count).weighted
                scores = conformance(predicted, targets, lengths)
                measured = {"accuracy": scores.accuracy, "weighted": weighted}
                chance = {"chance_accuracy": scores.constant_words, "chance_weighted": one_cluster}
                rows.append({"noise": dose, "repeat": repeat, **measured, **chance})
        table = pd.DataFrame(rows)
        out.save_table("doses", table)
        doses, read = table.groupby("noise"), distinct_prefixes(padded(words, lengths))
        margin = clean.margin if constructed else None
        return self._finding(doses.mean(), doses.min(), margin, starts, read)

    def _finding(
        self, mean: pd.DataFrame, worst: pd.DataFrame, margin: float | None, starts: int, read: Prefixes
    ) -> Finding:
        doses, accuracy = mean.index.to_numpy(), mean["accuracy"].to_numpy()
        tolerated = worst.index[(worst["accuracy"] == 1).cummin()]
        scalars = {
            "starts": starts,
            "clean_accuracy": accuracy[0],
            "clean_weighted": mean["weighted"].iloc[0],
            "tolerated": float(tolerated.max()) if len(tolerated) else -1.0,
            "last_accuracy": accuracy[-1],
            "last_weighted": mean["weighted"].iloc[-1],
        }
        if accuracy[0] > 0.5 > accuracy.min():
            after = int((accuracy < 0.5).argmax())
            part = (accuracy[after - 1] - 0.5) / (accuracy[after - 1] - accuracy[after])
            scalars["half"] = doses[after - 1] + part * (doses[after] - doses[after - 1])
        words, sample = "all given words", "given words"
        if isinstance(self.words, int):
            sample = "random words"
            words = f"{self.words} words of {min(self.lengths)} to {max(self.lengths)} letters"
        claims = {
            "clean": Claim(
                f"Without noise {words} are right after every prefix.",
                value=float(accuracy[0]),
                threshold=1.0,
                holds=bool(accuracy[0] == 1),
                kind="statistical",
                null=float(accuracy[-1]),
            ),
        }
        if margin is not None:
            proved = margin if np.isfinite(margin) else 0.0
            scalars = {"margin": proved, **scalars}
            claims = {"proved": _proved(proved), **claims}
        scalars = {name: float(value) for name, value in scalars.items()}
        return supported_finding(scalars, claims, read, sample)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw accuracy and ambiguity against the dose."""
        from mechlab.plotting.noise_dose import dose_figure

        return {"doses": dose_figure(out.table("doses"))}


@torch.no_grad()
def with_noise(model: SequenceModel, noise: float, seed: int) -> SequenceModel:
    """Return a copy of a network with Gaussian noise of this standard deviation added to each trained parameter."""
    network, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if parameter.requires_grad:
            drawn = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(noise * drawn.to(parameter.device))
    return network


def _proved(margin: float) -> Claim:
    return Claim(
        "Without noise the network is proved right on all words: the margin of the right output is above 0.",
        value=margin,
        threshold=0.0,
        holds=margin > 0,
        kind="exact",
    )
