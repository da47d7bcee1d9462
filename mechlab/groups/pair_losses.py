"""Cross entropies over all pairs of group elements: of a network, and of its logits less what an explanation gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.groups.network import PairNetwork
from mechlab.groups.sums import by_product, in_order

WIDEST = 300.0  # nats: range of a table whose exponentials are multiplied with those of the logits


@dataclass(frozen=True, eq=False)
class PairLosses:
    """Mean cross entropies in nats, and accuracies, over all pairs, the training pairs and the test pairs.

    Args:
        loss, accuracy: (3,), over all pairs, training pairs and test pairs; NaN for a part without pairs. Equal largest
            logits count as an error.
        restricted: mean cross entropies (J + K,) over all pairs of tables of logits alone.
        excluded: mean cross entropies (J + K,) over the training pairs (over all without a split) of the network's
            logits less each table.
    """

    loss: np.ndarray
    accuracy: np.ndarray
    restricted: np.ndarray
    excluded: np.ndarray


@torch.no_grad()
def pair_losses(
    network: PairNetwork,
    train: np.ndarray | None,
    tables: Iterable[np.ndarray],
    tables_hidden: Iterable[np.ndarray] = (),
    test: np.ndarray | None = None,
) -> PairLosses:
    """Return the losses of a network, in one pass over blocks of pairs.

    Args:
        network: of n elements.
        train: mask (n, n) bool of the pairs (a, b) that were trained on; None for no split.
        tables: J tables (n, n), logits of products p, which are taken from the network's logits at all pairs with
            a b = p.
        tables_hidden: K such tables, which are taken from the logits of the hidden units alone, without a skip path.
        test: mask (n, n) bool of the test pairs; None for all that were not trained on.
    """
    group, n = network.group, network.order
    mask = torch.ones(n, n, dtype=torch.bool) if train is None else torch.from_numpy(train)
    tested = ~mask if test is None else torch.from_numpy(test)
    apart = network.skip is not None
    of_all = _Explained(tables, n) if apart else _Explained(itertools.chain(tables, tables_hidden), n)
    of_hidden = _Explained(tables_hidden if apart else (), n)
    sums = torch.zeros(2, 3, dtype=torch.float64)  # loss and hits, on training and on test pairs
    for rows in network.blocks():
        index = by_product(group, rows)
        trained = in_order(mask[rows], index)  # (R, n), of pairs (a, p)
        hidden = None if network.hidden is None else in_order(network.hidden(rows), index)
        if apart:
            of_hidden.add((hidden @ network.unembedding).double(), trained)
        if hidden is None:
            logits = in_order(network.outputs(rows), index)
        else:
            logits = hidden @ network.unembedding
            if network.skip is not None:
                logits += in_order(network.skip(rows), index) @ network.skip_unembedding
        loss, hits = of_all.add(logits.double(), trained)
        for i, part in enumerate((torch.ones_like(trained), trained, in_order(tested[rows], index))):
            sums[:, i] += torch.stack([loss[part].sum(), hits[part].sum()])
    count = mask.sum()
    parts = sums / torch.stack([torch.tensor(n**2), count, tested.sum()])
    if train is None:
        parts[:, 1:] = torch.nan
    restricted = np.concatenate([of_all.restricted, of_hidden.restricted])
    excluded = torch.cat([of_all.sums, of_hidden.sums]) / count
    return PairLosses(parts[0].numpy(), parts[1].numpy(), restricted, excluded.numpy())


class _Explained:
    """Sums of cross entropies of logits less tables: exp(logits - table) is a product, so that the sums over classes
    for all tables are one matrix product for each p."""

    def __init__(self, tables: Iterable[np.ndarray], n: int):
        together = np.fromiter(tables, np.dtype((np.float64, (n, n))))  # without a second copy of all
        self.below = torch.from_numpy(together)  # (J, n, n)
        self.restricted = np.zeros(len(self.below))
        self.sums = torch.zeros(len(self.below), dtype=torch.float64)
        for j, part in enumerate(self.below):
            beyond = (part - part.diagonal()[:, None])[None]
            part.copy_(-beyond[0])
            largest = _exponentials(beyond)
            self.restricted[j] = float(_cross_entropy(beyond.sum(-1), largest).mean())
        self.wide = any(max(-float(part.min()), float(part.max())) > WIDEST for part in self.below)
        if not self.wide:
            self.below.exp_()

    def add(self, logits: Tensor, trained: Tensor) -> tuple[Tensor, Tensor]:
        """Add the sums over training pairs; return loss and hit (R, n) of each pair.

        Args:
            logits: (R, n, n) of pairs (a, p) and classes c, in float64; overwritten.
            trained: (R, n), which pairs were trained on.
        """
        beyond = logits.sub_(logits.diagonal(dim1=1, dim2=2)[..., None].clone())  # above the right class
        if self.wide:
            for j, below in enumerate(self.below):
                copied = beyond + below
                largest = _exponentials(copied)
                self.sums[j] += _cross_entropy(copied.sum(-1), largest)[trained].sum()
        largest = _exponentials(beyond)
        hits = largest < 0
        if len(self.sums) and not self.wide:
            shares = (beyond.transpose(0, 1) @ self.below.movedim(0, 2)).transpose(0, 1)  # (R, n, J)
            self.sums += _cross_entropy(shares, largest[..., None])[trained].sum(0)
        return _cross_entropy(beyond.sum(-1), largest), hits


def _exponentials(beyond: Tensor) -> Tensor:
    """Turn logits above the right class's (R, n, n), of pairs (a, p) and classes c, into exp(logits - m) in place, and
    into 0 for the right class itself; return the largest (R, n) of the others, which is m where it is positive, and m
    is 0 elsewhere."""
    beyond.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    largest = beyond.amax(-1)
    if (largest > 0).any():
        beyond -= largest.clamp(min=0)[..., None]
    beyond.exp_()
    return largest


def _cross_entropy(shares: Tensor, largest: Tensor) -> Tensor:
    """Return log(1 + exp(m) shares), without loss of digits where it is small; see `_exponentials`."""
    m = largest.clamp(min=0)
    return torch.where(m > 0, m + (torch.exp(-m) + shares).log(), shares.log1p())
