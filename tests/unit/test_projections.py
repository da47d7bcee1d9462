"""Random projections: the dense sign matrix as a special case, unbiased inner products, and their error."""

from __future__ import annotations

import pytest
import torch

from mechlab.core.errors import ConfigError
from mechlab.kernels.projections import RandomProjection, inner_product_error

RNG = torch.Generator().manual_seed(0)
LEFT, RIGHT = torch.randn(20, 300, generator=RNG).double(), torch.randn(30, 300, generator=RNG).double()


def matrix(projection):
    return projection(torch.eye(projection.size, dtype=torch.float64))


@pytest.mark.parametrize("blocks", [1, 3, 24])
def test_each_coordinate_enters_one_sum_of_each_block_with_a_sign(blocks):
    """s non-zeros of size 1 / sqrt(s) in each row, shared equally between the sums; a dense sign matrix for s = K."""
    entries = matrix(RandomProjection(100, 24, seed=3, blocks=blocks))
    assert ((entries != 0).sum(1) == blocks).all()
    assert torch.allclose(entries[entries != 0].abs(), torch.tensor(blocks**-0.5, dtype=torch.float64))
    counts = (entries != 0).sum(0)
    assert counts.max() - counts.min() <= 1 and 0 < (entries > 0).sum() < 100 * blocks
    assert torch.allclose(RandomProjection(100, 24, seed=3, blocks=blocks)(LEFT[:, :100]), LEFT[:, :100] @ entries)


@pytest.mark.parametrize("blocks", [1, 4, 32])
def test_inner_products_are_unbiased_and_their_error_falls_with_dimensions(blocks):
    errors = [inner_product_error(RandomProjection(300, 32, seed, blocks), LEFT, RIGHT) for seed in range(40)]
    mean = sum(
        RandomProjection(300, 32, s, blocks)(LEFT) @ RandomProjection(300, 32, s, blocks)(RIGHT).T for s in range(40)
    )
    expected = LEFT @ RIGHT.T
    scale = LEFT.norm(dim=1)[:, None] * RIGHT.norm(dim=1)
    assert ((mean / 40 - expected) / scale).abs().max() < 6 * (2 / 32 / 40) ** 0.5
    assert 0.7 / 32**0.5 < sum(errors) / 40 < 1.4 / 32**0.5
    assert inner_product_error(RandomProjection(300, 256, 0, blocks), LEFT, RIGHT) < 0.6 * min(errors)


def test_more_blocks_avoid_the_collision_of_two_large_coordinates():
    spiked = torch.zeros(1, 300, dtype=torch.float64)
    spiked[0, :2] = 1
    worst = {
        s: max(inner_product_error(RandomProjection(300, 16, seed, s), spiked, spiked) for seed in range(60))
        for s in (1, 16)
    }
    assert worst[1] == pytest.approx(1) and worst[16] < 0.95


def test_a_projection_has_dimensions():
    with pytest.raises(ConfigError, match="dimension"):
        RandomProjection(10, 0)
    assert RandomProjection(10, 2, blocks=4)(torch.ones(3, 10)).shape == (3, 2)
