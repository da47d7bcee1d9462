"""Networks without their least important parameters, and the importance of parameters by gradients at one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mechlab.core.layout import Layout
from mechlab.core.loss import per_example
from mechlab.core.task import Batch
from mechlab.kernels.explained import Explained
from mechlab.kernels.functional_model import FunctionalModel

Scope = Literal["global", "tensor"]
MEASURES = ("accuracy", "agreement", "kl")


@dataclass(frozen=True)
class Ranking:
    """Parameters in the order of their importance, all together or those of each tensor by themselves.

    Args:
        ranks: (P,) from 0, the most important; -1 for parameters that are never pruned.
        sizes: (P,) number of parameters that are ranked together.
    """

    ranks: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, importance: Tensor, layout: Layout, exempt: Sequence[str], scope: Scope, ties: Tensor) -> Ranking:
        """Return the ranking by importance (P,).

        Args:
            exempt: names of tensors that are never pruned.
            scope: "global" ranks all parameters together, "tensor" those of each tensor.
            ties: (P,) a permutation, which decides between equally important parameters.
        """
        ranks, sizes = torch.full_like(ties, -1), torch.ones_like(ties)
        places = [torch.arange(place.start, place.stop) for name, place in layout.places.items() if name not in exempt]
        for members in places if scope == "tensor" else [torch.cat(places)]:
            members = members[ties[members].argsort()]
            members = members[importance[members].argsort(descending=True, stable=True)]
            ranks[members], sizes[members] = torch.arange(len(members)), len(members)
        return cls(ranks, sizes)

    def kept(self, share: float) -> Tensor:
        """Return which parameters (P,) remain if this share of the ranked ones does."""
        return self.ranks < (share * self.sizes).round()


def gradient_moments(explained: Explained, theta: Tensor, weights: Tensor, limit: int = 2**30) -> tuple[Tensor, Tensor]:
    """Return the weighted sums (K, P) of the scalars' gradients at parameters theta (P,), and of their squares.

    Args:
        explained: X x C scalars of single inputs.
        weights: (K, X, C), of each scalar in each of K sums.
        limit: bytes that a block of work may take.
    """
    (X, C), P = explained.shape, len(theta)
    sums, squares = (theta.new_zeros(len(weights), P) for _ in range(2))
    rows = max(1, limit // (3 * C * P * theta.element_size()))
    for start in range(0, X, rows):
        stop = min(start + rows, X)
        gradients = explained.rows(start, stop).gradients(theta)
        some = weights[:, start:stop].flatten(1).to(theta)
        sums += some @ gradients
        squares += some @ gradients.square_()
    return sums, squares


def log_probabilities(functional: FunctionalModel, theta: Tensor, parts: Sequence[Batch]) -> Tensor:
    """Return the log-probabilities (B, ..., C) of all classes for a batch in parts, at parameters theta (P,)."""
    parameters = functional.layout.split(theta)
    with torch.no_grad():
        outputs = torch.cat([functional.outputs(parameters, part) for part in parts])
        return functional.spec.loss.scalars(outputs)


def compare(pruned: Tensor, whole: Tensor, batch: Batch) -> Tensor:
    """Return MEASURES (3,) of a pruned network, means over examples: the share of labels that are right, that of
    labels on which it agrees with the whole network, and the Kullback-Leibler divergence of its distribution of
    classes from that of the whole network in nats.

    Args:
        pruned, whole: (B, ..., C) log-probabilities.
        batch: the examples, with targets and their mask.
    """
    named = pruned.argmax(-1)
    divergence = (whole.exp() * (whole - pruned)).sum(-1)
    each = ((named == batch.targets).to(pruned), (named == whole.argmax(-1)).to(pruned), divergence)
    return torch.stack([per_example(values, batch.mask, "mean").mean() for values in each]).double().cpu()
