"""Perceptrons whose computation in a group is known: exact circuits of given irreps, and random weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from mechlab.groups import Group, Irrep, irreps
from mechlab.groups.network import PairNetwork
from mechlab.models.group_mlp import GroupMLP
from mechlab.tasks.group import GroupProduct

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]  # A (n, h), B (n, h) and U (h, n)


def circuit(irrep: Irrep, scale: float = 10.0) -> Weights:
    """Return an exact circuit of one irrep, whose logits are a function of (a b, c) inside the irrep's space in c.

    For a matrix element (i, k), a vector w and x = <e_i, rho(a) w>, y = <w, rho(b) e_k>, four neurons make
    |x + y| - |x - y|, which is odd in x and in y. Its sum over the orbit of w under the group is invariant, hence a
    function of rho(a) rho(b) = rho(a b) alone. Every neuron is pure in the irrep, of rank one, with a w that both of
    its embeddings share: 4 d^2 |orbit| neurons, where w and -w count once.

    Args:
        irrep: of dimension d.
        scale: the logit of the identity at the product of the identity with itself.
    """
    d, w = irrep.dimension, _orbit(irrep)
    x = np.einsum("gij,wj->giw", irrep.matrices, w)  # <e_i, rho(a) w>
    y = np.einsum("wj,gjk->gwk", w, irrep.matrices)  # <w, rho(b) e_k>
    x = np.broadcast_to(x[:, :, None], (len(x), d, d, len(w))).reshape(len(x), -1)  # over i, k, w
    y = np.broadcast_to(y.transpose(0, 2, 1)[:, None], (len(y), d, d, len(w))).reshape(len(y), -1)
    u = np.repeat(irrep.matrices.reshape(len(x), -1).T, len(w), 0)  # rho(c)_ik
    a, b = np.concatenate([x, -x, x, -x], 1), np.concatenate([y, -y, -y, y], 1)
    unembedding = np.concatenate([u, u, -u, -u])
    top = np.abs(irrep.matrices - np.eye(d)).sum((1, 2)).argmin()  # the identity
    return a, b, unembedding * (scale / (np.maximum(a[top] + b[top], 0) @ unembedding[:, top]))


def planted_weights(group: Group, scales: Mapping[str, float]) -> Weights:
    """Return side by side the circuits of irreps, by name with the scale of each."""
    by_name = {irrep.name: irrep for irrep in irreps(group)}
    parts = [circuit(by_name[name], scale) for name, scale in scales.items()]
    a, b, u = zip(*parts, strict=True)
    return np.concatenate(a, 1), np.concatenate(b, 1), np.concatenate(u)


def random_weights(group: Group, hidden: int, rng: np.random.Generator) -> Weights:
    """Return weights of a perceptron that has learned nothing."""
    n = group.order
    a, b, u = rng.standard_normal((n, hidden)), rng.standard_normal((n, hidden)), rng.standard_normal((hidden, n))
    return a, b, u / hidden**0.5


def model_of(task: GroupProduct, weights: Weights) -> GroupMLP:
    """Return the perceptron in float64 whose effective embeddings and unembedding are given."""
    a, b, u = (torch.from_numpy(np.ascontiguousarray(part)) for part in weights)
    model = GroupMLP(task.spec, hidden=len(u), embedding=len(u)).double()
    both = torch.eye(len(u), dtype=torch.float64).repeat(2, 1)
    model.load_state_dict({"W_x": a, "W_y": b, "W": both, "W_U": u})
    return model.eval()


def planted_model(task: GroupProduct, scales: Mapping[str, float]) -> GroupMLP:
    """Return the perceptron that multiplies by circuits of irreps; see `circuit`."""
    return model_of(task, planted_weights(task.of, scales))


def network_of(group: Group, weights: Weights) -> PairNetwork:
    """Return weights as analyses read them."""
    return PairNetwork.of_weights(weights[:2], weights[2], group)


def _orbit(irrep: Irrep) -> np.ndarray:
    """Return the smallest of the orbits (W, d) of the basis vectors under the group, up to sign."""
    orbits = [_up_to_sign(irrep.matrices[:, :, j]) for j in range(irrep.dimension)]
    return min(orbits, key=len)


def _up_to_sign(vectors: np.ndarray) -> np.ndarray:
    chosen: list[np.ndarray] = []
    for vector in vectors:
        if not any(abs(vector @ other) > 1 - 1e-9 for other in chosen):
            chosen.append(vector)
    return np.array(chosen)
