"""Losses of the logits that irreps explain, and of those that they leave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.groups.finite_group import Group
from mechlab.groups.fourier import projection
from mechlab.groups.network import PairNetwork
from mechlab.groups.pair_losses import pair_losses, table_losses
from mechlab.groups.representations import Irrep
from mechlab.groups.sums import PairSums

OWN = 16  # irreps at most whose own losses are computed, or an eighth of the group's order if that is more
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
) -> dict[str, np.ndarray | float]:
    """Return the losses by name; see `GroupMetrics`.

    Those of single irreps are of the 16 with the largest absolute similarity (an eighth of the group's order, if that is
    more), the key irreps first; NaN for all others.

    Args:
        network: of n elements.
        train: mask (n, n) of training pairs, or None.
        sums: of the network.
        irreps: all I irreps of the group, the trivial one first.
        key: (I,) bool.
        similarity: (I,).
        wanted: False gives NaN for all.
    """
    result: dict[str, np.ndarray | float] = {name: np.full(len(irreps), np.nan) for name in PER_IRREP}
    result |= dict.fromkeys(IN_TOTAL, float("nan"))
    if not wanted:
        return result
    order = np.argsort(-(np.abs(similarity) + 2 * key), kind="stable")
    own = order[: max(OWN, network.order // 8)]
    chosen = [irrep for irrep, is_key in zip(irreps, key, strict=True) if is_key]
    kept = [irreps[0], *(irrep for irrep in chosen if irrep is not irreps[0])]

    total = np.zeros((network.order, network.order))
    for i in np.flatnonzero(key):
        total += of_character(irreps[i], network.group, similarity[i], sums)
    logits = [of_character(irreps[i], network.group, similarity[i], sums) for i in own]
    logits += [total, of_logits(sums, network, kept)]
    hidden = [] if network.hidden is None else [of_hidden(sums, network, part) for part in (chosen, kept)]
    hidden += [of_hidden(sums, network, [irreps[i]]) for i in own] if hidden else []
    logit_tables, hidden_tables = np.stack(logits), np.reshape(hidden, (len(hidden), *total.shape))

    losses = pair_losses(network, train, logit_tables, hidden_tables)
    for kind, values in (("loss", losses.loss), ("accuracy", losses.accuracy)):
        result |= dict(zip((kind, f"train_{kind}", f"test_{kind}"), values.tolist(), strict=True))
    for kind, of, below in (
        ("restricted", table_losses(logit_tables), table_losses(hidden_tables)),
        ("excluded", losses.excluded, losses.excluded_hidden),
    ):
        result[f"logit_{kind}"][own] = of[: len(own)]
        result[f"logit_{kind}_loss"], result[f"{kind}_loss_with_skip"] = of[len(own) :].tolist()
        if hidden:
            result[kind][own] = below[2:]
            result[f"{kind}_loss"], result[f"{kind}_loss_with_trivial"] = below[:2].tolist()
    return result


def of_hidden(sums: PairSums, network: PairNetwork, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return P U (n, n): the mean hidden units at each product p, projected on the matrix elements of irreps, through the
    unembedding. The projection of all pairs' hidden units on functions of a b is that of these means."""
    return projection(sums.by_product / network.order, irreps) @ network.unembedding.double().numpy()


def of_logits(sums: PairSums, network: PairNetwork, irreps: Sequence[Irrep]) -> np.ndarray:
    """Return the mean logits (n, n) at each product p, centred over the classes and projected on irreps."""
    return projection(sums.logits / network.order, irreps)


def of_character(irrep: Irrep, group: Group, similarity: float, sums: PairSums) -> np.ndarray:
    """Return the projection (n, n) of the logits on the character of p c^-1, from their cosine with it."""
    character = irrep.character
    size = similarity * np.sqrt(sums.logit_squares) / (group.order * np.linalg.norm(character))
    return size * character[group.table[:, group.inverses]]
