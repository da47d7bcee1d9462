"""A new task whose ground truth is an automaton."""

from __future__ import annotations

from mechlab.scaffold.template import Template

CODE = '''"""Parity of the number of ones in a word."""

from __future__ import annotations

import functools
import itertools
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from mechlab.automata.automaton import Automaton
from mechlab.core.constraints import at_least, between
from mechlab.core.seeding import Streams
from mechlab.core.task import SPLITS, Batch, FiniteTask, Split, TaskSpec


class CLASS(FiniteTask):
    """All words of some length over {0, 1}, labelled after each letter by the parity of the number of ones so far.

    Inputs are one-hot letters (N, T, 2), targets (N, T) are 0 for even and 1 for odd. The splits are parts of a seeded
    permutation of the words. `loss` names an object: mechlab.core.loss has others, or write one.

    Args:
        length: letters of a word, T.
        held_out: share of the words that goes to validation, and as much again to test.
        seed: of the split; the seed of the run is another one.
    """

    length_key = "length"  # the argument that `at_length` changes

    def __init__(
        self,
        length: Annotated[int, between(4, 16)] = 10,
        held_out: Annotated[float, between(0.05, 0.4)] = 0.1,
        seed: Annotated[int, at_least(0)] = 0,
    ):
        self.length, self.held_out, self.seed = length, held_out, seed
        self._automaton = Automaton(
            alphabet=("0", "1"),
            classes=("even", "odd"),
            states=("even", "odd"),
            initial=0,
            transitions=[[0, 1], [1, 0]],  # by state, then by letter
            outputs=[0, 1],
        )
        self.spec = TaskSpec(
            inputs=2,
            outputs=2,
            kind="sequence",
            loss="cross_entropy",
            length=length,
            vocabulary=self._automaton.alphabet,
            classes=self._automaton.classes,
        )

    def examples(self, split: Split) -> Batch:
        """Return the words of a split; see the class for the shapes."""
        return self._splits[split]

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the parity (N, T) after each letter of words (N, T, 2); every target counts."""
        parity, _ = self._automaton.targets(inputs)
        return parity, None

    def ground_truth(self) -> Automaton:
        """Return the automaton that labels the words."""
        return self._automaton

    def chance(self) -> float:
        """Return the accuracy of the best constant guess. The default is one by the number of classes: here classes are
        equally frequent, so that this method may be left out."""
        return 0.5

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        words = torch.tensor(list(itertools.product((0, 1), repeat=self.length)))  # (2^T, T)
        inputs = F.one_hot(words, 2).float()
        targets, _ = self.targets(inputs)
        held_out = round(self.held_out * len(words))
        order = torch.randperm(len(words), generator=Streams(self.seed).torch("split"))
        parts = order.split([len(words) - 2 * held_out, held_out, held_out])
        return {
            split: Batch(inputs[rows], targets[rows], None, torch.arange(len(rows)))
            for split, rows in zip(SPLITS, parts, strict=True)
        }
'''

YAML = """# @package _global_
# Output the parity of the number of ones in a word.
defaults:
  - /analysis: []   # the analyses to run at the end by default, such as [ambiguity]

task:
  _target_: MODULE.CLASS
  length: 10      # letters
  held_out: 0.1   # share of the words for validation, and as much again for test
  seed: 0         # of the split, not of the run; ${seed} ties them

trainer:
  max_steps: 1000
  batch_size: 64
"""

TASK = Template("tasks", "task", CODE, YAML, "task=NAME model=rnn trainer=smoke")
