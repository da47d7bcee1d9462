"""What the hidden units of a network read and what they do, on all pairs of elements of a group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mechlab.groups.network import PairNetwork
from mechlab.groups.sums import by_product, in_order


@dataclass(frozen=True, eq=False)
class Activations:
    """Sums of what h hidden units do on all n^2 pairs of elements.

    Args:
        a, b, ab: (n, h) sums over the n pairs with the same left factor, right factor and product.
        gram: (h, h) inner products of the units' activations about their means.
        active: (h,) share of the pairs on which a unit is not 0.
    """

    a: np.ndarray
    b: np.ndarray
    ab: np.ndarray
    gram: np.ndarray
    active: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """The standard deviation (h,) of each unit over the pairs."""
        return np.sqrt(np.maximum(np.diagonal(self.gram), 0)) / len(self.a)

    @property
    def mean(self) -> np.ndarray:
        """The mean (h,) of each unit over the pairs."""
        return self.a.sum(0) / len(self.a) ** 2

    def sums(self) -> dict[str, np.ndarray]:
        """Return the three sums by name."""
        return {"a": self.a, "b": self.b, "ab": self.ab}


@torch.no_grad()
def activations(network: PairNetwork) -> Activations:
    """Return the sums over all pairs of a network with hidden units."""
    n, h = network.order, len(network.unembedding)
    a, b, ab = (torch.zeros(n, h, dtype=torch.float64) for _ in range(3))
    gram, active = torch.zeros(h, h, dtype=torch.float64), torch.zeros(h, dtype=torch.float64)
    for rows in network.blocks():
        hidden = network.hidden(rows).double()  # (R, n, h)
        a[rows] = hidden.sum(1)
        b += hidden.sum(0)
        ab += in_order(hidden, by_product(network.group, rows)).sum(0)
        flat = hidden.flatten(0, 1)
        gram.addmm_(flat.T, flat)
        active += (flat != 0).sum(0)
    total = a.sum(0)
    gram -= torch.outer(total, total) / n**2
    return Activations(*(part.numpy() for part in (a, b, ab, gram, active / n**2)))


@dataclass(frozen=True, eq=False)
class Functions:
    """What h neurons compute of each factor, and write for each answer.

    Args:
        a, b: (n, h) functions of the left and the right factor, whose sum (whose product, for bilinear units) is what a
            neuron's nonlinearity reads.
        u: (h, n), the unembedding.
        additive: (h,) the share of the variance of what the nonlinearity reads that the sum gives; 1 if it gives all.
    """

    a: np.ndarray
    b: np.ndarray
    u: np.ndarray
    additive: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """The norm (h,) of a neuron's functions of the factors times that of its unembedding, without their means: of
        the order of what it adds to the logits."""
        a, b, u = (np.linalg.norm(part - part.mean(0), axis=0) for part in (self.a, self.b, self.u.T))
        return np.hypot(a, b) * u


@torch.no_grad()
def functions(network: PairNetwork) -> Functions:
    """Return the functions of the factors that a network's hidden units read.

    They are the effective embeddings of a network that adds (bilinear: multiplies) these; of another one the additive
    part of what its nonlinearity reads, the means over b and over a.
    """
    n, u = network.order, network.unembedding.double().numpy()
    if network.embeddings is not None and network.embeddings[0].shape[1] == len(u):
        x, y = network.embeddings
        row = torch.zeros(1, dtype=torch.long)
        read, product = x[row][:, None] + y, x[row][:, None] * y
        for values, given in ((network.preactivations, read), (network.hidden, product)):
            if values is not None and torch.allclose(values(row), given, atol=1e-6):
                return Functions(x.double().numpy(), y.double().numpy(), u, np.ones(len(u)))
    a, b = torch.zeros(n, len(u), dtype=torch.float64), torch.zeros(n, len(u), dtype=torch.float64)
    squares = torch.zeros(len(u), dtype=torch.float64)
    for rows in network.blocks():
        read = network.preactivations(rows).double()
        a[rows] = read.mean(1)
        b += read.sum(0) / n
        squares += read.square().sum((0, 1))
    mean = a.mean(0)
    spread = (squares - n**2 * mean**2).numpy()
    explained = (n * ((a - mean).square().sum(0) + (b - mean).square().sum(0))).numpy()
    additive = np.divide(explained, spread, out=np.ones(len(u)), where=spread > 1e-12 * squares.numpy())
    return Functions(a.numpy(), (b - mean).numpy(), u, additive.clip(0, 1))
