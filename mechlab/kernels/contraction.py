"""Inner products of per-example gradients in factored form with directions, in the order that costs least.

The gradient of example k's loss in a weight is sum_t delta_kt a_kt^T. Its inner product with a direction U either
contracts U with one factor and then with the other, or multiplies the factors out for some examples at a time. Zeros
of a factor, as rectifiers make them, are skipped.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**24  # bytes of factors that are multiplied out at once; larger ones leave the cache
DIRECTIONS = 64  # beyond so many directions, multiplying out is faster even for one position
POSITIONS = 30  # saved products of positions and directions from which multiplying out is faster
DENSE = 0.7  # share of nonzero numbers below which skipping zeros is faster
WIDTH = 256  # columns of a matrix product that is efficient


def outer_products(delta: Tensor, given: Tensor, weight: Tensor, limit: int = 2**30) -> Tensor:
    """Return sum_t delta_t^T U a_t for every direction U and example: (Q, B).

    Args:
        delta: (B, T, out).
        given: (B, T, in).
        weight: (Q, out, in) the directions.
        limit: bytes that a block may take.
    """
    Q, T = len(weight), delta.shape[1]
    if not multiplies_out(T, Q):
        long, short, matrix = (delta, given, weight) if delta.shape[2] >= given.shape[2] else (given, delta, weight.mT)
        return _one_after_the_other(long, short, matrix, limit)
    if T == 1:
        shares = [float((factor != 0).float().mean()) for factor in (delta, given)]
        if min(shares) < DENSE:
            if shares[0] <= shares[1]:
                return _without_zeros(delta[:, 0], given[:, 0], weight)
            return _without_zeros(given[:, 0], delta[:, 0], weight.mT)
    return _multiplied_out(delta, given, weight, min(limit, BLOCK))


def multiplies_out(positions: int, directions: int) -> bool:
    """Return whether the factors of a layer's gradients are multiplied out for this many directions."""
    return directions > DIRECTIONS or positions * directions > POSITIONS + positions + directions


def row_products(ids: Tensor, delta: Tensor, weight: Tensor, limit: int = 2**30) -> Tensor:
    """Return sum_t delta_t^T U[id_t] for every direction U and example (Q, B): the case of an embedding.

    Args:
        ids: (B, T).
        delta: (B, T, d).
        weight: (Q, V, d) the directions.
        limit: bytes that a block may take.
    """
    B, T = ids.shape
    distinct, counts = ids.flatten().sort()[0].unique_consecutive(return_counts=True)
    if 8 * len(distinct) > B * T:
        rows = max(1, int(limit // (delta.numel() * delta.element_size() * 2)))
        return torch.cat([(part[:, ids] * delta).sum((-1, -2)) for part in weight.split(rows)])
    out = delta.new_zeros(B, len(weight))
    places = ids.flatten().argsort().split(counts.tolist())
    flat = delta.flatten(0, 1)
    for token, place in zip(distinct.tolist(), places, strict=True):
        out.index_add_(0, place // T, flat[place] @ weight[:, token].T)
    return out.T


def scattered_rows(ids: Tensor, delta: Tensor, size: int) -> Tensor:
    """Return each example's gradient (B, V, d) in an embedding of V = size rows; ids (B, T), delta (B, T, d)."""
    B, d = len(ids), delta.shape[2]
    places = (ids + size * torch.arange(B, device=ids.device)[:, None]).flatten()
    return delta.new_zeros(B * size, d).index_add_(0, places, delta.flatten(0, 1)).view(B, size, d)


def _one_after_the_other(long: Tensor, short: Tensor, weight: Tensor, limit: int) -> Tensor:
    """Contract the directions (Q, long, short) with the longer factor first."""
    _, T, m = long.shape
    Q = len(weight)
    matrix = weight.permute(1, 0, 2).reshape(m, -1)
    rows = max(1, int(min(limit, BLOCK) // (T * Q * short.shape[2] * long.element_size())))
    products = []
    for some, other in zip(long.split(rows), short.split(rows), strict=True):
        moved = (some.reshape(-1, m) @ matrix).view(len(some), T, Q, -1)
        products.append(
            (moved[:, 0] @ other[:, 0, :, None])[..., 0] if T == 1 else torch.einsum("btqr,btr->bq", moved, other)
        )
    return torch.cat(products).T


def _multiplied_out(delta: Tensor, given: Tensor, weight: Tensor, limit: int) -> Tensor:
    """Multiply the factors of some examples at a time, in one reused buffer."""
    (B, _, out), into = delta.shape, given.shape[2]
    flat = weight.flatten(1).T
    rows = min(B, max(1, int(limit // (out * into * delta.element_size()))))
    memory, products = delta.new_empty(rows, out, into), delta.new_empty(B, len(weight))
    for start in range(0, B, rows):
        d, a = delta[start : start + rows], given[start : start + rows]
        torch.bmm(d.mT, a, out=memory[: len(d)])
        torch.mm(memory[: len(d)].flatten(1), flat, out=products[start : start + rows])
    return products.T


def _without_zeros(sparse: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """Contract the directions (Q, M, d) with sparse (B, M) and other (B, d), where sparse is not zero.

    A few columns of `sparse` are processed at a time, with one matrix product for all examples that have the same
    nonzero columns.
    """
    (B, M), d = sparse.shape, other.shape[1]
    at_once = min(max(1, WIDTH // d), 4)
    products = sparse.new_zeros(B, len(weight))
    for start in range(0, M, at_once):
        columns = sparse[:, start : start + at_once]
        code = ((columns != 0) * 2 ** torch.arange(columns.shape[1], device=sparse.device)).sum(1)
        counts = torch.bincount(code, minlength=2 ** columns.shape[1]).tolist()
        for pattern, rows in enumerate(code.argsort().split(counts)):
            chosen = [i for i in range(columns.shape[1]) if pattern >> i & 1]
            if chosen and len(rows):
                factors = columns[rows][:, chosen, None] * other[rows, None]  # (rows, chosen, d)
                matrix = weight[:, [start + i for i in chosen]].flatten(1)
                products.index_add_(0, rows, factors.flatten(1) @ matrix.T)
    return products.T
