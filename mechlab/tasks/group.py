"""Multiply two elements of a finite group."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import torch
from torch import Tensor

from mechlab.core.constraints import Interval, Seed
from mechlab.core.errors import ConfigError
from mechlab.core.loss import CrossEntropy
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.groups import names
from mechlab.groups.multiplication import Multiplication


class GroupProduct(FiniteTask):
    """All n^2 ordered pairs (a, b) of elements of a group, labelled with the product a b.

    Inputs (N, 2) and targets (N,) are int64 numbers of elements; pair a n + b in row-major order. A permutation of the
    pairs drawn with `seed` gives the training pairs first, the share `train_fraction` of all, rounded down. All others
    are test pairs. Validation is on the same pairs as test, as in the source, which chooses nothing by them, unless
    `val_fraction` sets a share of them apart.

    Args:
        group: the name of a group; see `mechlab.groups.group`.
        train_fraction: share of the pairs to train on.
        val_fraction: share of the other pairs that are for validation and not for test; null for one set of pairs as
            both.
        seed: of the split. Configurations tie it to the seed of the run, as the source does.
        loss_dtype: "float64" computes the cross entropy in float64 for a network of any precision, as the source does;
            None computes it in the network's.

    Raises:
        ConfigError: there is no such group, or no pair is left to train or to test on.

    Source: Chughtai et al., "A Toy Model of Universality", arXiv 2302.03025; the split is that of the published code,
    pair for pair.
    """

    def __init__(
        self,
        group: str = "S5",
        train_fraction: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.4,
        val_fraction: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] | None = None,
        seed: Seed = 0,
        loss_dtype: Literal["float64"] | None = "float64",
    ):
        self.group, self.train_fraction, self.val_fraction = group, train_fraction, val_fraction
        self.seed, self.loss_dtype = seed, loss_dtype
        self.of = names.group(group)
        n = self.of.order
        if not 0 < int(train_fraction * n**2) < n**2 - (val_fraction is not None):
            must = f"of the {n**2} pairs some must be for training and some for test"
            got = f"{int(train_fraction * n**2)} for training"
            raise ConfigError(must, got=got, key="task.train_fraction", fix="task.train_fraction=0.5")
        labels = self.of.labels
        self.spec = TaskSpec(
            inputs=n,
            outputs=n,
            kind="static",
            loss=CrossEntropy(loss_dtype),
            shape=(2,),
            tokens=True,
            vocabulary=labels,
            classes=labels,
        )

    def examples(self, split: Split) -> Batch:
        """Return the pairs of a split; see the class for the shapes."""
        return self._splits[split]

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the numbers (N,) of the products of inputs (N, 2)."""
        return self.ground_truth().targets(inputs)[0], None

    def ground_truth(self) -> Multiplication:
        """Return the rule of the task, whose `group` is that of the task."""
        return self._rule

    @functools.cached_property
    def _rule(self) -> Multiplication:
        return Multiplication(self.of)

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        order, train = self._order(), int(self.train_fraction * self.of.order**2)
        rest = order[train:]
        val = test = rest
        if self.val_fraction is not None:
            val, test = rest.tensor_split([min(max(round(self.val_fraction * len(rest)), 1), len(rest) - 1)])
        return {"train": self._batch(order[:train]), "val": self._batch(val), "test": self._batch(test)}

    def _order(self) -> Tensor:
        """Return the permutation (n^2,) of the pairs, of which the first are for training."""
        return torch.randperm(self.of.order**2, generator=torch.Generator().manual_seed(self.seed))

    def _batch(self, pairs: Tensor) -> Batch:
        n = self.of.order
        inputs = torch.stack([pairs // n, pairs % n], 1)
        return Batch(inputs, self.targets(inputs)[0], None, torch.arange(len(pairs)))
