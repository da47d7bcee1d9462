"""Certificates of accuracy against exact rational arithmetic: never above the truth, and not empty on true circuits."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_groups import Weights, network_of, planted_model, planted_weights, random_weights
from small_tasks import Points

from mechlab.analyses.groups.certify import Certify
from mechlab.core.errors import ConfigError
from mechlab.groups import Irrep, group, irreps
from mechlab.groups.certificates import by_energy, certificates
from mechlab.groups.network import PairNetwork
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.group import GroupProduct

STRUCTURED = {"S3": {"standard": 10.0, "sign": 3.0}, "C5": {"freq_1": 8.0, "freq_2": 8.0}, "Q8": {"quaternion": 8.0}}


def exact_accuracy(network: PairNetwork) -> float:
    """The share of pairs whose product has the one largest logit, in rational arithmetic."""
    n, table = network.order, network.group.table
    hidden, unembedding = network.hidden(torch.arange(n)).tolist(), network.unembedding.T.tolist()
    columns = [[Fraction(value) for value in column] for column in unembedding]
    right = 0
    for a in range(n):
        for b in range(n):
            values = [Fraction(value) for value in hidden[a][b]]
            logits = [sum(x * u for x, u in zip(values, column, strict=True) if x) for column in columns]
            product = int(table[a, b])
            right += all(logits[product] > logits[c] for c in range(n) if c != product)
    return right / n**2


def check_sound(network: PairNetwork, order: list[Irrep] | None = None) -> None:
    truth = exact_accuracy(network)
    for bound in certificates(network, order or by_energy(network, irreps(network.group))[0]):
        assert bound.certified <= truth, bound


def perturbed(weights: Weights, noise: float, rng: np.random.Generator) -> Weights:
    return tuple(part + noise * part.std() * rng.standard_normal(part.shape) for part in weights)


def named(bounds: list, name: str) -> list[float]:
    return [bound.certified for bound in bounds if bound.bound == name]


@pytest.mark.parametrize("name", ["C5", "S3"])
@settings(max_examples=8, deadline=None)
@given(
    noise=st.sampled_from([0.0, 1e-3, 0.05, 0.3, 1.0]),
    scale=st.sampled_from([1e-12, 1.0, 1e9]),
    seed=st.integers(0, 2**32),
)
def test_no_bound_exceeds_the_exact_accuracy(name, noise, scale, seed):
    """On circuits with noise and without, of all sizes of logits."""
    rng, of = np.random.default_rng(seed), group(name)
    a, b, u = perturbed(planted_weights(of, STRUCTURED[name]), noise, rng)
    check_sound(network_of(of, (a, b, u * scale)))


@settings(max_examples=12, deadline=None)
@given(hidden=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_no_bound_exceeds_the_exact_accuracy_of_random_weights(hidden, seed):
    check_sound(network_of(group("S3"), random_weights(group("S3"), hidden, np.random.default_rng(seed))))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), gap=st.sampled_from([0.0, 1e-17, 1e-15, -1e-15]), size=st.sampled_from([0.0, 1e8]))
def test_margins_that_rounding_decides_are_not_certified_wrongly(seed, gap, size):
    """The right logit differs from another one by less than rounding, beside large parts that cancel."""
    rng, of = np.random.default_rng(seed), group("C5")
    a, b, u = planted_weights(of, STRUCTURED["C5"])
    u = u.copy()
    u[:, 1] = u[:, 0] * (1 + gap)  # classes 0 and 1
    large = size * rng.standard_normal((1, of.order))
    a, b = (np.concatenate([part, np.ones((of.order, 2))], 1) for part in (a, b))
    u = np.concatenate([u, large, -large * (1 + rng.choice([0.0, 1e-16]))])
    check_sound(network_of(of, (a, b, u)))


def test_wrong_irreps_give_weaker_bounds_and_no_false_ones():
    """Matrices that are no representation, such as the published ones of A5, cannot make a bound too high."""
    of, rng = group("S3"), np.random.default_rng(0)
    network = network_of(of, perturbed(planted_weights(of, STRUCTURED["S3"]), 0.02, rng))
    order = by_energy(network, irreps(of))[0]
    for noise in (1e-9, 0.05, 1.0):
        wrong = [Irrep(i.name, i.matrices + noise * rng.standard_normal(i.matrices.shape), i.kind) for i in order]
        check_sound(network, wrong)
    shuffled = [Irrep(irrep.name, irrep.matrices[rng.permutation(of.order)], irrep.kind) for irrep in order]
    check_sound(network, shuffled)


def test_activations_of_both_signs_and_a_path_beside_them_are_certified():
    """A bilinear network's hidden units, and logits that are added to those of the hidden units."""
    of, rng = group("S3"), np.random.default_rng(3)
    u = rng.standard_normal((9, of.order))
    check_sound(PairNetwork.of_weights(rng.standard_normal((of.order, of.order, 9)), u, of))
    right = planted_weights(of, STRUCTURED["S3"])
    wrong = np.zeros((of.order, of.order, of.order))
    wrong[0, :, 0] = 100.0
    network = PairNetwork.of_weights(right[:2], right[2], of, skip=wrong)
    bounds = certificates(network, by_energy(network, irreps(of))[0])
    most = 1 - (of.order - 1) / of.order**2
    assert max(bound.certified for bound in bounds) == named(bounds, "brute_force")[0] == pytest.approx(most)


@pytest.mark.parametrize("name", list(STRUCTURED))
def test_a_perfect_circuit_is_certified_by_one_orbit_representative(name):
    """Its logits are a class function of ab c^-1, so that no deviation and no rest lower the bound."""
    of = group(name)
    scales = STRUCTURED[name] if name != "Q8" else {irreps(of)[-1].name: 8.0}
    network = network_of(of, planted_weights(of, scales))
    bounds = certificates(network, by_energy(network, irreps(of))[0], most=len(scales))
    for bound in ("brute_force", "low_rank", "equivariance", "restricted_exact"):
        assert max(named(bounds, bound)) == 1.0, bound


def test_irreps_are_ordered_by_their_energy_in_the_unembedding():
    of = group("S4")
    network = network_of(of, planted_weights(of, {"standard": 10.0, "sign": 1.0}))
    order, shares = by_energy(network, irreps(of))
    assert [irrep.name for irrep in order[:2]] == ["standard", "sign"]
    assert shares[:2].sum() == pytest.approx(1) and len(order) == len(irreps(of)) - 1


def test_a_network_that_has_not_learned_is_certified_to_be_wrong():
    of = group("S4")
    network = network_of(of, random_weights(of, 64, np.random.default_rng(1)))
    bounds = certificates(network, by_energy(network, irreps(of))[0])
    assert max(bound.certified for bound in bounds) < 0.2
    assert max(named(bounds, "equivariance") + named(bounds, "restricted_interval")) == 0


def test_dead_and_constant_networks_are_not_certified():
    of = group("S3")
    for hidden in (np.zeros((6, 4)), np.ones((6, 4))):
        network = network_of(of, (hidden, hidden, np.zeros((4, 6))))
        assert not any(bound.certified for bound in certificates(network, by_energy(network, irreps(of))[0]))


def test_costs_are_relative_to_brute_force_and_grow_with_the_irreps():
    of = group("D29")
    network = network_of(of, random_weights(of, 128, np.random.default_rng(0)))
    bounds = certificates(network, by_energy(network, irreps(of))[0])
    brute = bounds[0]
    assert brute.bound == "brute_force" and brute.cost == 1
    assert brute.flops == 58**2 * (2 * 128 + 2 * 58 * 128 + 58)  # additions and products of activations and logits
    for name in ("low_rank", "equivariance"):
        costs = [bound.cost for bound in bounds if bound.bound == name]
        assert costs == sorted(costs)
        assert all(bound.dimensions <= 1 / (1 / 58 + 1 / 128) or bound.irreps == 1 for bound in bounds)
    cheap = [bound.cost for bound in bounds if bound.bound in ("restricted_cauchy_schwarz", "restricted_interval")]
    assert max(cheap) < 0.15


def test_the_analysis_claims_cheap_proofs_of_circuits_only(tmp_path):
    """A circuit with little noise is proved at a part of the cost of brute force; an untrained network is not."""
    task = GroupProduct(group="S4", train_fraction=0.5)
    circuit, fresh = planted_model(task, {"standard": 10.0, "sign": 3.0}), planted_model(task, {"standard": 10.0})
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    out = Artifacts(tmp_path)
    finding = Certify(cost=1).run(FakeRun(task, circuit, fresh), out, np.random.default_rng(0))
    assert finding.claims["accurate"].holds and finding.claims["cheaper"].holds
    assert finding.claims["cheaper"].kind == "exact" and finding.claims["cheaper"].null < 0.5
    assert finding.scalars["cheapest_cost"] < 1 and finding.scalars["cheapest_certified"] == 1
    table = out.table("certificates")
    assert set(table) == {"bound", "irreps", "dimensions", "certified", "flops", "cost", "untrained"}
    assert set(Certify().figures(out)) == {"certificates"}
    control = Certify(cost=1).run(FakeRun(task, fresh, fresh), out, np.random.default_rng(0))
    assert not any(claim.holds for claim in control.claims.values())


def test_a_task_without_a_group_is_refused():
    with pytest.raises(ConfigError, match="ground truth"):
        Certify().check("certify", "points", Points(), "analysis.certify")


def test_networks_need_not_be_float64():
    of = group("S3")
    weights = [part.astype(np.float32) for part in planted_weights(of, STRUCTURED["S3"])]
    network = PairNetwork.of_weights(weights[:2], weights[2], of)
    check_sound(replace(network, parameters=(0, 0.0)))
