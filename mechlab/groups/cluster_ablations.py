"""The loss of a network without parts of what clusters of its neurons hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.groups.activations import Activations
from mechlab.groups.fourier import projection
from mechlab.groups.irrep import Irrep
from mechlab.groups.network import PairNetwork

BLOCK = 4_000_000  # numbers of the logits of a block of pairs


@dataclass(frozen=True)
class Changed:
    """The mean cross entropy in nats, and the accuracy, over pairs after a change of the activations."""

    loss: float
    accuracy: float


@torch.no_grad()
def ablated(
    network: PairNetwork,
    sums: Activations,
    clusters: Mapping[int, np.ndarray],
    irreps: Sequence[Irrep],
    rows: np.ndarray,
) -> dict[tuple[int, str], Changed]:
    """Return the loss after parts of the activations of a cluster of neurons are removed.

    Args:
        network: with hidden units.
        sums: of its activations.
        clusters: numbers of the neurons of each irrep, by the irrep's number.
        irreps: all irreps of the group.
        rows: the left factors a of the pairs to evaluate, with all b.

    Returns:
        By number of the irrep and part: "a", "b" and "ab" for the projection on the matrix elements of rho(a), rho(b)
        and rho(a b); "all" for the neurons themselves, set to their means. (-1, "none") is the intact network, and
        (-1, "restricted") the one whose unembedding is projected on the matrix elements of the clusters' irreps; its
        constant part cancels in the loss.
    """
    n, u = network.order, network.unembedding
    parts: dict[tuple[int, str], Tensor] = {}
    for number, members in clusters.items():
        for name, values in sums.sums().items():
            removed = projection(values[:, members] / n, [irreps[number]])
            parts[number, name] = torch.from_numpy(removed).to(u) @ u[members]  # (n, n): of the factor, to logits
    kept = [irreps[number] for number in clusters]
    every = [u] if network.skip is None else [u, network.skip_unembedding]
    restricted = [torch.from_numpy(projection(part.double().numpy().T, kept).T).to(u) for part in every]
    table = torch.from_numpy(network.group.table.astype(np.int64))
    means = torch.from_numpy(sums.mean).to(u)
    totals: dict[tuple[int, str], Tensor] = {}

    def add(key: tuple[int, str], logits: Tensor, targets: Tensor) -> None:
        loss = logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]
        hits = logits.argmax(-1) == targets
        totals[key] = totals.get(key, 0) + torch.stack([loss.double().sum(), hits.double().sum()])

    for chosen in torch.from_numpy(np.asarray(rows, np.int64)).split(max(1, BLOCK // (n * max(n, len(u))))):
        hidden, products = network.hidden(chosen), table[chosen]
        logits = network.logits(chosen, hidden)
        add((-1, "none"), logits, products)
        only = hidden @ restricted[0]
        if network.skip is not None:
            only += network.skip(chosen) @ restricted[1]
        add((-1, "restricted"), only, products)
        for number, members in clusters.items():
            add((number, "a"), logits - parts[number, "a"][chosen][:, None], products)
            add((number, "b"), logits - parts[number, "b"][None], products)
            add((number, "ab"), logits - parts[number, "ab"][products], products)
            add((number, "all"), logits - (hidden[..., members] - means[members]) @ u[members], products)
    return {key: Changed(*(value / (n * len(rows))).tolist()) for key, value in totals.items()}
