"""The rule of tasks whose target is the product of two elements of a group."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from mechlab.groups.finite_group import Group


@dataclass(frozen=True, eq=False)
class Multiplication:
    """The ground truth of a task whose inputs are pairs of elements of a group and whose target is their product.

    Args:
        group: of n elements, whose numbers are tokens and classes.
    """

    group: Group
    kind = "group"

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products (N,) int64 of pairs (N, 2), and that all of them count."""
        products = self._table[inputs[:, 0].cpu() * self.group.order + inputs[:, 1].cpu()].to(inputs.device)
        return products, torch.ones_like(products, dtype=torch.bool)

    @functools.cached_property
    def _table(self) -> Tensor:
        return torch.from_numpy(self.group.table.copy()).flatten().long()
