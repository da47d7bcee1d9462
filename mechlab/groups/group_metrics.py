"""How far the irreps of a group explain a network that multiplies in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal

import numpy as np
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.groups.explained_losses import explained_losses
from mechlab.groups.finite_group import Group
from mechlab.groups.fourier import energies, fractions
from mechlab.groups.names import group as named_group
from mechlab.groups.network import PairNetwork
from mechlab.groups.representations import Irrep, irreps
from mechlab.groups.similarity import Similarity, similarity
from mechlab.groups.sums import PairSums, pair_sums

KEY = 0.005  # published threshold on the logit similarity


@dataclass(frozen=True, eq=False)
class GroupMetrics:
    """The metrics of a network of pairs of group elements; NaN for those that it does not allow.

    FVE is the fraction of variance explained. Losses are mean cross entropies in nats. Values over key irreps are sums.
    A, B: effective embeddings; U: unembedding; H: hidden units; p = a b; P: the projection of H on the matrix elements
    rho(a b) of the key irreps.

    Args:
        names: of the I irreps, the trivial one first.
        key: (I,) bool, the key irreps.
        similarity: (I,) cosine of the logits, centred over the classes, with the characters tr rho(a b c^-1).
        held_out_similarity: (I,) similarity on the pairs that were not trained on; on all without a split.
        null_similarity: (I,) its upper limit at the level of the null hypothesis that the outputs are relabelled at
            random, corrected for the number of irreps.
        beyond_null: (I,) bool, whether the held-out similarity exceeds it.
        embed_x, embed_y, unembed: (I,) FVE of A, of B and of U.
        hidden_a, hidden_b, hidden_ab: (I,) FVE of H, centred, by the matrix elements of rho(a), rho(b) and rho(a b).
        logit_restricted: (I,) loss of the projection of the logits on the character alone, over all pairs.
        logit_excluded: (I,) loss without it, over the training pairs.
        restricted, excluded: (I,) the same for P of one irrep: losses of P U and of (H - P) U.
        loss, train_loss, test_loss, accuracy, train_accuracy, test_accuracy: over all, training and test pairs; the
            latter are all that were not trained on, unless others are given (`network_metrics`).
        logit_fve: sum of squared similarities over all irreps but the trivial one.
        key_logit_fve: the same over key irreps.
        restricted_loss: of P U, over all pairs.
        excluded_loss: of (H - P) U, over the training pairs. A skip path is left out, as published.
        restricted_loss_with_trivial, excluded_loss_with_trivial: the same where P includes the trivial irrep, the mean
            of H, which the published ones leave out.
        restricted_loss_with_skip, excluded_loss_with_skip: where P U is the projection of all logits, those of a skip
            path among them, on the key irreps and the trivial one; without a skip path the same as those before.
        logit_restricted_loss, logit_excluded_loss: of the logits' projection on the characters of all key irreps.
        embed_x_fve, embed_y_fve, unembed_fve: over key irreps.
        hidden_fve: over key irreps, of rho(a), rho(b) and rho(a b) together.
        hidden_ab_fve: of rho(a b) alone.
        squared_weights: sum of the squares of all parameters.

    Source: Chughtai et al., "A Toy Model of Universality", arXiv 2302.03025, and its published code.
    """

    names: tuple[str, ...]
    key: np.ndarray
    similarity: np.ndarray
    held_out_similarity: np.ndarray
    null_similarity: np.ndarray
    beyond_null: np.ndarray
    embed_x: np.ndarray
    embed_y: np.ndarray
    unembed: np.ndarray
    hidden_a: np.ndarray
    hidden_b: np.ndarray
    hidden_ab: np.ndarray
    logit_restricted: np.ndarray
    logit_excluded: np.ndarray
    restricted: np.ndarray
    excluded: np.ndarray
    loss: float
    train_loss: float
    test_loss: float
    accuracy: float
    train_accuracy: float
    test_accuracy: float
    logit_fve: float
    key_logit_fve: float
    restricted_loss: float
    excluded_loss: float
    restricted_loss_with_trivial: float
    excluded_loss_with_trivial: float
    restricted_loss_with_skip: float
    excluded_loss_with_skip: float
    logit_restricted_loss: float
    logit_excluded_loss: float
    embed_x_fve: float
    embed_y_fve: float
    unembed_fve: float
    hidden_fve: float
    hidden_ab_fve: float
    squared_weights: float

    @property
    def scalars(self) -> dict[str, float]:
        """All metrics that are one number, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, float)}

    @property
    def per_irrep(self) -> dict[str, np.ndarray]:
        """All metrics (I,) of each irrep, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def metrics(
    hidden: Any,
    unembed: Any,
    group: Group | str,
    *,
    embed_x: Any = None,
    embed_y: Any = None,
    skip: Any = None,
    train: Any = None,
    key: Sequence[str] | float | Literal["null"] = KEY,
    level: float = 0.001,
    losses: bool = True,
) -> GroupMetrics:
    """Return the metrics of a network that is given by its weights, or by its activations, computed in float64.

    Args:
        hidden: a pair of effective embeddings A and B (n, h) of the perceptron relu(A[a] + B[b]), or one array
            (2, n, h) of both; or the activations (n, n, h) or (n^2, h) of all pairs (a, b) in row-major order; or a
            function of elements a (R,) that returns the activations (R, n, h).
        unembed: U (h, n).
        group: of n elements, or its name.
        embed_x, embed_y: effective embeddings (n, any width), where `hidden` is not a pair of them.
        skip: logits that are added to hidden @ unembed: (n, n, n), (n^2, n), a function of elements a, or a bias (n,).
        train: the pairs that were trained on: a mask (n, n) or (n^2,) bool, numbers a n + b (m,), or pairs (m, 2).
            Without it, losses over training and test pairs are NaN, and excluded losses are over all pairs.
        key: the key irreps: a threshold on the similarity; "null" for those whose similarity on held-out pairs exceeds
            what random relabelling of the outputs gives; or their names.
        level: of the test against that null hypothesis, for all irreps together.
        losses: False leaves out all losses and accuracies, whose cost grows with the cube of the group's order.

    Raises:
        ConfigError: shapes do not fit the group, weights are not finite, or no irrep has a given name.

    Example:
        >>> import numpy as np
        >>> angle = 2 * np.pi * np.outer(np.arange(5), [1, 2]) / 5
        >>> table = np.concatenate([np.cos(angle), np.sin(angle)], 1)
        >>> round(metrics((table, table), table.T, "C5").unembed_fve, 6)
        1.0
    """
    of = group if isinstance(group, Group) else named_group(group)
    network = PairNetwork.of_weights(hidden, unembed, of, embed_x, embed_y, skip)
    return network_metrics(network, training_mask(train, of.order), key=key, level=level, losses=losses)


def training_mask(train: Any, n: int) -> np.ndarray | None:
    """Return the mask (n, n) bool of pairs, given as a mask, as numbers a n + b (m,), or as pairs (m, 2)."""
    if train is None:
        return None
    pairs = np.asarray(train.cpu() if isinstance(train, Tensor) else train)
    if not pairs.size:
        return np.zeros((n, n), dtype=bool)
    if pairs.dtype == bool and pairs.size == n * n:
        return pairs.reshape(n, n)
    right = pairs.dtype.kind in "iu" and (pairs.ndim == 1 or (pairs.ndim == 2 and pairs.shape[1] == 2))
    right = right and 0 <= pairs.min() <= pairs.max() < (n if pairs.ndim == 2 else n * n)
    mask = np.zeros((n, n), dtype=bool)
    if right:
        numbers = pairs if pairs.ndim == 1 else pairs[:, 0] * n + pairs[:, 1]
        mask.flat[numbers] = True
    if not right or mask.sum() < len(pairs):
        must = (
            f"training pairs must be a mask ({n}, {n}) of bool, numbers below {n * n} or pairs (m, 2), each pair once"
        )
        raise ConfigError(must, got=f"{pairs.dtype} of shape {pairs.shape}", key="train", fix="give a mask (n, n)")
    return mask


def network_metrics(
    network: PairNetwork,
    train: np.ndarray | None = None,
    *,
    key: Sequence[str] | float | Literal["null"] = KEY,
    level: float = 0.001,
    losses: bool = True,
    test: np.ndarray | None = None,
) -> GroupMetrics:
    """Return the metrics of a network; see `metrics` for the arguments.

    Args:
        train: mask (n, n) bool; see `training_mask`.
        test: mask (n, n) bool of the pairs of `test_loss` and `test_accuracy`; None for all that were not trained on,
            which `held_out_similarity` is always of.
    """
    every = irreps(network.group)
    sums = pair_sums(network, train)
    aligned = similarity(sums, network.group, every, train, level)
    chosen = _key(key, every, aligned)
    shares = {**_embedding_shares(network, every), **_hidden_shares(sums, every)}
    over_key = {f"{name}_fve": float(shares[name][chosen].sum()) for name in ("embed_x", "embed_y", "unembed")}
    hidden = [float(shares[name][chosen].sum()) for name in ("hidden_a", "hidden_b", "hidden_ab")]
    squared = np.square(aligned.similarity)
    return GroupMetrics(
        names=tuple(irrep.name for irrep in every),
        key=chosen,
        similarity=aligned.similarity,
        held_out_similarity=aligned.held_out,
        null_similarity=aligned.null,
        beyond_null=aligned.beyond_null,
        **shares,
        **explained_losses(network, train, sums, every, chosen, aligned.similarity, losses, test),
        logit_fve=float(squared[1:].sum()),
        key_logit_fve=float(squared[chosen].sum()),
        **over_key,
        hidden_fve=sum(hidden),
        hidden_ab_fve=hidden[-1],
        squared_weights=network.squared_weights,
    )


def _key(key: Sequence[str] | float | str, every: Sequence[Irrep], aligned: Similarity) -> np.ndarray:
    """Return the mask (I,) of the key irreps, of which the trivial one is none."""
    names = [irrep.name for irrep in every]
    if isinstance(key, Real):
        chosen = aligned.similarity > key
    elif isinstance(key, str) and key == "null":
        chosen = aligned.beyond_null.copy()
    else:
        given = [key] if isinstance(key, str) else list(key)
        if unknown := [name for name in given if name not in names]:
            must = 'key irreps must be names of irreps of the group, a threshold or "null"'
            raise ConfigError(must, got=unknown, key="key", fix=f"choose from {', '.join(names)}")
        return np.array([name in given for name in names])
    chosen[0] = False
    return chosen


def _embedding_shares(network: PairNetwork, every: Sequence[Irrep]) -> dict[str, np.ndarray]:
    missing = np.full(len(every), np.nan)
    tables = dict(zip(("embed_x", "embed_y"), network.embeddings or (), strict=False))
    if network.unembedding is not None:
        tables["unembed"] = network.unembedding.T
    shares = {name: fractions(table.double().numpy(), every) for name, table in tables.items()}
    return {name: shares.get(name, missing) for name in ("embed_x", "embed_y", "unembed")}


def _hidden_shares(sums: PairSums, every: Sequence[Irrep]) -> dict[str, np.ndarray]:
    """Return the FVE (I,) of the centred hidden units by rho(a), rho(b) and rho(a b); a matrix element rho(a)_ij has
    the same value at n pairs, so that its product with H is one with the sums over these."""
    names = ("hidden_a", "hidden_b", "hidden_ab")
    n, h = sums.by_x.shape
    mean = sums.by_x.mean(0)  # n times that of H
    variation = sums.squares - np.square(mean).sum()
    if not h or variation <= 1e-12 * sums.squares:
        return dict.fromkeys(names, np.full(len(every), np.nan))
    parts = np.concatenate([part - mean for part in (sums.by_x, sums.by_y, sums.by_product)], 1)
    shares = energies(parts, every).reshape(len(every), 3, h).sum(-1) / (n * variation)
    return dict(zip(names, shares.T, strict=True))
