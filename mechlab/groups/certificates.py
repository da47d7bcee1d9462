"""Lower bounds on the accuracy of a network over all n^2 pairs of group elements, and what they cost.

A pair (a, b) is certified where a lower bound on its margin, the logit of a b less the largest other logit, exceeds
what rounding can explain. The margin is that of real arithmetic on the hidden activations H (n, n, h) and the
unembedding U (h, n), which are taken as exact numbers; what is computed from them in float64 has the a priori error of
its sums (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). No bound relies on what a network is
believed to have learned, or on the irreps being exact: on these depends how many pairs are certified, not whether that
is proved.

Sources: Gross et al., arXiv 2406.11779 (compact proofs of performance); Wu et al., arXiv 2410.07476 (bounds from the
symmetry of multiplication in a group).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.groups.certificate_parts import KeySpace, Readout, Rest, basis, key_space, statistics, without_product
from mechlab.groups.irrep import Irrep
from mechlab.groups.network import PairNetwork
from mechlab.groups.restriction import Restriction

UNIT = 2.0**-53  # unit roundoff of float64
SAFETY = 32  # more than the number of sums, one after another, that enter a bound
SHARE = 0.01  # least share of a neuron's energy in an irrep with which it is read for that irrep


@dataclass(frozen=True)
class Certificate:
    """A lower bound on the accuracy over all pairs.

    Args:
        bound: its name; see `certificates`.
        irreps: number of irreps that it uses, the first ones of the list.
        dimensions: of the space of functions on the group that these irreps span.
        certified: share of the pairs whose margin is proved to be positive.
        flops: floating point operations, those of a perceptron's activations among them.
        cost: the same as a share of those of brute force.
    """

    bound: str
    irreps: int
    dimensions: int
    certified: float
    flops: float
    cost: float


@torch.no_grad()
def certificates(network: PairNetwork, irreps: Sequence[Irrep], most: int = 8) -> list[Certificate]:
    """Return lower bounds on the accuracy of a network; the first one is brute force.

    - brute_force: all n^3 logits, a few rows at a time.
    - low_rank, for the first one, two, ... irreps: the logits' projections on the spaces V of these irreps as functions
      of c are computed exactly, from dim V numbers per pair instead of h. Of the rest U' of the unembedding, the parts
      of H that are functions of a or of b alone are exact too; the interaction D is bounded by Cauchy-Schwarz,
      D (U'_c - U'_ab) <= |D / s| |s (U'_c - U'_ab)| with a scale s for each neuron.
    - equivariance: the same dim V numbers per pair, as a matrix Z for each irrep, but no logits of them. A perfect
      circuit has Z = k rho(ab), whose margins one orbit representative determines: k (d - character) by conjugacy class
      of ab c^-1. For any Z, k = <Z, rho(ab)> / d, and the deviation Z - k rho(ab) raises another logit by at most the
      smaller one of its nuclear norm and its Frobenius norm times |rho(c) - rho(ab)|.
    - restricted_cauchy_schwarz, restricted_interval, restricted_exact: the explanation by irreps alone. H is replaced
      by its projection P(ab) on the functions of the product in the spaces of all these irreps, whose n margins are
      exact, and the logits of the remainder H - P are bounded by Cauchy-Schwarz, by the range of U of each neuron, or
      computed; the worst class of the one and the worst of the other are added, as if they were the same.

    Args:
        network: with hidden units and an unembedding.
        irreps: in the order in which they are used; see `by_energy`.
        most: irreps of the largest set. Sets end before they would cost more than brute force.

    Source: the irreps as an explanation are those of Chughtai et al., arXiv 2302.03025.
    """
    return _Certification(network, irreps, most).result()


class _Certification:
    def __init__(self, network: PairNetwork, irreps: Sequence[Irrep], most: int):
        self.network, self.read = network, Readout.of(network)
        group = network.group
        self.table = torch.from_numpy(np.array(group.table)).long()
        self.kinds = torch.from_numpy(group.class_of[group.table[:, group.inverses]]).long()  # of p c^-1
        self.means = statistics(network, self.read, self.table)
        affordable = 1 / (1 / network.order + 1 / self.read.width)  # dimensions with which low_rank costs as much
        used = max(1, int((np.cumsum([irrep.size for irrep in irreps]) <= affordable).sum()))
        irreps = irreps[: min(used, most)]
        dimensions = sum(irrep.dimension**2 for irrep in irreps)
        self.slack = SAFETY * (self.read.width + dimensions + 16) * UNIT
        self.spaces: list[KeySpace] = []
        self.rests: list[Rest] = []
        rest = self.read.U
        self.magnitude = rest.abs().amax(1)  # (h,), of the numbers that the sums over neurons add
        for irrep in irreps:
            space = key_space(irrep, self.read.U, self.kinds, SHARE, self.slack)
            rest = rest - space.Z @ space.Q.T
            self.spaces.append(space)
            self.rests.append(Rest.of(rest, self.means))
            self.magnitude += 1.01 * (irrep.weight * irrep.dimension) ** 0.5 * space.Z.abs().sum(1)
        self.restriction = Restriction.of(self.read.U, self.means, [space.Q for space in self.spaces])

    def result(self) -> list[Certificate]:
        """Count the certified pairs of every bound, a block of rows at a time, and add the costs."""
        counts: dict[tuple[str, int], float] = {}
        for rows in self.network.blocks():
            for key, certified in self._block(rows).items():
                counts[key] = counts.get(key, 0.0) + float(certified.sum())
        pairs, costs = self.network.order**2, self._costs()
        brute = costs["brute_force", 0]
        sizes = np.cumsum([0, *(space.size for space in self.spaces)])
        return [
            Certificate(name, used, int(sizes[used]), count / pairs, costs[name, used], costs[name, used] / brute)
            for (name, used), count in counts.items()
        ]

    def _block(self, rows: Tensor) -> dict[tuple[str, int], Tensor]:
        """Return which pairs (R, n) of some elements a (R,) each bound certifies, by its name and number of irreps."""
        hidden, products, means = self.read.hidden(rows), self.table[rows], self.means
        restricted = self.restriction.hidden[products]
        sizes = means.by_x[rows].abs()[:, None] + means.by_y.abs() + means.mean.abs() + restricted.abs()
        error = self.slack * ((hidden.abs() + sizes) @ self.magnitude)
        logits = hidden @ self.read.U
        lowered = {("brute_force", 0): _rises(logits, products)}
        interaction = hidden - means.by_x[rows][:, None] - means.by_y + means.mean
        length = (interaction / means.scale).norm(dim=2) * (1 + self.slack)
        low_rank, symmetric = torch.zeros_like(logits), torch.zeros((), dtype=logits.dtype)
        for used, (space, rest) in enumerate(zip(self.spaces, self.rests, strict=True), 1):
            z, losses = hidden @ space.Z, rest.losses(rows, products, length)
            low_rank += z @ space.Q.T
            lowered["low_rank", used] = _rises(low_rank, products) + losses
            symmetric = symmetric + space.class_gaps(z, products, self.slack)  # (R, n, K)
            lowered["equivariance", used] = losses - symmetric.gather(2, self.kinds[products])
        largest = {key: without_product(rises, products).amax(2) for key, rises in lowered.items()}
        for name, rises in self.restriction.rises(hidden, products, logits, self.slack).items():
            largest[name, len(self.spaces)] = rises
        return {key: rises < -error for key, rises in largest.items()}

    def _costs(self) -> dict[tuple[str, int], float]:
        """Return the floating point operations of every bound, by its name and number of irreps."""
        n, h, classes = self.network.order, self.read.width, int(self.kinds.max()) + 1
        pairs, most = n**2, len(self.spaces)
        activations, compare = 2 * pairs * h, n * pairs
        costs = {("brute_force", 0): activations + 2 * n * pairs * h + compare}
        low_rank = equivariance = activations + 8 * pairs * h  # means and scales; the interaction and its length
        for used, space in enumerate(self.spaces, 1):
            project = 4 * n * h * space.size + 2 * pairs * space.neurons * space.size  # Z and U'; z
            tables = 7 * pairs * h + 5 * n * pairs  # of U'; the losses from it
            low_rank += project + 2 * n * pairs * space.size
            equivariance += project + space.flops(pairs, classes)
            costs["low_rank", used] = low_rank + tables + 2 * compare
            costs["equivariance", used] = equivariance + tables + 2 * compare
        dimensions = sum(space.size for space in self.spaces)
        explained = activations + 4 * n * h * dimensions + 4 * pairs * h  # P and its margins; H - P
        costs["restricted_cauchy_schwarz", most] = explained + 6 * pairs * h + compare
        costs["restricted_interval", most] = explained + 4 * pairs * h
        costs["restricted_exact", most] = explained + costs["brute_force", 0] + 2 * compare
        return {key: float(value) for key, value in costs.items()}


def _rises(logits: Tensor, products: Tensor) -> Tensor:
    """Return by how much each logit (..., n) exceeds that of the product (...)."""
    return logits - logits.gather(-1, products[..., None])


def by_energy(network: PairNetwork, irreps: Sequence[Irrep]) -> tuple[list[Irrep], np.ndarray]:
    """Return the irreps without the trivial one, which moves no margin, by falling energy of the unembedding in the
    space of each, and the shares of that energy. Neurons count by the mean square of their activations.

    Args:
        network: with hidden units and an unembedding.
        irreps: of its group, the trivial one first.
    """
    read = Readout.of(network)
    square = sum(read.hidden(rows).square().sum((0, 1)) for rows in network.blocks())
    weighted = square.sqrt()[:, None] * read.U
    energies = np.array([float((weighted @ basis(irrep)[0]).square().sum()) for irrep in irreps[1:]])
    order = np.argsort(-energies, kind="stable")
    return [irreps[1 + i] for i in order], energies[order] / max(float(weighted.square().sum()), np.finfo(float).tiny)
