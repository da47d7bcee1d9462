"""Add two numbers modulo p."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.core.constraints import Interval, OnlyWhereSet, Seed, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.loss import CrossEntropy
from mechlab.core.memory import check_memory
from mechlab.core.task import SPLITS, Batch, FiniteTask, Split, TaskSpec


class ModularAddition(FiniteTask):
    """All pairs of numbers below p, labelled with their sum modulo p.

    With tokens "pair", inputs (N, 2) are the p^2 ordered pairs and there are p classes. A seeded permutation of the
    pairs gives the training pairs first; half of the others, rounded down, are validation, the rest test.

    With tokens "expression", inputs (N, 4) are x, "+", y, "=" for the p(p+1)/2 unordered pairs, the larger number
    first, with p for "+" and p + 1 for "="; there are p + 2 classes, of which the last two never occur. Validation
    pairs are drawn first, then training pairs from the others; test is what is left.

    Inputs and targets are int64.

    Args:
        p: the modulus.
        tokens: how a pair is written.
        train_fraction: share of the ordered pairs to train on ("pair" only; every split gets at least one).
        n_val, n_train: sizes ("expression" only). By default the share that they have of all pairs in the source, where
            they are 2000 and 4000 of 6441 (p = 113).
        seed: of the split; the seed of the run is another one. The source has seed 0 for expressions.
        loss_dtype: "float64" computes the cross entropy in float64, for a network of any precision, as the source of
            pairs does; None computes it in the network's.

    Raises:
        ConfigError: sizes are given for "pair", they leave no pair for test, or the pairs do not fit into memory.

    Source: for pairs Stander et al., arXiv 2312.06581; for expressions "ExPLAIND", arXiv 2505.20076. Both splits are
    those of the published code, pair for pair.
    """

    def __init__(
        self,
        p: Annotated[int, between(2, 1_000_000)] = 113,
        tokens: Literal["pair", "expression"] = "pair",
        train_fraction: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.3,
        n_val: Annotated[int, at_least(1)] | None = None,
        n_train: Annotated[int, at_least(1)] | None = None,
        seed: Seed = 0,
        loss_dtype: Annotated[Literal["float64"] | None, OnlyWhereSet()] = None,
    ):
        self.p, self.tokens, self.train_fraction = p, tokens, train_fraction
        self.n_val, self.n_train, self.seed, self.loss_dtype = n_val, n_train, seed, loss_dtype
        self._check_sizes()
        check_memory(64 * p**2, f"the pairs of {p} numbers", "task.p", "choose a smaller task.p")  # 64 bytes for each
        numbers = tuple(map(str, range(p)))
        symbols = numbers if tokens == "pair" else (*numbers, "+", "=")
        self.spec = TaskSpec(
            inputs=len(symbols),
            outputs=len(symbols),
            kind="static",
            loss=CrossEntropy(loss_dtype),
            shape=(2,) if tokens == "pair" else (4,),
            tokens=True,
            vocabulary=symbols,
            classes=symbols,
        )

    def examples(self, split: Split) -> Batch:
        """Return the pairs of a split; see the class for the shapes."""
        return self._splits[split]

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the sums modulo p (N,) of the numbers in inputs (N, 2) or (N, 4)."""
        first, second = inputs[:, self._places].unbind(1)
        return (first + second) % self.p, None

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ConfigError unless inputs are pairs, or expressions, of numbers below p."""
        super().check_inputs(inputs)
        right = (inputs[:, self._places] < self.p).all(1)
        if self.tokens == "expression":
            right &= (inputs[:, 1] == self.p) & (inputs[:, 3] == self.p + 1)
        if not right.all():
            form = "x, y" if self.tokens == "pair" else f'x, {self.p} for "+", y, {self.p + 1} for "="'
            must, row = f"each input must be {form} with x and y below {self.p}", int((~right).nonzero()[0])
            raise ConfigError(must, got=inputs[row].tolist(), key="inputs", fix="see the task's vocabulary")

    def chance(self) -> float:
        """Return the share of the most frequent sum in the training split."""
        targets = self.examples("train").targets
        return float(targets.bincount().max() / len(targets))

    @property
    def _places(self) -> list[int]:
        """The positions of the two numbers in an input."""
        return [0, 1] if self.tokens == "pair" else [0, 2]

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        inputs = self._pairs() if self.tokens == "pair" else self._expressions()
        targets, _ = self.targets(inputs)
        rows = self._split_pairs() if self.tokens == "pair" else self._split_expressions()
        return {
            split: Batch(inputs[ids], targets[ids], None, torch.arange(len(ids)))
            for split, ids in zip(SPLITS, rows, strict=True)
        }

    def _pairs(self) -> Tensor:
        numbers = torch.arange(self.p)
        return torch.cartesian_prod(numbers, numbers)

    def _expressions(self) -> Tensor:
        smaller, larger = torch.triu_indices(self.p, self.p)
        plus, equals = torch.full_like(larger, self.p), torch.full_like(larger, self.p + 1)
        return torch.stack([larger, plus, smaller, equals], 1)

    def _split_pairs(self) -> tuple[Tensor, ...]:
        pairs = self.p**2
        train = min(max(int(self.train_fraction * pairs), 1), pairs - 2)
        val = (pairs - train) // 2
        order = torch.randperm(pairs, generator=torch.Generator().manual_seed(self.seed))
        return order.split([train, val, pairs - train - val])

    def _split_expressions(self) -> tuple[Tensor, ...]:
        n_val, n_train = self._sizes()
        pairs = np.arange(self.p * (self.p + 1) // 2)
        rng = np.random.RandomState(self.seed % 2**32)
        rng.permutation(len(pairs))  # the source draws an empty test set first, which moves the generator
        val = rng.choice(pairs, n_val, replace=False)
        train = rng.choice(np.setdiff1d(pairs, val), n_train, replace=False)
        test = np.setdiff1d(pairs, np.concatenate([val, train]))
        return torch.from_numpy(train), torch.from_numpy(val), torch.from_numpy(test)

    def _sizes(self) -> tuple[int, int]:
        """Return the numbers of validation and of training expressions."""
        pairs = self.p * (self.p + 1) // 2
        n_val = max(1, pairs * 2000 // 6441) if self.n_val is None else self.n_val
        n_train = max(1, pairs * 4000 // 6441) if self.n_train is None else self.n_train
        return n_val, n_train

    def _check_sizes(self) -> None:
        if self.tokens == "pair":
            for name in ("n_val", "n_train"):
                if getattr(self, name) is not None:
                    raise ConfigError(
                        f"{name} is for expressions; pairs are split by train_fraction",
                        got=f"task.{name}={getattr(self, name)}",
                        key=f"task.{name}",
                        fix=f"set task.{name}=null, or task.tokens=expression",
                    )
            return
        n_val, n_train = self._sizes()
        pairs = self.p * (self.p + 1) // 2
        if n_val + n_train >= pairs:
            raise ConfigError(
                f"of the {pairs} pairs at least one must be left for test",
                got=f"{n_val} for validation and {n_train} for training",
                key="task.n_train",
                fix=f"choose task.n_val and task.n_train that add up to at most {pairs - 1}",
            )
