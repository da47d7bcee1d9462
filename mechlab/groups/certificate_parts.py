"""The parts of which bounds on a network's accuracy are made: activations, their means, and the irreps' spaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.groups.irrep import Irrep
from mechlab.groups.network import PairNetwork, Rows


@dataclass(frozen=True, eq=False)
class Readout:
    """The activations that a network's logits are linear in, float64.

    Args:
        hidden: activations (R, n, h) of elements a (R,), those of a path beside the hidden units among them.
        U: the linear map (h, n) to the logits, less the mean of each row: what all classes share moves no margin.
    """

    hidden: Rows
    U: Tensor

    @classmethod
    def of(cls, network: PairNetwork) -> Readout:
        """Return the activations and the linear map of a network with hidden units."""
        if network.skip is None:
            U, hidden = network.unembedding.double(), lambda rows: network.hidden(rows).double()
        else:
            U = torch.cat([network.unembedding, network.skip_unembedding]).double()

            def hidden(rows: Tensor) -> Tensor:
                return torch.cat([network.hidden(rows), network.skip(rows)], -1).double()

        return cls(hidden, U - U.mean(1, keepdim=True))

    @property
    def width(self) -> int:
        """The number h of activations."""
        return len(self.U)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Means of the activations.

    Args:
        mean, square: of all pairs, and of the squares, (h,).
        by_x, by_y, by_product: (n, h), of the pairs with one a, with one b, and with one product.
        scale: (h,) about the root mean square of the interaction, what the means by a and by b leave.
    """

    mean: Tensor
    square: Tensor
    by_x: Tensor
    by_y: Tensor
    by_product: Tensor
    scale: Tensor


def statistics(network: PairNetwork, read: Readout, table: Tensor) -> Statistics:
    """Return the means of a network's activations in one pass; `table` is the group's, int64."""
    n = network.order
    by_x, by_y, by_product = (torch.zeros(n, read.width, dtype=torch.float64) for _ in range(3))
    square = torch.zeros(read.width, dtype=torch.float64)
    for rows in network.blocks():
        hidden = read.hidden(rows)
        by_x[rows] = hidden.mean(1)
        by_y += hidden.sum(0) / n
        by_product.index_add_(0, table[rows].flatten(), hidden.flatten(0, 1), alpha=1 / n)
        square += hidden.square().sum((0, 1)) / n**2
    mean = by_x.mean(0)
    interaction = square - (by_x**2).mean(0) - (by_y**2).mean(0) + mean**2
    scale = interaction.clamp(min=0).sqrt()
    scale.clamp_(min=1e-6 * float(scale.max()) or 1)
    return Statistics(mean, square, by_x, by_y, by_product, scale)


@dataclass(frozen=True, eq=False)
class KeySpace:
    """The space V of an irrep of dimension d in the logits.

    Args:
        rho: the matrices (n, d, d) of the irrep.
        Q: (n, size), a basis of V as functions of c, orthonormal up to rounding.
        to_matrix: (size, d, d), with which coordinates z become the matrix Z: z Q(c) = <Z, rho(c)> up to rounding.
        Z: (h, size), the coordinates of the neurons that are read for the irrep; 0 for all others.
        neurons: the number of these.
        least, largest: (K,) bounds on <rho(p), rho(p) - rho(c)>, which is d less the character, by the conjugacy class
            of p c^-1; that of the identity last.
        far: (K,) bounds on the Frobenius norm of rho(c) - rho(p) by the same class.
        norm: a bound on the spectral norm of the matrices.
    """

    rho: Tensor
    Q: Tensor
    to_matrix: Tensor
    Z: Tensor
    neurons: int
    least: Tensor
    largest: Tensor
    far: Tensor
    norm: float

    @property
    def size(self) -> int:
        """The dimension of V."""
        return self.Q.shape[1]

    def class_gaps(self, z: Tensor, products: Tensor, slack: float) -> Tensor:
        """Return lower bounds (R, n, K) on <Z, rho(p) - rho(c)> for all c with p c^-1 in a conjugacy class, from
        coordinates z (R, n, size) of pairs with the products p (R, n)."""
        d, rho = self.rho.shape[1], self.rho[products]
        matrices = torch.einsum("abs,sij->abij", z, self.to_matrix)
        along = (matrices * rho).sum((2, 3)) / d
        deviation = matrices - along[..., None, None] * rho
        frobenius = deviation.norm(dim=(2, 3)) * (1 + slack)
        nuclear = frobenius if d == 1 else torch.linalg.svdvals(deviation).sum(2)
        by_nuclear = nuclear * self.norm - (deviation * rho).sum((2, 3))
        ideal = torch.minimum(along[..., None] * self.least, along[..., None] * self.largest)
        return ideal - torch.minimum(by_nuclear[..., None], frobenius[..., None] * self.far)

    def flops(self, pairs: int, classes: int) -> int:
        """Return the floating point operations of `class_gaps` of all pairs, and of the tables it needs; singular
        values are counted as 20 d^3."""
        d = self.rho.shape[1]
        return pairs * (2 * self.size * d**2 + 8 * d**2 + 20 * d**3 + 4 * classes) + pairs * (2 * d**2 + 4)


def key_space(irrep: Irrep, U: Tensor, kinds: Tensor, share: float, slack: float) -> KeySpace:
    """Return the space of an irrep in the logits of a network.

    Args:
        irrep: of a group of n elements.
        U: (h, n), the network's unembedding.
        kinds: (n, n) int64, the number of the conjugacy class of p c^-1, from 0.
        share: least share of the energy of a neuron's row of U with which it is read for the irrep.
        slack: relative error of the numbers computed here.
    """
    rho, (Q, to_matrix) = torch.from_numpy(irrep.matrices.copy()), basis(irrep)
    Z = U @ Q
    used = Z.square().sum(1) >= share * U.square().sum(1)
    flat = rho.flatten(1)
    inner = flat @ flat.T  # (n, n), <rho(p), rho(c)>
    gap = inner.diagonal()[:, None] - inner
    squares = gap + gap.T
    room = 4 * slack * float(inner.diagonal().max())
    members = [kinds == kind for kind in range(int(kinds.max()) + 1)]
    excess = rho.transpose(1, 2) @ rho - torch.eye(rho.shape[1], dtype=rho.dtype)  # of almost orthogonal matrices
    return KeySpace(
        rho,
        Q,
        to_matrix,
        Z * used[:, None],
        int(used.sum()),
        least=torch.stack([gap[which].min() for which in members]) - room,
        largest=torch.stack([gap[which].max() for which in members]) + room,
        far=torch.stack([(squares[which].max() + room).clamp(min=0).sqrt() for which in members]),
        norm=(1 + float(excess.norm(dim=(1, 2)).max()) + slack) ** 0.5,
    )


@dataclass(frozen=True, eq=False)
class Rest:
    """What is left of an unembedding without the parts of neurons that are read for some irreps.

    Args:
        by_x, by_y: (n, n), logits that it gives the means of the activations by a and by b.
        distances: (n, n), Euclidean distances of its columns, each row in units of the neuron's scale.
    """

    by_x: Tensor
    by_y: Tensor
    distances: Tensor

    @classmethod
    def of(cls, U: Tensor, means: Statistics) -> Rest:
        """Return the rest U (h, n) as bounds use it."""
        points = (means.scale[:, None] * U).T.contiguous()
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        return cls(means.by_x @ U, (means.by_y - means.mean) @ U, distances)

    def losses(self, rows: Tensor, products: Tensor, length: Tensor) -> Tensor:
        """Return the most (R, n, n) by which the rest raises the logit of c above that of the product, for the pairs of
        some elements a (R,).

        Args:
            rows: the elements.
            products: of the pairs, (R, n).
            length: of the interaction of the pairs' activations, in units of the scales (R, n).
        """
        exact = self.by_x[rows][:, None] + self.by_y
        exact = exact - exact.gather(2, products[..., None])
        return exact.addcmul_(length[..., None], self.distances[products])


def basis(irrep: Irrep) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis (n, size) of the functions on the group that the matrix elements of an irrep span,
    and the coefficients (size, d, d) of these elements in its members."""
    frame = irrep.matrices.reshape(len(irrep.matrices), -1) * irrep.weight**0.5  # (n, d^2), tight
    directions = np.eye(irrep.size)
    if irrep.kind != "real":
        directions = np.linalg.eigh(frame.T @ frame)[1][:, -irrep.size :]  # of eigenvalue 1; all others are 0
    d = irrep.dimension
    coefficients = irrep.weight**0.5 * directions.T.reshape(-1, d, d)
    return torch.from_numpy(frame @ directions), torch.from_numpy(np.ascontiguousarray(coefficients))


def without_product(logits: Tensor, products: Tensor) -> Tensor:
    """Return logits (..., n) with minus infinity at the products (...)."""
    return logits.scatter(-1, products[..., None], -torch.inf)
