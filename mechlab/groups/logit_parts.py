"""The logit of the right product as a sum over irreps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mechlab.core.task import Batch
from mechlab.groups.finite_group import Group
from mechlab.groups.representations import irreps


class LogitParts:
    """The part of the logit of the right product ab that lies in the space V of each irrep,

        part(a, b) = w sum_c chi(ab c^-1) logits(a, b)[c],

    with the irrep's weight w and character chi. It is the value at ab of the projection of the logits on V, so that
    the parts of all R irreps add up to the logit of ab. That of the trivial irrep is the mean logit; all others are the
    same where a constant is added to the logits. The sum over all pairs is w times the inner product of the logits with
    the cube chi(ab c^-1), of which the logit similarity of Chughtai et al. is the cosine.

    Args:
        group: of n elements.

    Source: the Peter-Weyl theorem; Chughtai et al., arXiv 2302.03025, for the cube.
    """

    def __init__(self, group: Group):
        self.classes = torch.from_numpy(group.table[group.inverses].T.astype(np.int64))  # (n, n), c = u^-1 p by p and u
        self.characters = torch.from_numpy(np.stack([irrep.weight * irrep.character for irrep in irreps(group)], 1))

    def each(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the parts (B, R) of logits (B, n), given the right products as targets (B,)."""
        by_quotient = outputs.gather(1, self.classes.to(outputs.device)[batch.targets])  # (B, n), by u = ab c^-1
        return by_quotient @ self.characters.to(outputs)

    def mean(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the means (1, R) of the parts over examples, given logits (B, n) and products as targets (B,)."""
        return self.each(outputs, batch).mean(0, keepdim=True)
