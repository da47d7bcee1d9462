"""The position of the largest of n numbers."""

from __future__ import annotations

import functools
from typing import Annotated

import torch
from torch import Tensor

from mechlab.core.constraints import Seed, Size, between
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.tasks.distinct import first_occurrences
from mechlab.tasks.known_program import KnownProgram


class Argmax(FiniteTask):
    """Find the position of the largest of n numbers.

    Inputs (N, n) are float32; targets (N,) are positions. The training set is very small: the n unit vectors, or random
    vectors. Held-out vectors are random. Random numbers are uniform in [0, 1).

    Args:
        n: numbers of an input.
        examples: number of random training vectors; null for the n unit vectors.
        held_out: number of vectors for validation, and as many again for test.
        seed: of the vectors.

    Attributes:
        input_parts: name and shape of the input.
    """

    def __init__(
        self,
        n: Annotated[int, between(2, 1000)] = 8,
        examples: Size | None = None,
        held_out: Size = 1000,
        seed: Seed = 0,
    ):
        self.n, self.n_examples, self.held_out, self.seed = n, examples, held_out, seed
        self.input_parts = {"x": (n,)}
        self.spec = TaskSpec(
            inputs=n,
            outputs=n,
            kind="static",
            loss="cross_entropy",
            shape=(n,),
            classes=tuple(map(str, range(n))),
        )

    def examples(self, split: Split) -> Batch:
        """Return the vectors of a split; see the class for the shapes."""
        return self._splits[split]

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the positions (B,) of the largest numbers of inputs (B, n)."""
        return inputs.argmax(1), None

    def ground_truth(self) -> KnownProgram:
        """Return the rule, defined where one number is larger than all others."""
        return KnownProgram(lambda inputs: inputs.argmax(1), _has_one_maximum)

    def chance(self) -> float:
        """Return the share of the most frequent position in the training split."""
        targets = self.examples("train").targets
        return float(targets.bincount().max() / len(targets))

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        random = 0 if self.n_examples is None else self.n_examples
        sizes = [random, self.held_out, self.held_out]
        drawn = torch.rand(2 * sum(sizes), self.n, generator=Streams(self.seed).torch("examples"))
        drawn = drawn[_has_one_maximum(drawn)]
        drawn = drawn[first_occurrences(drawn)][: sum(sizes)]
        train, val, test = drawn.split(sizes)
        units = torch.eye(self.n)
        rows = {"train": units if self.n_examples is None else train, "val": val, "test": test}
        return {split: Batch(x, x.argmax(1), None, torch.arange(len(x))) for split, x in rows.items()}


def _has_one_maximum(inputs: Tensor) -> Tensor:
    return (inputs == inputs.amax(1, keepdim=True)).sum(1) == 1
