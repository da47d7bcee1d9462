"""Decide whether a word belongs to one of the languages of Tomita."""

from __future__ import annotations

from typing import Annotated, Literal

from mechlab.automata.tomita import tomita
from mechlab.core.constraints import Seed, at_least, between
from mechlab.tasks.regular import Regular


class Tomita(Regular):
    """Words over {0, 1} of 1 to max_length letters, labelled by the automaton of a Tomita language.

    A tenth of the distinct words of 5 letters or more, chosen by a seeded hash of the word, make up validation, another
    tenth test; neither is ever trained on. Shorter words are for training only.

    Inputs are one-hot letters (N, T, 2), zero after the end of a word; targets (N, T) are the automaton's output after
    each letter (0 reject, 1 accept; 0 after the end).

    Args:
        index: which of the seven languages.
        words: requested training words; the rule of lengths gives about as many.
        val_words, test_words: the same for the held-out splits.
        max_length: letters of the longest words.
        sampler: "uniform" takes words by the published rule of lengths, all of them where there are few; "balanced"
            makes half of the words of each length accepted, repeating words where a language has few.
        supervise: "last" counts the label after the last letter only, "all" the label after every letter; None stands
            for "last" where compat is "published", else for "all".
        compat: "published" lets splits overlap: each split is drawn by the published rule from all words, so that
            nearly all of validation has been trained on.
        seed: of the words and of the split; the seed of the run is another one.

    Raises:
        ConfigError: the published data cannot be balanced.

    Source: Muškardin et al., "On the Relationship Between RNN Hidden State Vectors and Semantic Ground Truth",
    arXiv 2306.16854, and its published code.
    """

    def __init__(
        self,
        index: Annotated[int, between(1, 7)] = 3,
        words: Annotated[int, at_least(1)] = 50_000,
        val_words: Annotated[int, at_least(1)] = 2_000,
        test_words: Annotated[int, at_least(1)] = 2_000,
        max_length: Annotated[int, between(8, 60)] = 14,
        sampler: Literal["uniform", "balanced"] = "uniform",
        supervise: Literal["last", "all"] | None = None,
        compat: Literal["none", "published"] = "none",
        seed: Seed = 0,
    ):
        self.index = index
        super().__init__(tomita(index), words, val_words, test_words, max_length, sampler, supervise, compat, seed)
