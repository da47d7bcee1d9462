"""Cosets on which neurons are constant, against block means, planted subgroups and untrained networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from planted_groups import model_of, network_of, planted_model, planted_weights, random_weights

from mechlab.analyses.groups.cosets import Cosets
from mechlab.groups import group
from mechlab.groups.activations import functions
from mechlab.groups.coset_interventions import Replaced, is_relu, replaced, scores, symmetry_ablations
from mechlab.groups.coset_membership import (
    adjusted,
    all_subgroups,
    best_subgroups,
    coset_labels,
    exchange_blocks,
    membership,
    random_blocks,
    random_partitions,
    within_blocks,
)
from mechlab.groups.network import PairNetwork
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.group import GroupProduct

ORDERS = [2, 3, 4, 6, 8, 12]  # of subgroups of S4


def explained(values: np.ndarray, labels: np.ndarray) -> float:
    """R^2 of block means, one block after another."""
    fitted = np.empty(len(values))
    for label in np.unique(labels):
        fitted[labels == label] = values[labels == label].mean()
    return 1 - ((values - fitted) ** 2).sum() / ((values - values.mean()) ** 2).sum()


@pytest.mark.parametrize(("name", "count"), [("C12", 6), ("Q8", 6), ("D4", 10), ("S4", 30), ("A5", 59), ("S5", 156)])
def test_all_subgroups_are_listed_once(name, count):
    of = group(name)
    found = all_subgroups(of)
    assert len(found.masks) == len(np.unique(found.masks, axis=0)) == count
    for mask, number in zip(found.masks, found.class_of, strict=True):
        members = np.flatnonzero(mask)
        assert mask[of.table[np.ix_(members, members)]].all() and len(members) == found.classes[number].order


def test_r2_is_that_of_block_means_for_every_subgroup_and_side():
    of, rng = group("S4"), np.random.default_rng(0)
    values, found = rng.standard_normal((24, 2)), all_subgroups(of)
    r2 = membership(found, values, of)
    for number, mask in enumerate(found.masks):
        for side, name in enumerate(("left", "right")):
            labels = coset_labels(of, mask, side)
            assert np.bincount(labels).tolist() == [mask.sum()] * (24 // mask.sum())
            for column in range(2):
                assert r2[name][number, column] == pytest.approx(explained(values[:, column], labels), abs=1e-12)


def best(of, values, rng):
    found = all_subgroups(of)
    nulls = {order: random_partitions(values, order, 50, rng) for order in ORDERS}
    return found, best_subgroups(found, membership(found, values, of), nulls, 0.95)


def test_planted_subgroups_are_recovered_with_their_side():
    """A function with random values on the cosets of a subgroup has exactly this subgroup, and not a smaller one."""
    of, rng = group("S4"), np.random.default_rng(1)
    found = all_subgroups(of)
    numbers = [number for number, mask in enumerate(found.masks) if 1 < mask.sum() < 24]
    for side in (0, 1):
        columns = [rng.standard_normal(24)[coset_labels(of, found.masks[number], side)] for number in numbers]
        values = np.stack(columns, 1) + 1e-3 * rng.standard_normal((24, len(numbers)))
        _, result = best(of, values, rng)
        assert result.subgroup.tolist() == numbers
        for number, chosen in zip(numbers, result.side, strict=True):
            if not found.classes[found.class_of[number]].normal:
                assert chosen == side
        assert result.r2.min() > 0.99 and (result.null < result.r2).all()


def test_random_functions_and_constants_have_no_subgroup():
    """Two thirds of the variance of any function of 24 elements lie in the cosets of a subgroup of order 2 or so."""
    of, rng = group("S4"), np.random.default_rng(2)
    _, result = best(of, rng.standard_normal((24, 200)), rng)
    assert (result.subgroup == -1).all() and np.isnan(result.r2).all()
    _, result = best(of, np.full((24, 2), 3.0), rng)
    assert (result.subgroup == -1).all()


def test_adjusted_r2_of_random_partitions_is_zero_on_average():
    rng = np.random.default_rng(3)
    values = rng.standard_normal((24, 30))
    for order in ORDERS:
        drawn = adjusted(random_partitions(values, order, 200, rng), np.array(order), 24)
        assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert adjusted(np.array(1.0), np.array(1), 24) == 0  # the trivial subgroup explains everything, and nothing


def test_permutations_of_elements_respect_blocks_or_exchange_them():
    of, rng = group("S4"), np.random.default_rng(4)
    mask = next(mask for mask in all_subgroups(of).masks if mask.sum() == 6)
    labels = coset_labels(of, mask, 0)
    inside, across = within_blocks(labels, rng), exchange_blocks(labels, rng)
    assert sorted(inside) == sorted(across) == list(range(24))
    assert (labels[inside] == labels).all() and not np.array_equal(inside, np.arange(24))
    for label in range(4):
        assert len(set(labels[across][labels == label])) == 1
    assert (labels[across] != labels).all()
    assert sorted(random_blocks(labels, rng)) == sorted(labels)


def test_replaced_units_read_other_elements():
    """Against a loop over pairs."""
    of, rng = group("S3"), np.random.default_rng(5)
    a, b, u = random_weights(of, 5, rng)
    x, y = rng.permutation(6), rng.permutation(6)
    change = replaced(network_of(of, (a, b, u)), [Replaced(np.array([1, 3]), x, y)])
    loss, right = 0.0, 0
    for left in range(6):
        for factor in range(6):
            hidden = np.maximum(a[left] + b[factor], 0)
            hidden[[1, 3]] = np.maximum(a[x[left]] + b[y[factor]], 0)[[1, 3]]
            logits, product = hidden @ u, of.table[left, factor]
            loss += np.log(np.exp(logits).sum()) - logits[product]
            right += logits.argmax() == product
    measured = scores(network_of(of, (a, b, u)), np.arange(6), change)
    assert measured == pytest.approx((loss / 36, right / 36))


def test_symmetries_of_a_circuit():
    """relu(x) - relu(-x) is x, which the two halves of the circuit cancel: signs of both factors do not matter, one
    does, and exchanged factors are right only for pairs that commute."""
    of = group("S4")
    network = network_of(of, planted_weights(of, {"standard": 10.0}))
    assert is_relu(network)
    changes = symmetry_ablations(network, functions(network), 0.01, np.random.default_rng(0))
    accuracy = {name: scores(network, np.arange(24), change)[1] for name, change in changes.items()}
    assert accuracy["both_signs"] == accuracy["absolute"] == accuracy["noise"] == 1
    assert accuracy["left_sign"] == accuracy["right_sign"] == 0
    assert accuracy["exchange"] == (of.table == of.table.T).mean()
    bilinear = PairNetwork.of_weights(np.ones((24, 24, 2)) * -1, np.ones((2, 24)), of)
    assert not is_relu(bilinear)


def test_the_analysis_recovers_the_stabilisers_of_a_circuit(tmp_path):
    """Every neuron of the planted circuit is constant on cosets; an untrained network's are not."""
    task = GroupProduct(group="S4", train_fraction=0.5)
    circuit = planted_model(task, {"standard": 10.0, "sign": 2.0})
    fresh = model_of(task, random_weights(task.of, 32, np.random.default_rng(6)))
    out = Artifacts(tmp_path)
    analysis = Cosets(draws=2, partitions=40)
    finding = analysis.run(FakeRun(task, circuit, fresh), out, np.random.default_rng(0))
    assert finding.scalars["coset_share"] == 1 and finding.scalars["coset_share_untrained"] == 0
    assert set(finding.claims) == {"cosets", "invariant", "exchange"}
    assert all(claim.holds for claim in finding.claims.values())
    summary = out.table("subgroups")
    assert set(summary.loc[summary["irrep"] == "sign", "subgroup"]) == {"A4"}
    assert "S3" in set(summary.loc[summary["irrep"] == "standard", "subgroup"])
    assert set(analysis.figures(out)) == {"memberships", "interventions"}
    control = analysis.run(FakeRun(task, fresh, fresh), out, np.random.default_rng(0))
    assert not any(claim.holds for claim in control.claims.values()) and "not_learned" in control.notes


@pytest.mark.parametrize(("name", "variant"), [("C5", "relu"), ("S3", "bilinear"), ("S3", "post_bias")])
def test_groups_without_subgroups_and_other_networks_are_described(name, variant, tmp_path):
    from mechlab.models.group_mlp import GroupMLP

    task = GroupProduct(group=name, train_fraction=0.5)
    torch.manual_seed(0)
    model, fresh = (GroupMLP(task.spec, hidden=12, embedding=12, variant=variant) for _ in range(2))
    finding = Cosets(draws=2, partitions=20).run(
        FakeRun(task, model, fresh), Artifacts(tmp_path), np.random.default_rng(0)
    )
    assert ("no_subgroup" in finding.notes) == (name == "C5")
    assert all(np.isfinite(value) for value in finding.scalars.values())
    assert ("both_signs_accuracy" in finding.scalars) == (variant != "bilinear")
