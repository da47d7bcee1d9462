"""Random projections of vectors of P numbers to K, which keep inner products in expectation, and their error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError


@dataclass(frozen=True)
class RandomProjection:
    """A random linear map from P to K numbers, <map u, map v> = <u, v> in expectation.

    The K sums are cut into s blocks of about equal length. In each block every coordinate is multiplied by a random
    sign and added to one of the sums, each of which gets an equal share of the coordinates. With s = K the map is the
    dense matrix of random signs. Nothing of size P K is stored, and a vector costs s P operations. The standard
    deviation of an inner product is about sqrt((|u|^2 |v|^2 + <u, v>^2) / K), or less, for any s.

    Args:
        size: P.
        dimensions: K.
        seed: of the random numbers, which are the same on every device.
        blocks: s, at most K. More of them avoid large errors where a few coordinates dominate.

    Raises:
        ConfigError: K is less than 1.

    Source: Johnson-Lindenstrauss transforms with s non-zeros for each coordinate, Kane and Nelson, arXiv 1012.1577.
    """

    size: int
    dimensions: int
    seed: int = 0
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.dimensions < 1:
            must = "a projection must have at least one dimension"
            raise ConfigError(must, got=self.dimensions, key="dimensions", fix="dimensions=512")

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the projections (..., K) of vectors (..., P)."""
        rng = torch.Generator().manual_seed(self.seed)
        blocks, projected = min(self.blocks, self.dimensions), []
        for number in range(blocks):
            sums = (self.dimensions + number) // blocks
            order = torch.randperm(self.size, generator=rng).to(vectors.device)
            signs = 2 * torch.randint(2, (self.size,), generator=rng).to(vectors.device, vectors.dtype) - 1
            mixed = vectors.index_select(-1, order) * signs
            whole = self.size - self.size % sums
            block = mixed[..., :whole].unflatten(-1, (-1, sums)).sum(-2)
            block[..., : self.size - whole] += mixed[..., whole:]
            projected.append(block)
        return torch.cat(projected, -1) / blocks**0.5


def inner_product_error(projection: RandomProjection, left: Tensor, right: Tensor) -> float:
    """Return the root mean square of the errors of the inner products of rows (L, P) and (R, P), relative to that of
    the products of their lengths. About 1 / sqrt(K) is expected of nearly orthogonal vectors."""
    errors = projection(left) @ projection(right).mT - left @ right.mT
    lengths = left.norm(dim=-1)[:, None] * right.norm(dim=-1)
    return float(errors.square().mean().sqrt() / lengths.square().mean().sqrt().clamp_min(torch.finfo(left.dtype).tiny))
