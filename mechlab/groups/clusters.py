"""Clusters of neurons by irreducible representation: what their activations hold, and what depends on it.

The activations of a neuron are a function on the n^2 pairs (a, b). Those that are a combination of the matrix elements
of rho(a), of rho(b), or of rho(a b) are three orthogonal spaces for each nontrivial irrep, and the share of the
variance in each is its fraction of variance explained. All follow from the sums of the activations over b, over a, and
over the pairs of each product, so that nothing with n^3 elements is ever made.

Source: Chughtai, Chan and Nanda, "A Toy Model of Universality", arXiv 2302.03025, and the notebook beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.groups.irrep import DIVISOR, Irrep
from mechlab.groups.network import PairNetwork
from mechlab.groups.neurons import energies, transform

FACTORS = ("a", "b", "ab")


@dataclass(frozen=True, eq=False)
class Activations:
    """Sums of what h hidden units do on all n^2 pairs of elements.

    Args:
        a, b, ab: (n, h) sums over the n pairs with the same left factor, right factor and product.
        gram: (h, h) inner products of the units' activations about their means.
        active: (h,) share of the pairs on which a unit is not 0.
        embeddings: two functions (n, h) of the left and the right factor whose sum (whose product, for bilinear units)
            is what a unit's nonlinearity reads; for units that read no such sum the best one, in the sense of least
            squares.
        additive: (h,) the share of the variance of what the nonlinearity reads that the two functions give.
    """

    a: np.ndarray
    b: np.ndarray
    ab: np.ndarray
    gram: np.ndarray
    active: np.ndarray
    embeddings: tuple[np.ndarray, np.ndarray]
    additive: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """The variance (h,) of each unit over the pairs."""
        return np.diagonal(self.gram) / len(self.a) ** 2

    def sums(self) -> dict[str, np.ndarray]:
        """Return the three sums by name."""
        return {"a": self.a, "b": self.b, "ab": self.ab}


@torch.no_grad()
def activations(network: PairNetwork) -> Activations:
    """Return the sums over all pairs of a network with hidden units and with what their nonlinearity reads."""
    n, h = network.order, len(network.unembedding)
    table = torch.from_numpy(network.group.table.astype(np.int64))
    quotient = table[torch.from_numpy(network.group.inverses.astype(np.int64))]  # [a, p] is b with a b = p
    kinds = {name: torch.zeros(n, h, dtype=network.unembedding.dtype) for name in ("a", "b", "ab", "read_a", "read_b")}
    gram, active, squares = torch.zeros(h, h, dtype=network.unembedding.dtype), torch.zeros(h), torch.zeros(h)
    for rows in network.blocks():
        hidden, read = network.hidden(rows), network.preactivations(rows)  # (R, n, h)
        kinds["a"][rows], kinds["read_a"][rows] = hidden.sum(1), read.sum(1)
        kinds["b"] += hidden.sum(0)
        kinds["read_b"] += read.sum(0)
        for row, values in zip(rows.tolist(), hidden, strict=True):
            kinds["ab"] += values[quotient[row]]
        flat = hidden.flatten(0, 1)
        gram += flat.T @ flat
        active += (flat != 0).sum(0)
        squares = squares + read.square().sum((0, 1))
    sums = {name: value.double().numpy() for name, value in kinds.items()}
    total = sums["a"].sum(0)
    centred = gram.double().numpy() - np.outer(total, total) / n**2
    mean = sums["read_a"].sum(0) / n**2
    x, y = sums["read_a"] / n, sums["read_b"] / n - mean
    spread = squares.double().numpy() - n**2 * mean**2
    explained = n * (((x - mean) ** 2).sum(0) + (y**2).sum(0))
    additive = np.divide(explained, spread, out=np.ones(h), where=spread > 1e-12 * squares.double().numpy())
    if (factors := _factors(network)) is not None:
        (x, y), additive = factors, np.ones(h)
    return Activations(
        sums["a"], sums["b"], sums["ab"], centred, active.double().numpy() / n**2, (x, y), np.clip(additive, 0, 1)
    )


def _factors(network: PairNetwork) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the network's own embeddings (n, h) where their sum is what the nonlinearity reads, or their product the
    activation; None elsewhere."""
    if network.embeddings is None or network.embeddings[0].shape[1] != len(network.unembedding):
        return None
    x, y = network.embeddings
    row = torch.zeros(1, dtype=torch.long)
    product = torch.allclose(network.hidden(row), x[row][:, None] * y, atol=1e-6)
    if product or torch.allclose(network.preactivations(row), x[row][:, None] + y, atol=1e-6):
        return x.double().numpy(), y.double().numpy()
    return None


def activation_energies(sums: Activations, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the energies (3, h, R) of the activations in the matrix elements of rho(a), rho(b) and rho(a b).

    Those of the trivial irrep are three times that of the mean.
    """
    return np.stack([energies(values, irreps) for values in sums.sums().values()]) / len(sums.a)


@dataclass(frozen=True, eq=False)
class Recovery:
    """The matrices rho(a b) recovered from the activations of k neurons, and the unembedding in their basis.

    Args:
        basis: (k, d, d) M, the change of basis: the part of activation l that is a function of rho(a b) is
            <M_l, rho(a b)>, the sum over matrix elements.
        error: mean squared error per matrix element between rho(a b) and its best linear function of the activations;
            without any it is 1 / d.
        explained: 1 - d times the error.
        unembedding: (d, d, d, d), the logits as a bilinear form: the sum over ij and kl of
            unembedding[i, j, k, l] rho(a b)_ij rho(c^-1)_kl is what the neurons add to logit c by way of rho(a b).
        predicted: (d, d, d, d), the multiple of the character of a b c^-1 that is nearest: for a real irrep a multiple
            of the transpose permutation, 1 where i = l and j = k, else 0.
        map_error: mean squared difference of the two, over the mean square of `unembedding`.
        row_error: the same for the unembedding of the neurons one by one, whose transforms should all be the same
            multiple of `basis`.
    """

    basis: np.ndarray
    error: float
    explained: float
    unembedding: np.ndarray
    predicted: np.ndarray
    map_error: float
    row_error: float


def recover(sums: Activations, unembedding: np.ndarray, irrep: Irrep, members: np.ndarray) -> Recovery:
    """Return how well k neurons recover the matrices of an irrep.

    Args:
        sums: of all h units.
        unembedding: U (h, n).
        irrep: of dimension d.
        members: (k,) numbers of the neurons.
    """
    n, d, k = len(sums.a), irrep.dimension, len(members)
    transforms = transform(sums.ab[:, members], irrep)  # (k, d, d): inner products of activations and matrix elements
    moments = transforms.reshape(k, -1)
    values, vectors = np.linalg.eigh(sums.gram[np.ix_(members, members)])
    used = values > 1e-10 * max(values[-1], np.finfo(float).tiny)
    explained = (((vectors[:, used].T @ moments) ** 2).sum(1) / values[used]).sum() / (n**2 * d)
    basis = irrep.weight / n * transforms
    inverse = irrep.weight * transform(unembedding[members].T, irrep).transpose(0, 2, 1)  # on rho(c^-1) = rho(c)^T
    learned = np.einsum("lij,lkm->ijkm", basis, inverse)
    identity, flat = np.eye(d), irrep.matrices.reshape(n, -1)
    swap = np.einsum("im,jk->ijkm", identity, identity)
    if DIVISOR[irrep.kind] > 1:  # the part that acts on what rho spans
        algebra = (irrep.weight * flat.T @ flat).reshape(d, d, d, d)
        swap = np.einsum("ijkm,kmpq->ijpq", swap, algebra)
    return Recovery(
        basis,
        error=float((1 - explained) / d),
        explained=float(explained),
        unembedding=learned,
        predicted=swap * _factor(learned, swap),
        map_error=_relative_error(learned, swap),
        row_error=_relative_error(inverse, basis.transpose(0, 2, 1)),
    )


def _factor(target: np.ndarray, shape: np.ndarray) -> float:
    return float((target * shape).sum() / max((shape**2).sum(), np.finfo(float).tiny))


def _relative_error(target: np.ndarray, shape: np.ndarray) -> float:
    """Return the share of the squares of a target that no multiple of a shape gives."""
    rest = ((target - _factor(target, shape) * shape) ** 2).sum()
    return float(rest / max((target**2).sum(), np.finfo(float).tiny))


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
            removed = project(values[:, members] / n, irreps[number])
            parts[number, name] = torch.from_numpy(removed).to(u) @ u[members]  # (n, n): of the factor, to logits
    kept = [irreps[number] for number in clusters]
    restricted = [torch.from_numpy(_restricted(weights, kept)).to(u) for weights in _unembeddings(network)]
    table = torch.from_numpy(network.group.table.astype(np.int64))
    means = torch.from_numpy(sums.a.sum(0) / n**2).to(u)
    totals: dict[tuple[int, str], Tensor] = {}

    def add(key: tuple[int, str], logits: Tensor, targets: Tensor) -> None:
        loss = logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]
        hits = logits.argmax(-1) == targets
        totals[key] = totals.get(key, 0) + torch.stack([loss.double().sum(), hits.double().sum()])

    for chosen in torch.from_numpy(np.asarray(rows, np.int64)).split(max(1, 4_000_000 // (n * max(n, len(u))))):
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


def project(functions: np.ndarray, irrep: Irrep) -> np.ndarray:
    """Return the projections (n, k) of functions (n, k) on the space that the matrix elements of an irrep span."""
    matrices = irrep.matrices.reshape(len(functions), -1)
    return irrep.weight * (matrices @ (matrices.T @ functions))


def _unembeddings(network: PairNetwork) -> list[np.ndarray]:
    every = [network.unembedding, *([] if network.skip is None else [network.skip_unembedding])]
    return [weights.double().numpy() for weights in every]


def _restricted(weights: np.ndarray, irreps: Sequence[Irrep]) -> np.ndarray:
    return sum((project(weights.T, irrep).T for irrep in irreps), np.zeros_like(weights))
