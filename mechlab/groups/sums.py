"""Sums of a network's activations over the pairs of group elements, in one pass over blocks of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.groups.finite_group import Group
from mechlab.groups.network import PairNetwork


@dataclass(frozen=True, eq=False)
class PairSums:
    """What the metrics need of all n^2 pairs (a, b) with the product p = a b, in float64.

    Args:
        by_x: sums (n, h) of the hidden units over b, for each a; empty (n, 0) for a network without hidden units.
        by_y: sums (n, h) over a, for each b.
        by_product: sums (n, h) over the pairs with each product.
        squares: sum of squares of all hidden units.
        logits: sums (n, n) of the logits over the pairs with each product.
        held_out: the same over the pairs that were not trained on; over all where no split is given.
        logit_squares: sum of squares of all logits, centred over the classes.
    """

    by_x: np.ndarray
    by_y: np.ndarray
    by_product: np.ndarray
    squares: float
    logits: np.ndarray
    held_out: np.ndarray
    logit_squares: float


def by_product(group: Group, rows: Tensor) -> Tensor:
    """Return for elements a (R,) and all p the b (R, n) with a b = p."""
    return torch.from_numpy(group.table[group.inverses[rows.numpy()]].astype(np.int64))


def in_order(values: Tensor, index: Tensor) -> Tensor:
    """Return values (R, n, ...) of pairs (a, b) in the order (R, n, ...) of pairs (a, p), given b (R, n)."""
    return values[torch.arange(len(index))[:, None], index]


@torch.no_grad()
def pair_sums(network: PairNetwork, train: np.ndarray | None = None) -> PairSums:
    """Return the sums over all pairs. Each pair is evaluated once, and only a block of pairs is in memory at a time.

    Args:
        network: of n elements.
        train: mask (n, n) bool of the pairs (a, b) that were trained on.
    """
    group, n = network.group, network.order
    inside = 0 if network.unembedding is None else len(network.unembedding)
    beside = 0 if network.skip_unembedding is None else len(network.skip_unembedding)
    width = inside + beside if inside else n  # of what is summed: all that reaches the logits linearly, or these
    last = _last_layer(network)  # (width, n), centred over the classes
    gram = torch.zeros(width, width, dtype=torch.float64) if width < n else None
    by_x, by_y, all_pairs, held_out = (torch.zeros(n, width, dtype=torch.float64) for _ in range(4))
    total = logit_total = 0.0
    tested = None if train is None else torch.from_numpy(~train)
    for rows in network.blocks():
        index = by_product(group, rows)
        values = _features(network, rows).double()
        flat = values.flatten(0, 1)
        total += float(flat[:, :inside].square().sum())
        by_x[rows] = values.sum(1)
        by_y += values.sum(0)
        if gram is None:
            logit_total += float((flat @ last).square_().sum())
        else:
            gram.addmm_(flat.T, flat)
        ordered = in_order(values, index)
        all_pairs += ordered.sum(0)
        if tested is not None:
            held_out += ordered.mul_(in_order(tested[rows], index)[..., None]).sum(0)
    if gram is not None:
        logit_total = float((gram * (last @ last.T)).sum())
    if tested is None:
        held_out = all_pairs
    x, y, product = (part[:, :inside].numpy() for part in (by_x, by_y, all_pairs))
    return PairSums(x, y, product, total, (all_pairs @ last).numpy(), (held_out @ last).numpy(), logit_total)


def _features(network: PairNetwork, rows: Tensor) -> Tensor:
    """Return all that reaches the logits linearly (R, n, width): hidden units and skip path, or the logits."""
    if network.hidden is None:
        return network.outputs(rows)
    hidden = network.hidden(rows)
    return hidden if network.skip is None else torch.cat([hidden, network.skip(rows)], -1)


def _last_layer(network: PairNetwork) -> Tensor:
    """Return the linear map (width, n) from `_features` to the logits, centred over the classes."""
    if network.hidden is None:
        last = torch.eye(network.order, dtype=torch.float64)
    elif network.skip is None:
        last = network.unembedding.double()
    else:
        last = torch.cat([network.unembedding, network.skip_unembedding]).double()
    return last - last.mean(1, keepdim=True)
