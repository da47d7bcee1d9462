"""Losses of the logits that irreps explain, and of those that they leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mechlab.groups.finite_group import Group
from mechlab.groups.fourier import projection
from mechlab.groups.network import PairNetwork
from mechlab.groups.pair_losses import pair_losses
from mechlab.groups.representations import Irrep
from mechlab.groups.sums import PairSums

OWN, MOST = 16, 64  # irreps at most whose own losses are computed, or between these an eighth of the group's order
PER_IRREP = ("logit_restricted", "logit_excluded", "restricted", "excluded")
IN_TOTAL = (
    *("loss", "train_loss", "test_loss", "accuracy", "train_accuracy", "test_accuracy"),
    *("restricted_loss", "excluded_loss", "restricted_loss_with_trivial", "excluded_loss_with_trivial"),
    *("restricted_loss_with_skip", "excluded_loss_with_skip", "logit_restricted_loss", "logit_excluded_loss"),
)


def explained_losses(
    network: PairNetwork,
    train: np.ndarray | None,
    sums: PairSums,
    irreps: Sequence[Irrep],
    key: np.ndarray,
    similarity: np.ndarray,
    wanted: bool = True,
    test: np.ndarray | None = None,
) -> dict[str, np.ndarray | float]:
    """Return the losses by name; see `GroupMetrics`.

    Those of single irreps are of the 16 with the largest absolute similarity (an eighth of the group's order, if that
    is more, and 64 at most), the key irreps first; NaN for all others.

    Args:
        network: of n elements.
        train: mask (n, n) of training pairs, or None.
        sums: of the network.
        irreps: all I irreps of the group, the trivial one first.
        key: (I,) bool.
        similarity: (I,).
        wanted: False gives NaN for all.
        test: mask (n, n) of test pairs; None for all that were not trained on.
    """
    result: dict[str, np.ndarray | float] = {name: np.full(len(irreps), np.nan) for name in PER_IRREP}
    result |= dict.fromkeys(IN_TOTAL, float("nan"))
    if not wanted:
        return result
    order = np.argsort(-(np.abs(similarity) + 2 * key), kind="stable")
    own = order[: min(max(OWN, network.order // 8), MOST)]
    chosen = [irrep for irrep, is_key in zip(irreps, key, strict=True) if is_key]
    kept = [irreps[0], *(irrep for irrep in chosen if irrep is not irreps[0])]

    losses = pair_losses(
        network,
        train,
        _logit_tables(sums, network, irreps, key, similarity, own, kept),
        (of_hidden(sums, network, part) for part in (*([irreps[i]] for i in own), chosen, kept) if network.hidden),
        test,
    )
    for kind, values in (("loss", losses.loss), ("accuracy", losses.accuracy)):
        result |= dict(zip((kind, f"train_{kind}", f"test_{kind}"), values.tolist(), strict=True))
    for kind, values in (("restricted", losses.restricted), ("excluded", losses.excluded)):
        at_logits, at_hidden = np.split(values, [len(own) + 2])
        result[f"logit_{kind}"][own] = at_logits[: len(own)]
        result[f"logit_{kind}_loss"], result[f"{kind}_loss_with_skip"] = at_logits[-2:].tolist()
        if len(at_hidden):
            result[kind][own] = at_hidden[: len(own)]
            result[f"{kind}_loss"], result[f"{kind}_loss_with_trivial"] = at_hidden[-2:].tolist()
    return result


def _logit_tables(
    sums: PairSums,
    network: PairNetwork,
    irreps: Sequence[Irrep],
    key: np.ndarray,
    similarity: np.ndarray,
    own: np.ndarray,
    kept: Sequence[Irrep],
) -> Iterator[np.ndarray]:
    """Yield the tables of the logits: of the character of each irrep in `own`, of the characters of all key irreps, and
    of the matrix elements of those in `kept`."""
    for i in own:
        yield of_character(irreps[i], network.group, similarity[i], sums)
    total = np.zeros((network.order, network.order))
    for i in np.flatnonzero(key):
        total += of_character(irreps[i], network.group, similarity[i], sums)
    yield total
    yield of_logits(sums, network, kept)


def of_hidden(sums: PairSums, network: PairNetwork, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return P U (n, n): the mean hidden units at each product p, projected on the matrix elements of irreps, through
    the unembedding. The projection of all pairs' hidden units on functions of a b is that of these means."""
    return projection(sums.by_product / network.order, irreps) @ network.unembedding.double().numpy()


def of_logits(sums: PairSums, network: PairNetwork, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the mean logits (n, n) at each product p, centred over the classes and projected on irreps."""
    return projection(sums.logits / network.order, irreps)


def of_character(irrep: Irrep, group: Group, similarity: float, sums: PairSums) -> np.ndarray:
    """Return the projection (n, n) of the logits on the character of p c^-1, from their cosine with it."""
    character = irrep.character
    size = similarity * np.sqrt(sums.logit_squares) / (group.order * np.linalg.norm(character))
    return size * character[group.table[:, group.inverses]]
