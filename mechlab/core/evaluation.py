"""Metrics of a model on a set of examples, computed in portions so that memory does not grow with the set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mechlab.core.step import aligned_outputs, example_losses
from mechlab.core.task import Batch, Task

PORTION = 1024  # examples per forward pass when evaluating


@dataclass(frozen=True)
class ClassShares:
    """A score that is a mean over classes instead of examples: of each class, the share of its targets that are right.

    Args:
        right: (B, C) number of right targets of each class in each example.
        counted: (B, C) number of all its counted targets.
    """

    right: Tensor
    counted: Tensor

    def total(self) -> ClassShares:
        """Return the numbers of all examples together, in double precision, as those of one example."""
        return ClassShares(self.right.double().sum(0, keepdim=True), self.counted.double().sum(0, keepdim=True))

    def __add__(self, other: ClassShares) -> ClassShares:
        return ClassShares(self.right + other.right, self.counted + other.counted)

    def mean(self) -> Tensor:
        """Return the mean () of the shares, over the classes that occur."""
        right, counted = self.right.sum(0), self.counted.sum(0)
        return (right.double() / counted)[counted > 0].mean()


Scores = Mapping[str, Tensor | ClassShares]  # by name: values (B,) per example, or class shares


class Means:
    """Means over all examples of scores that come in portions; of each portion only its sums stay in memory."""

    def __init__(self) -> None:
        self._examples = 0
        self._sums: dict[str, Tensor | ClassShares] = {}  # in double precision, on the device of the scores

    def add(self, scores: Scores) -> None:
        """Add the scores of a portion, the loss (B,) among them."""
        for name, value in scores.items():
            total = value.total() if isinstance(value, ClassShares) else value.double().sum()
            self._sums[name] = self._sums[name] + total if name in self._sums else total  # type: ignore[operator]
        self._examples += len(scores["loss"])  # type: ignore[arg-type]

    def means(self) -> dict[str, float]:
        """Return the mean of each score, by name."""
        return {
            name: float(total.mean() if isinstance(total, ClassShares) else total / self._examples)
            for name, total in self._sums.items()
        }


def portions(batch: Batch, size: int = PORTION) -> list[Batch]:
    """Return a batch cut into portions of at most `size` examples, as views."""
    return [batch[first : first + size] for first in range(0, len(batch), size)]


def example_scores(model: nn.Module, task: Task, batch: Batch) -> dict[str, Tensor | ClassShares]:
    """Return the loss (B,) of each example of a batch and the task's scores, by name."""
    outputs = aligned_outputs(model, batch, task.spec)
    return {"loss": example_losses(outputs, batch, task.spec), **task.score(outputs, batch)}


@torch.no_grad()
def evaluate(model: nn.Module, task: Task, batch: Batch, portion: int = PORTION) -> dict[str, float]:
    """Return the loss and the task's scores of a model in evaluation mode, as means over the examples of a batch.

    Args:
        portion: examples per forward pass; the result depends on it by rounding only.
    """
    means = Means()
    for part in portions(batch, portion):
        means.add(example_scores(model, task, part))
    return means.means()
