"""Metrics of networks that multiply in a group: against a dense evaluation of their definitions."""

import numpy as np
import pytest
import torch
from planted_groups import planted_weights, random_weights

from mechlab.core.errors import ConfigError
from mechlab.groups import group, irreps, metrics

GROUPS = ["C12", "D7", "S4"]


def softmax_loss(logits, right):
    """Return the cross entropies (...,) of logits (..., n)."""
    largest = logits.max(-1)
    total = np.exp(logits - largest[..., None]).sum(-1)
    return largest + np.log(total) - np.take_along_axis(logits, right[..., None], -1)[..., 0]


def dense(activations, u, of, train, threshold=0.005, embeddings=None, skip=0.0):
    """Return the metrics by their definitions, with n^3 logits, one character cube for each irrep, and least squares on
    the matrix elements of every irrep as functions on all n^2 pairs."""
    n, t, right = of.order, of.table, of.table.astype(int)
    hidden = activations.reshape(n * n, -1)
    logits = activations @ u + skip
    centred = logits - logits.mean(-1, keepdims=True)
    quotient = np.stack([t[:, of.inverses][row] for row in t])  # (a b) c^-1
    every = irreps(of)
    cubes = [irrep.character[quotient] for irrep in every]
    similarity = np.array([(centred * k).sum() / np.linalg.norm(centred) / np.linalg.norm(k) for k in cubes])
    key = similarity > threshold
    key[0] = False

    def span(values):  # orthonormal basis of the columns' span
        left, sizes, _ = np.linalg.svd(values, full_matrices=False)
        return left[:, sizes > 1e-9 * sizes[0]]

    def fve(values, rows):
        return float((span(rows).T @ values).ravel() @ (span(rows).T @ values).ravel() / (values**2).sum())

    found = {"similarity": similarity, "logit_fve": (similarity[1:] ** 2).sum()}
    flat = [irrep.matrices.reshape(n, -1) for irrep in every]
    for name, table in zip(("embed_x", "embed_y", "unembed"), (*embeddings, u.T), strict=True):
        found[name] = np.array([fve(table, rows) for rows in flat])
        found[f"{name}_fve"] = found[name][key].sum()
    a, b = np.divmod(np.arange(n * n), n)
    for name, at in (("hidden_a", a), ("hidden_b", b), ("hidden_ab", t[a, b])):
        found[name] = np.array([fve(hidden - hidden.mean(0), rows[at]) for rows in flat])
    found["hidden_fve"] = sum(found[f"hidden_{part}"][key].sum() for part in ("a", "b", "ab"))
    found["hidden_ab_fve"] = found["hidden_ab"][key].sum()

    trained = train.ravel()
    found["loss"] = softmax_loss(logits, right).mean()
    found["train_loss"] = softmax_loss(logits, right).ravel()[trained].mean()
    found["test_loss"] = softmax_loss(logits, right).ravel()[~trained].mean()
    hits = (logits.argmax(-1) == t).ravel()
    found |= {"accuracy": hits.mean(), "train_accuracy": hits[trained].mean(), "test_accuracy": hits[~trained].mean()}

    def both(restricted, excluded):
        losses = [softmax_loss(x.reshape(n, n, n), right).ravel() for x in (restricted, excluded)]
        return losses[0].mean(), losses[1][trained].mean()

    bases = [span(rows[t[a, b]]) for rows in flat]
    projections = [basis @ (basis.T @ hidden) for basis in bases]
    parts = [both(p @ u, (hidden - p) @ u) for p in projections]
    found["restricted"], found["excluded"] = np.array(parts).T
    total = sum((p for p, is_key in zip(projections, key, strict=True) if is_key), np.zeros_like(hidden))
    found["restricted_loss"], found["excluded_loss"] = both(total @ u, (hidden - total) @ u)
    total = total + projections[0]
    found["restricted_loss_with_trivial"], found["excluded_loss_with_trivial"] = both(total @ u, (hidden - total) @ u)
    flat_logits = logits.reshape(n * n, n)
    of_all = sum(
        basis @ (basis.T @ flat_logits) for basis, is_key in zip(bases, [True, *key[1:]], strict=True) if is_key
    )
    found["restricted_loss_with_skip"], found["excluded_loss_with_skip"] = both(of_all, flat_logits - of_all)
    cubes = [(centred * k).sum() / (k**2).sum() * k for k in cubes]
    found["logit_restricted"], found["logit_excluded"] = np.array([both(k, centred - k) for k in cubes]).T
    total = sum((k for k, is_key in zip(cubes, key, strict=True) if is_key), np.zeros_like(centred))
    found["logit_restricted_loss"], found["logit_excluded_loss"] = both(total, centred - total)
    return found


def trained_weights(of, train, steps=150):
    """Return the weights of a small perceptron after a short training in float64."""
    torch.manual_seed(0)
    n = of.order
    a, b = (torch.randn(n, 24, dtype=torch.float64, requires_grad=True) for _ in range(2))
    u = (torch.randn(24, n, dtype=torch.float64) / 5).requires_grad_()
    optimizer = torch.optim.Adam([a, b, u], 0.03)
    right, mask = torch.from_numpy(of.table.astype(np.int64)), torch.from_numpy(train)
    for _ in range(steps):
        logits = (a[:, None] + b[None]).relu() @ u
        loss = torch.nn.functional.cross_entropy(logits[mask], right[mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [part.detach().numpy() for part in (a, b, u)]


def networks(of, train):
    rng = np.random.default_rng(1)
    faithful = max(irreps(of), key=lambda irrep: (len(np.unique(irrep.character.round(6))), -irrep.dimension))
    planted = planted_weights(of, {faithful.name: 6.0, irreps(of)[1].name: 2.0})
    noisy = [part + 0.05 * rng.standard_normal(part.shape) for part in planted]
    return {"random": random_weights(of, 20, rng), "trained": trained_weights(of, train), "planted": noisy}


def split(of, share=0.6):
    return np.random.default_rng(0).random((of.order, of.order)) < share


@pytest.mark.parametrize("name", [*GROUPS, pytest.param("A5", marks=pytest.mark.ci)])
def test_metrics_are_those_of_the_definitions(name):
    of = group(name)
    train = split(of)
    for a, b, u in networks(of, train).values():
        expected = dense(np.maximum(a[:, None] + b[None], 0), u, of, train, embeddings=(a, b))
        measured = metrics((a, b), u, of, train=train)
        for key, value in expected.items():
            np.testing.assert_allclose(getattr(measured, key), value, rtol=1e-9, atol=1e-9, err_msg=key)
        weights = sum(np.square(part).sum() for part in (a, b, u))
        assert measured.squared_weights == pytest.approx(weights)
        assert measured.key_logit_fve == pytest.approx((measured.similarity[measured.key] ** 2).sum())


def test_a_skip_path_reaches_the_logits_and_not_the_hidden_metrics():
    of, rng = group("S3"), np.random.default_rng(3)
    train = split(of)
    a, b, u = random_weights(of, 9, rng)
    activations = np.maximum(a[:, None] + b[None], 0) - 0.2
    skip = 0.5 * rng.standard_normal((6, 6, 6))
    expected = dense(activations, u, of, train, embeddings=(a, b), skip=skip)
    measured = metrics(activations, u, of, embed_x=a, embed_y=b, skip=skip, train=np.flatnonzero(train))
    for key, value in expected.items():
        np.testing.assert_allclose(getattr(measured, key), value, rtol=1e-9, atol=1e-9, err_msg=key)


def test_weights_and_training_pairs_may_have_any_of_the_documented_forms():
    of, rng = group("S3"), np.random.default_rng(4)
    train = split(of)
    a, b, u = random_weights(of, 5, rng)
    expected = metrics((a, b), u, of, train=train).scalars
    pairs = np.argwhere(train)
    for hidden, trained in {
        "list": ([a, b], train.ravel()),
        "stacked": (np.stack([a, b]), pairs @ [6, 1]),
        "tensor": (torch.tensor(np.stack([a, b]), requires_grad=True), torch.tensor(pairs)),
    }.values():
        assert metrics(hidden, torch.tensor(u), "S3", train=trained).scalars == expected


def wrong(**changed):
    a, b, u = random_weights(group("S3"), 5, np.random.default_rng(4))
    arguments = {"hidden": (a, b), "unembed": u, "group": "S3"}
    return arguments | {name: change(a, b, u) for name, change in changed.items()}


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("both embeddings must have the shape \\(6, 5\\)", wrong(hidden=lambda a, b, u: (a[:, :4], b[:, :4]))),
        ("both embeddings must have the shape \\(6, 5\\)", wrong(hidden=lambda a, b, u: (a, b[:, :4]))),
        ("embeddings must be finite", wrong(hidden=lambda a, b, u: (a, b * np.inf))),
        ("unembed must be finite", wrong(unembed=lambda a, b, u: u * np.nan)),
        ("unembed must have two axes", wrong(unembed=lambda a, b, u: u[0])),
        ("must come together", wrong(embed_x=lambda a, b, u: a)),
        ("a group must be given by its name", wrong(group=lambda a, b, u: None)),
        ("training pairs", wrong(train=lambda a, b, u: [0.0, 1.0])),
        ("each pair once", wrong(train=lambda a, b, u: np.arange(36) % 2)),
        ("training pairs", wrong(train=lambda a, b, u: [(0, 6)])),
        ("key irreps must be names", wrong(key=lambda a, b, u: [True, False, True])),
    ],
)
def test_wrong_arguments_are_refused(message, arguments):
    with pytest.raises(ConfigError, match=message):
        metrics(**arguments)
