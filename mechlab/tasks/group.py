"""Multiply two elements of a finite group."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from mechlab.core.constraints import Filled, Interval, OnlyWhereSet, Seed, at_least
from mechlab.core.errors import ConfigError
from mechlab.core.loss import CrossEntropy
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.groups.multiplication import Multiplication
from mechlab.tasks.defined_group import defined_group, group_without_files
from mechlab.tasks.hold_out import Side, Which, held_out_pairs


class GroupProduct(FiniteTask):
    """All n^2 ordered pairs (a, b) of elements of a group, labelled with the product a b.

    Inputs (N, 2) and targets (N,) are int64 numbers of elements; pair a n + b in row-major order. A permutation of the
    pairs drawn with `seed` gives the training pairs first, the share `train_fraction` of all, rounded down. All others
    are test pairs. Validation is on the same pairs as test, as in the source, which chooses nothing by them, unless
    `val_fraction` sets a share of them apart.

    Whole cosets of a subgroup can be held out of training, for systematic generalisation. The held-out pairs are then
    the test pairs, and `train_fraction` is a share of the others, of which those not trained on are for validation:
    pairs like the training ones. Where every pair of a factor, or with a product, is held out, nothing is learned about
    it; "both" holds out combinations of elements that occur in training.

    Args:
        group: the name of a group, or a file with its multiplication table; see `mechlab.groups.group`. A run's record
            holds the definition instead of a file's path.
        train_fraction: share of the pairs to train on.
        val_fraction: share of the other pairs that are for validation and not for test; null for one set of pairs as
            both.
        seed: of the split. Configurations tie it to the seed of the run, as the source does.
        loss_dtype: "float64" computes the cross entropy in float64 for a network of any precision, as the source does;
            None computes it in the network's.
        definition: the group as plain data, see `mechlab.groups.tables.to_definition` (for group "table" only).
        hold_out: which pairs are held out: those whose "first" factor, "second" factor or "product" is in one of the
            cosets, or whose factors "both" are; null for none.
        hold_out_subgroup: the subgroup, by its name in `mechlab.groups.subgroups.subgroup_classes`, such as A4.
        hold_out_side: "left" cosets x H or "right" ones H x.
        hold_out_cosets: numbers of the cosets, from 0; they are numbered by their smallest element.

    Raises:
        ConfigError: there is no such group, subgroup or coset, or no pair is left to train or to test on.

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
        definition: Annotated[dict[str, Any] | None, OnlyWhereSet()] = None,
        hold_out: Annotated[Which | None, OnlyWhereSet()] = None,
        hold_out_subgroup: Annotated[str | None, OnlyWhereSet()] = None,
        hold_out_side: Annotated[Side, OnlyWhereSet()] = "left",
        hold_out_cosets: Annotated[tuple[Annotated[int, at_least(0)], ...], Filled(), OnlyWhereSet()] = (1,),
    ):
        self.group, self.train_fraction, self.val_fraction = group, train_fraction, val_fraction
        self.seed, self.loss_dtype, self.definition = seed, loss_dtype, definition
        self.hold_out, self.hold_out_subgroup = hold_out, hold_out_subgroup
        self.hold_out_side, self.hold_out_cosets = hold_out_side, hold_out_cosets
        self.of = defined_group(group, definition)
        self._check()
        n = self.of.order
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

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the definition of the group in place of the path of its table."""
        return group_without_files(arguments)

    @functools.cached_property
    def held_out(self) -> Tensor | None:
        """Which pairs (n, n) bool, by first and second factor, are held out of training in whole cosets; or None."""
        if self.hold_out is None:
            return None
        cosets = (self.hold_out_subgroup, self.hold_out_side, self.hold_out_cosets)
        return torch.from_numpy(held_out_pairs(self.of, self.hold_out, *cosets).copy())

    @functools.cached_property
    def _rule(self) -> Multiplication:
        return Multiplication(self.of)

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        order, held_out = self._order(), None
        if self.held_out is not None:
            apart = self.held_out.flatten()[order]
            order, held_out = order[~apart], order[apart]
        train = int(self.train_fraction * len(order))
        rest = order[train:]
        val, test = rest, rest if held_out is None else held_out
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

    def _check(self) -> None:
        names = ("hold_out_subgroup", "hold_out_side", "hold_out_cosets")
        parameters = inspect.signature(GroupProduct).parameters
        given = [name for name in names if getattr(self, name) != parameters[name].default]
        if self.hold_out is None and given:
            must, fix = f"task.{given[0]} must come with task.hold_out", "task.hold_out=both"
            raise ConfigError(must, got=getattr(self, given[0]), key=f"task.{given[0]}", fix=fix)
        if self.hold_out is not None and self.val_fraction is not None:
            must = "with held-out cosets, validation must be on all other pairs that are not trained on"
            raise ConfigError(must, got=self.val_fraction, key="task.val_fraction", fix="task.val_fraction=null")
        pairs = self.of.order**2 if self.held_out is None else int((~self.held_out).sum())
        train = int(self.train_fraction * pairs)
        if not 0 < train < pairs - (self.val_fraction is not None):
            rest = "test" if self.held_out is None else "validation"
            must, got = f"of the {pairs} pairs some must be for training and some for {rest}", f"{train} for training"
            raise ConfigError(must, got=got, key="task.train_fraction", fix="task.train_fraction=0.5")
