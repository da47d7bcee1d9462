"""Networks of which only the most important parameters are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mechlab.core.task import Batch

if TYPE_CHECKING:
    from mechlab.kernels.trajectory import Trajectory


class PrunedNetworks:
    """Measures networks of which only the most important parameters are kept.

    Args:
        trajectory: the recorded training, whose end is pruned.
        batch: all examples (X).
        reserved: (K, X), the examples of each split that do not serve to evaluate.
        scopes, shares: what is measured.
        exempt: names of tensors that are never pruned.
        ties: (P,) a permutation, which decides between equally important parameters.
        limit: bytes that a block of work may take.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        batch: Batch,
        reserved: Tensor,
        scopes: tuple[str, ...],
        shares: list[float],
        exempt: list[str],
        ties: Tensor,
        limit: int,
    ):
        from mechlab.kernels.inner import InnerProducts
        from mechlab.kernels.pruning import log_probabilities

        self.functional, self.batch, self.reserved = trajectory.functional, batch, reserved
        self.scopes, self.shares, self.exempt, self.ties = scopes, shares, exempt, ties
        self.theta = trajectory.theta(trajectory.steps)
        self.inner = InnerProducts(self.functional, limit=limit)
        self.whole = log_probabilities(self.functional, self.theta, self.inner.parts(self.theta, batch, 0))

    def accuracy(self) -> float:
        """Return the share of all examples that the whole network labels correctly."""
        from mechlab.kernels.pruning import compare

        return float(compare(self.whole, self.whole, self.batch)[0])

    def measure(self, importance: Tensor) -> dict[str, Tensor]:
        """Prune by importance (K, P).

        Returns:
            `measures` (scopes, K, shares, 3), see `kernels.pruning.compare`; `composition` (K, shares, tensors), the
            number of parameters kept by global pruning.
        """
        from mechlab.kernels.pruning import Ranking, compare, log_probabilities

        layout, sizes = self.functional.layout, (len(self.reserved), len(self.shares))
        measures = torch.zeros(len(self.scopes), *sizes, 3, dtype=torch.float64)
        composition = torch.zeros(*sizes, len(layout.names), dtype=torch.float64)
        for k, split in enumerate(self.reserved):
            rows = (~split).nonzero()[:, 0]
            batch, whole = self.batch[rows.to(self.functional.device)], self.whole[rows.to(self.whole.device)]
            parts = self.inner.parts(self.theta, batch, 0)
            for i, scope in enumerate(self.scopes):
                ranking = Ranking.of(importance[k].cpu(), layout, self.exempt, scope, self.ties)
                for j, share in enumerate(self.shares):
                    kept = ranking.kept(share)
                    pruned = log_probabilities(self.functional, self.theta * kept.to(self.theta), parts)
                    measures[i, k, j] = compare(pruned, whole, batch)
                    if scope == "global":
                        composition[k, j] = layout.sums(kept.double())
        return {"measures": measures, "composition": composition}
