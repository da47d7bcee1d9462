"""Every order of contraction gives the plain sum over positions, with any number of zeros in the factors."""

from __future__ import annotations

import pytest
import torch

from mechlab.kernels.contraction import outer_products, row_products, scattered_rows


def factor(*shape, zeros=0.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=rng, dtype=torch.float64)
    return values * (torch.rand(*shape, generator=rng) >= zeros)


@pytest.mark.parametrize("limit", [2**30, 2**12])
@pytest.mark.parametrize("Q", [1, 30, 70])
@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("out, into", [(5, 7), (7, 5), (5, 130)])
@pytest.mark.parametrize("zeros", [(0.0, 0.0), (0.5, 0.0), (0.0, 0.9), (1.0, 0.0)])
def test_outer_products(limit, Q, T, out, into, zeros):
    delta, given = factor(11, T, out, zeros=zeros[0]), factor(11, T, into, zeros=zeros[1], seed=1)
    weight = factor(Q, out, into, seed=2)
    expected = torch.einsum("bto,qoi,bti->qb", delta, weight, given)
    torch.testing.assert_close(outer_products(delta, given, weight, limit), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("distinct", [3, 40])
def test_row_products(distinct):
    ids = torch.randint(distinct, (20, 4), generator=torch.Generator().manual_seed(0)) + 2
    delta, weight = factor(20, 4, 5), factor(9, distinct + 3, 5, seed=1)
    expected = torch.einsum("btd,qbtd->qb", delta, weight[:, ids])
    for limit in (2**30, 2**10):
        torch.testing.assert_close(row_products(ids, delta, weight, limit), expected, rtol=1e-12, atol=1e-12)
    rows = scattered_rows(ids, delta, distinct + 3)
    torch.testing.assert_close(torch.einsum("bvd,qvd->qb", rows, weight), expected, rtol=1e-12, atol=1e-12)
