"""The base of tasks whose examples are words with a label after each letter."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.automata.words.sampling import Keep, Sample, split_of
from mechlab.core.errors import ConfigError
from mechlab.core.evaluation import ClassShares
from mechlab.core.loss import per_example
from mechlab.core.memory import check_memory
from mechlab.core.task import SPLITS, Batch, FiniteTask, Split, TaskSpec


class Words(FiniteTask):
    """Words over an alphabet, with a class after each letter.

    Inputs are one-hot letters (N, T, m), zero after the end of a word; targets (N, T) are classes, 0 after the end.
    Subclasses draw the words, and have a ground truth that gives the classes.

    Args:
        alphabet, classes: names in index order.
        length: letters of the longest words.
        supervise: "last" counts the label after the last letter only, "all" the label after every letter.
        seed: of the words and of the split; the seed of the run is another one.
    """

    length_key = "max_length"

    def __init__(
        self,
        alphabet: tuple[str, ...],
        classes: tuple[str, ...],
        length: int,
        supervise: Literal["last", "all"],
        seed: int,
    ):
        self.supervise, self.seed = supervise, seed
        self.spec = TaskSpec(
            inputs=len(alphabet),
            outputs=len(classes),
            kind="sequence",
            loss="cross_entropy",
            length=length,
            vocabulary=alphabet,
            classes=classes,
        )

    @abstractmethod
    def sample(self, split: Split) -> Sample:
        """Draw the words of a split."""

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class (N, T) after each letter of one-hot words (N, T, m), 0 after the end, and which count."""
        classes, inside = self.ground_truth().targets(inputs)
        if self.supervise == "all":
            return classes, inside
        last = inside.sum(1, keepdim=True) - 1
        return classes, torch.arange(inside.shape[1], device=inside.device) == last

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ConfigError unless inputs (N, T, m) are one-hot letters, one or more, and then zeros."""
        super().check_inputs(inputs)
        inside = inputs.any(-1)
        letters = ((inputs == 1).sum(-1) == 1) & ((inputs != 0).sum(-1) == 1)
        right = inside[:, 0] & (inside == letters).all(1) & (inside[:, 1:] <= inside[:, :-1]).all(1)
        if not right.all():
            must = f"each input must be a word: one-hot letters out of {self.spec.inputs}, one or more, and then zeros"
            fix = "for instance torch.nn.functional.one_hot(letters, m).float(), letters (N, T) of int64"
            raise ConfigError(must, got=f"something else in input {int((~right).nonzero()[0])}", key="inputs", fix=fix)

    def examples(self, split: Split) -> Batch:
        """Return the words of a split; see the class for the shapes."""
        return self._splits[split]

    def groups(self) -> Tensor:
        """Return the length (N,) of each training word, so that batches are never padded."""
        return self.examples("train").inputs.sum((1, 2)).long()

    def chance(self) -> float:
        """Return the training accuracy of the best constant guess."""
        train = self.examples("train")
        classes = range(self.spec.outputs)
        return max(float(per_example((train.targets == label).double(), train.mask).mean()) for label in classes)

    def keep(self, split: Split) -> Keep:
        """Return what selects the words of one length that belong to a split."""
        return lambda words: split_of(words, seed=self.seed) == SPLITS.index(split)

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        return {split: self._label(self.sample(split)) for split in SPLITS}

    def _label(self, sample: Sample) -> Batch:
        words, lengths = sample
        inside = np.arange(words.shape[1]) < lengths[:, None]  # (N, T)
        onehot = (words[..., None] == np.arange(self.spec.inputs)) & inside[..., None]
        inputs = torch.from_numpy(onehot.astype(np.float32))
        return Batch(inputs, *self.targets(inputs), torch.arange(len(words)))


def check_countable(letters: int, max_length: int) -> None:
    """Refuse words so long that a 64-bit number cannot count them.

    Raises:
        ConfigError: there are 2**63 or more of the longest words.
    """
    longest = max_length
    while letters**longest >= 2**63:
        longest -= 1
    if longest < max_length:
        raise ConfigError(
            "the words of one length must be fewer than 2**63",
            got=f"{max_length} letters out of {letters}",
            key="task.max_length",
            fix=f"set task.max_length={longest} or less",
        )


def check_words(letters: int, *splits: tuple[int, int]) -> None:
    """Refuse more words than fit into memory.

    Args:
        letters: of the alphabet.
        splits: the number of words of each split, and the length of its longest.

    Raises:
        ConfigError: the words of all splits take more memory than there is.
    """
    needed = sum(n * length for n, length in splits) * (6 * letters + 32)  # bytes: one-hot, letters, classes, mask
    what = f"{sum(n for n, _ in splits)} words of up to {max(length for _, length in splits)} letters"
    keys = "task.words, task.val_words, task.test_words"
    check_memory(needed, what, keys, "fewer or shorter words")


def check_longer(test_lengths: tuple[int, int] | None, max_length: int) -> None:
    """Refuse lengths of the test words that training may hold.

    Raises:
        ConfigError: the shortest test word is no longer than the longest training word, or than the longest test word.
    """
    if test_lengths is not None and not max_length < test_lengths[0] <= test_lengths[1]:
        raise ConfigError(
            "test words must be longer than all training words: shortest, longest",
            got=f"task.test_lengths={list(test_lengths)} with task.max_length={max_length}",
            key="task.test_lengths",
            fix=f"set task.test_lengths=[{max_length + 1},{max(max_length + 1, *test_lengths)}], or null",
        )


def balanced_accuracy(outputs: Tensor, batch: Batch) -> ClassShares:
    """Return the balanced accuracy of a batch: the mean, over the classes that occur among the counted targets, of the
    share of their targets that are right.

    Args:
        outputs: (B, T, C) scores of the classes.
        batch: targets (B, T) and their mask.
    """
    counted = torch.ones_like(batch.targets, dtype=torch.bool) if batch.mask is None else batch.mask
    right = (outputs.argmax(-1) == batch.targets) & counted
    of_class = [batch.targets == label for label in range(outputs.shape[-1])]
    return ClassShares(*(torch.stack([(part & mask).sum(1) for mask in of_class], 1) for part in (right, counted)))
