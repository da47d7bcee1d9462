"""The analysis of neurons: a planted circuit has every claim, and a network of random weights none."""

from types import SimpleNamespace

import numpy as np
import pytest
from planted_groups import model_of, planted_weights, random_weights

from mechlab.analyses.groups.neurons import Neurons
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.group import GroupProduct

TASK = GroupProduct("S4", seed=0)


def analysed(weights, folder, **options):
    """Return the finding about a network of given weights, and its artifacts."""
    fresh = random_weights(TASK.of, 48, np.random.default_rng(7))
    models = {"model": lambda: model_of(TASK, weights), "untrained": lambda: model_of(TASK, fresh)}
    run = SimpleNamespace(task=TASK, moment=0, **models)
    out = Artifacts(folder)
    return Neurons(steps=0, **options).run(run, out, np.random.default_rng(0)), out


def test_a_planted_circuit_has_every_claim(tmp_path):
    found, out = analysed(planted_weights(TASK.of, {"sign": 20.0, "standard": 30.0}), tmp_path)
    assert {name: claim.holds for name, claim in found.claims.items()} == dict.fromkeys(found.claims, True)
    assert set(found.claims) == {"pure", "circuit", "rank_one", "ablation"}
    assert found.scalars["purity"] == pytest.approx(1) and found.scalars["accuracy"] == 1
    assert found.scalars["restricted_loss"] == pytest.approx(found.scalars["loss"], rel=1e-6)
    clusters = out.table("clusters").set_index("irrep")
    assert clusters.index.tolist() == ["standard", "sign"] and clusters["neurons"].tolist() == [144, 4]
    assert clusters.loc["standard", ["distinct_b", "orbit_b", "closed_b"]].tolist() == [4, 4, 1]
    assert (clusters["map_error"] < 0.05).all() and (clusters["after"] == clusters["neurons"]).all()
    neurons = out.table("neurons")
    assert (neurons["after"] == neurons["irrep"]).all()
    figures = Neurons().figures(out)
    assert {"purity", "clusters", "ablations", "change_of_basis", "unembedding", "plane", "one_dimensional"} == set(
        figures
    )
    assert (out.arrays("one_dimensional")["activations"].shape) == (4, 24, 24)


def test_random_weights_have_no_claim(tmp_path):
    found, _ = analysed(random_weights(TASK.of, 48, np.random.default_rng(1)), tmp_path)
    assert found.claims and not any(claim.holds for claim in found.claims.values())
    assert found.scalars["purity"] < 0.8


def test_a_sample_of_pairs_has_no_claim_on_ablations(tmp_path):
    found, out = analysed(planted_weights(TASK.of, {"sign": 20.0, "standard": 30.0}), tmp_path, pairs=100)
    assert "ablation" not in found.claims and "120 of 576 pairs" in found.notes["pairs"]
    assert out.table("losses")["pairs"].tolist() == [120]


def test_a_dead_network_is_described(tmp_path):
    """Without a neuron that does anything there is no cluster, and no claim."""
    found, out = analysed(
        tuple(np.zeros_like(part) for part in random_weights(TASK.of, 8, np.random.default_rng(1))), tmp_path
    )
    assert found.scalars["dead"] == 8 and not found.claims and set(found.notes) == {"few_neurons", "clusters"}
    assert list(Neurons().figures(out)) == ["purity"]
