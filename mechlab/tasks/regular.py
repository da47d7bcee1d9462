"""The base of tasks whose words are labelled by a finite automaton."""

from __future__ import annotations

import math
from typing import Literal

from mechlab.automata.automaton import Automaton
from mechlab.automata.words.long_words import long_words
from mechlab.automata.words.sampling import Sample, balanced_words, uniform_words
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.core.task import Split
from mechlab.tasks.words import Words, check_countable, check_longer, check_words


class Regular(Words):
    """Words of 1 to max_length letters, labelled by the output of an automaton.

    A tenth of the distinct words of 5 letters or more, chosen by a seeded hash of the word, make up validation, another
    tenth test; neither is ever trained on. Shorter words are for training only.

    Args:
        automaton: the ground truth.
        words, val_words, test_words: requested words; the rule of lengths gives about as many.
        max_length, sampler, supervise, compat, seed: as for `mechlab.tasks.tomita.Tomita`.
        test_lengths: shortest and longest test word, if these are to be longer than all others.

    Raises:
        ConfigError: the published data cannot be balanced, the lengths are invalid, or the words exceed the memory.
    """

    def __init__(
        self,
        automaton: Automaton,
        words: int,
        val_words: int,
        test_words: int,
        max_length: int,
        sampler: Literal["uniform", "balanced"],
        supervise: Literal["last", "all"] | None,
        compat: Literal["none", "published"],
        seed: int,
        test_lengths: tuple[int, int] | None = None,
    ):
        if compat == "published" and sampler != "uniform":
            raise ConfigError(
                "the published data is a uniform sample",
                got=f"task.compat={compat} with task.sampler={sampler}",
                key="task.sampler",
                fix="set task.sampler=uniform, or task.compat=none",
            )
        check_countable(len(automaton.alphabet), max_length)
        check_longer(test_lengths, max_length)
        letters = len(automaton.alphabet)
        existing = sum(letters**length for length in range(1, max_length + 1))
        most = math.inf if sampler == "balanced" else existing  # a uniform sample repeats no word
        sizes = [(min(n, most), max_length) for n in (words, val_words, test_words)]
        check_words(letters, *sizes[:2], sizes[2] if test_lengths is None else (test_words, test_lengths[1]))
        self.words, self.val_words, self.test_words = words, val_words, test_words
        self.max_length, self.sampler, self.compat, self.test_lengths = max_length, sampler, compat, test_lengths
        self._automaton = automaton
        longest = max_length if test_lengths is None else test_lengths[1]
        counted = supervise or ("last" if compat == "published" else "all")
        super().__init__(automaton.alphabet, automaton.classes, longest, counted, seed)

    def ground_truth(self) -> Automaton:
        """Return the automaton that labels the words."""
        return self._automaton

    def sample(self, split: Split) -> Sample:
        """Draw the words of a split."""
        n = {"train": self.words, "val": self.val_words, "test": self.test_words}[split]
        letters, rng = self.spec.inputs, Streams(self.seed).numpy("words", split)
        if split == "test" and self.test_lengths is not None:
            words, lengths = long_words(self._automaton, *self.test_lengths, n, rng, self.sampler == "balanced")
        elif self.compat == "published":
            return uniform_words(letters, self.max_length, n, rng)
        elif self.sampler == "uniform":
            words, lengths = uniform_words(letters, self.max_length, n, rng, self.keep(split))
        else:
            words, lengths = balanced_words(self._automaton, self.max_length, n, rng, self.keep(split))
        order = rng.permutation(len(words))  # the first words of a split are a fair sample of it
        return words[order], lengths[order]
