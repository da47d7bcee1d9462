"""Activations restricted to the functions of the product that some irreps span, and bounds on the remainder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mechlab.groups.certificate_parts import Statistics, without_product


@dataclass(frozen=True, eq=False)
class Restriction:
    """The explanation of a network by irreps alone.

    Args:
        hidden: P (n, h), activations that are functions of the product alone, in the spaces of some irreps.
        logits: P U (n, n).
        margins: (n,), their margins.
        scale: (h,), about the root mean square of the remainder H - P.
        reach: (n,), the largest length of scale (U_c - U_p) over c, for each product p.
        rise, fall: (n, h), by how much U of each neuron is largest, and smallest, over c, relative to the product p.
    """

    hidden: Tensor
    logits: Tensor
    margins: Tensor
    scale: Tensor
    reach: Tensor
    rise: Tensor
    fall: Tensor

    @classmethod
    def of(cls, U: Tensor, means: Statistics, bases: Sequence[Tensor]) -> Restriction:
        """Return the restriction to the spaces with these orthonormal bases (n, size), of a network with unembedding
        U (h, n)."""
        Q = torch.cat(list(bases), 1)
        hidden = means.mean + Q @ (Q.T @ means.by_product)
        logits, own = hidden @ U, torch.arange(len(Q))
        margins = logits.diagonal() - without_product(logits, own).amax(1)
        scale = (means.square - hidden.square().mean(0)).clamp(min=0).sqrt()
        scale.clamp_(min=1e-6 * float(scale.max()) or 1)
        points = (scale[:, None] * U).T.contiguous()
        reach = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").amax(1)
        rise, fall = (U.amax(1, keepdim=True) - U).T, (U - U.amin(1, keepdim=True)).T
        return cls(hidden, logits, margins, scale, reach, rise.contiguous(), fall.contiguous())

    def rises(self, hidden: Tensor, products: Tensor, logits: Tensor, slack: float) -> dict[str, Tensor]:
        """Return by name bounds on how much the largest other logit exceeds that of the
        product, (R, n) each.

        Args:
            hidden: activations (R, n, h) of some rows.
            products: of the pairs (R, n).
            logits: (R, n, n).
            slack: relative error of a sum.
        """
        remainder = hidden - self.hidden[products]
        length = (remainder / self.scale).norm(dim=2) * (1 + slack)
        above = remainder.clamp(min=0) * self.rise[products] - remainder.clamp(max=0) * self.fall[products]
        left = logits - self.logits[products]
        exact = without_product(left, products).amax(2) - left.gather(2, products[..., None])[..., 0]
        bounds = {
            "restricted_cauchy_schwarz": length * self.reach[products],
            "restricted_interval": above.sum(2),
            "restricted_exact": exact,
        }
        return {name: bound - self.margins[products] for name, bound in bounds.items()}
