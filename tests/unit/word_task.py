"""A task of uniform words with any ground truth."""

from __future__ import annotations

import torch

from mechlab.automata.automaton import Automaton
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.core.task import Batch, Split, Task, TaskSpec


class Words(Task):
    """Uniform words of 1 to `length` letters, with a target after the last letter.

    Args:
        truth: what says the targets.
        letters: of which words consist; all by default.
        length: letters of the longest words.
    """

    def __init__(self, truth: Automaton | Pushdown, letters: tuple[int, ...] | None = None, length: int = 12):
        m = len(truth.alphabet)
        self.truth, self.letters, self.length = truth, letters or tuple(range(m)), length
        outputs = len(truth.classes)
        self.spec = TaskSpec(inputs=m, outputs=outputs, kind="sequence", loss="cross_entropy", length=length)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        chosen = torch.randint(len(self.letters), (n, self.length), generator=rng)
        letters = torch.tensor(self.letters)[chosen]
        lengths = torch.randint(1, self.length + 1, (n, 1), generator=rng)
        steps = torch.arange(self.length)
        inputs = torch.nn.functional.one_hot(letters, self.spec.inputs) * (steps < lengths)[..., None]
        targets = torch.zeros(n, self.length, dtype=torch.long)  # which these tests do not read
        return Batch(inputs.float(), targets, steps == lengths - 1, torch.arange(n))

    def ground_truth(self) -> Automaton | Pushdown:
        return self.truth
