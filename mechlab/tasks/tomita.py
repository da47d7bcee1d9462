"""Tell whether a word belongs to one of the languages of Tomita."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.automata.automaton import Automaton
from mechlab.automata.tomita import tomita
from mechlab.automata.words import Keep, Sample, balanced_words, split_of, uniform_words
from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.core.task import SPLITS, Batch, FiniteTask, Split, TaskSpec, per_example


class Tomita(FiniteTask):
    """Words over {0, 1} of 1 to max_length letters, labelled by the automaton of a Tomita language.

    A tenth of the distinct words of 5 letters or more, chosen by a seeded hash of the word, make up validation, another
    tenth test; neither is ever trained on. Shorter words are for training only.

    Inputs are one-hot letters (N, T, 2), zero after the end of a word; targets (N, T) are the automaton's output after
    each letter (0 reject, 1 accept; 0 after the end).

    Args:
        index: which of the seven languages.
        words: training words that are asked for; the rule of lengths gives about as many.
        val_words, test_words: the same for the held-out splits.
        max_length: letters of the longest words.
        sampler: "uniform" takes words by the published rule of lengths, all of them where there are few; "balanced"
            makes half of the words of each length accepted, repeating words where a language has few.
        supervise: "last" counts the label after the last letter only, "all" the label after every letter.
        compat: "published" keeps no words apart: each split is drawn by the published rule from all words, so that
            nearly all of validation has been trained on.
        seed: of the words and of the split; the seed of the run is another one.

    Raises:
        ConfigError: the published data is asked to be balanced.

    Source: Muskardin et al., "On the Relationship Between RNN Hidden State Vectors and Semantic Ground Truth",
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
        supervise: Literal["last", "all"] = "last",
        compat: Literal["none", "published"] = "none",
        seed: Annotated[int, at_least(0)] = 0,
    ):
        if compat == "published" and sampler != "uniform":
            raise ConfigError(
                "the published data is a uniform sample",
                got=f"task.compat={compat} with task.sampler={sampler}",
                key="task.sampler",
                fix="set task.sampler=uniform, or task.compat=none",
            )
        self.index, self.words, self.val_words, self.test_words = index, words, val_words, test_words
        self.max_length, self.sampler, self.supervise = max_length, sampler, supervise
        self.compat, self.seed = compat, seed
        self._automaton = tomita(index)
        self.spec = TaskSpec(
            inputs=len(self._automaton.alphabet),
            outputs=len(self._automaton.classes),
            kind="sequence",
            loss="cross_entropy",
            length=max_length,
            vocabulary=self._automaton.alphabet,
            classes=self._automaton.classes,
        )

    def examples(self, split: Split) -> Batch:
        """Return the words of a split; see the class for the shapes."""
        return self._splits[split]

    def groups(self) -> Tensor:
        """Return the length (N,) of each training word, so that batches are never padded."""
        return self.examples("train").inputs.sum((1, 2)).long()

    def ground_truth(self) -> Automaton:
        """Return the minimal automaton of the language."""
        return self._automaton

    def chance(self) -> float:
        """Return the training accuracy of the best constant guess."""
        train = self.examples("train")
        classes = range(self.spec.outputs)
        return max(float(per_example((train.targets == label).double(), train.mask).mean()) for label in classes)

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        return {split: self._label(self._sample(split)) for split in SPLITS}

    def _sample(self, split: Split) -> Sample:
        n = {"train": self.words, "val": self.val_words, "test": self.test_words}[split]
        letters, rng = self.spec.inputs, Streams(self.seed).numpy("words", split)
        if self.compat == "published":
            return uniform_words(letters, self.max_length, n, rng)
        if self.sampler == "uniform":
            words, lengths = uniform_words(letters, self.max_length, n, rng, self._keep(split))
        else:
            words, lengths = balanced_words(self._automaton, self.max_length, n, rng, self._keep(split))
        order = rng.permutation(len(words))  # the first words of a split are a fair sample of it
        return words[order], lengths[order]

    def _keep(self, split: Split) -> Keep:
        return lambda words: split_of(words, seed=self.seed) == SPLITS.index(split)

    def _label(self, sample: Sample) -> Batch:
        words, lengths = sample
        steps = np.arange(self.max_length)
        inside = steps < lengths[:, None]  # (N, T)
        counted = inside if self.supervise == "all" else steps == lengths[:, None] - 1
        outputs = self._automaton.outputs[self._automaton.run(words)[:, 1:]]
        onehot = (words[..., None] == np.arange(self.spec.inputs)) & inside[..., None]
        return Batch(
            inputs=torch.from_numpy(onehot.astype(np.float32)),
            targets=torch.from_numpy(outputs * inside),
            mask=torch.from_numpy(counted),
            index=torch.arange(len(words)),
        )
